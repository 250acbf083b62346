"""The task caption: a sentence about the image of a digit, word by word."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample

from training import captions
from training.captions import Attributes
from training.data import digits
from training.data.digits import Images, Labels
from training.models.caption import START, CaptionModel, CaptionModelSettings
from training.models.streaming import StreamingModel
from training.plots.captions import draw_captions
from training.settings import Section, Settings
from training.tasks.task import NOT_PREDICTED, Goal, Task

MAX_WORDS = 16
SHIFTS = (-1, 0, 1)
DRAWN = 12


class CaptionBatch(NamedTuple):
    """Images and one sentence about each, padded.

    Args:
        images: Pixels from 0 to 16, float32 (N, 8, 8).
        x: Input word ids, START first, int64 (N, T).
        y: Target word ids, `x` shifted by one step, int64 (N, T). NOT_PREDICTED in the padding.
    """

    images: Tensor
    x: Tensor
    y: Tensor


class DistortionSettings(Section):
    """Data augmentation of training images. Their sentences are derived from the changed images."""

    degrees: float = Field(default=8, ge=0, description="largest rotation, in degrees")
    shear: float = Field(default=0.1, ge=0, description="largest shear, as width over height")
    stretch: float = Field(default=0.08, ge=0, description="largest relative change of width and height")
    gain: float = Field(default=0.12, ge=0, description="largest relative change of ink")


class CaptionSettings(Settings):
    """Settings of a run."""

    model: CaptionModelSettings = CaptionModelSettings()
    distortion: DistortionSettings = DistortionSettings()
    rows: int = Field(default=128, ge=1, description="images in a batch")
    rounds: int = Field(default=4, ge=1, description="times that an epoch shows every image, augmented each time")


class CaptionTask(Task[CaptionSettings]):
    """A captioning model of digits, each of which may be moved a column to the left or right."""

    name = "caption"
    settings_type = CaptionSettings
    sources = (digits.SOURCE,)
    goal = Goal("caption_accuracy", "higher")
    throughput_unit = "word"
    units: ClassVar[dict[str, str]] = {
        "train_loss": "nats per word",
        **dict.fromkeys(
            ("dev_caption_accuracy", "dev_digit_accuracy", "dev_weight_accuracy", "dev_place_accuracy"), "share right"
        ),
    }

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The vocabulary."""
        return captions.vocabulary()

    def build_model(self) -> CaptionModel:
        """Build a model with random weights."""
        return CaptionModel(len(self.words), self.settings.model)

    @cached_property
    def _train(self) -> tuple[Images, Labels]:
        return digits.load("train")

    def batches_per_epoch(self) -> int:
        """Cover all images `rounds` times."""
        return self.settings.rounds * -(-len(self._train[0]) // self.settings.rows)

    def train_batches(self, epoch: int) -> Iterator[CaptionBatch]:
        """Yield batches of distorted images in random order, with their sentences."""
        rng = np.random.default_rng([self.settings.seed, epoch])
        images, labels = self._train
        for _ in range(self.settings.rounds):
            order = rng.permutation(len(images))
            for start in range(0, len(order), self.settings.rows):
                chosen = order[start : start + self.settings.rows]
                changed = distort(images[chosen], self.settings.distortion, rng)
                said = captions.attributes_of(changed, labels[chosen])
                yield CaptionBatch(torch.from_numpy(changed), *self._sentences(said, rng))

    def _sentences(self, said: list[Attributes], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Write a sentence in random phrasing for each image's attributes. Returns x and y of `CaptionBatch`."""
        numbers = {word: number for number, word in enumerate(self.words)}
        shares = [share for _, share in captions.PHRASES]
        phrases = rng.choice(len(shares), size=len(said), p=shares)
        x = np.full((len(said), MAX_WORDS), START)
        y = np.full((len(said), MAX_WORDS), NOT_PREDICTED)
        for row, (attributes, phrase) in enumerate(zip(said, phrases, strict=True)):
            ids = [numbers[word] for word in captions.phrase(attributes, phrase)]
            x[row, 1 : len(ids) + 1] = ids
            y[row, : len(ids) + 1] = [*ids, START]
        return torch.from_numpy(x), torch.from_numpy(y)

    def count_items(self, batch: CaptionBatch) -> int:
        """Count the predicted words, the end of each sentence included."""
        return int((batch.y != NOT_PREDICTED).sum())

    def loss(self, model: nn.Module, batch: CaptionBatch, carry: None) -> tuple[Tensor, None]:
        """Compute the mean cross entropy of the words."""
        logits = model(batch.images, batch.x)
        return cross_entropy(logits.flatten(0, 1), batch.y.flatten(), ignore_index=NOT_PREDICTED), carry

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Measure how many greedily decoded sentences have all or each attribute right, or are grammatical."""
        images, labels = with_all_shifts(*digits.load(split))
        device = next(model.parameters()).device
        sentences = self.write(model, torch.from_numpy(images).to(device))
        said = [captions.parse(sentence) for sentence in sentences]
        expected = captions.attributes_of(images, labels)
        right = np.array(expected, dtype=object) == np.array(said, dtype=object)
        return {
            "caption_accuracy": float(right.all(axis=1).mean()),
            "digit_accuracy": float(right[:, 0].mean()),
            "weight_accuracy": float(right[:, 1].mean()),
            "place_accuracy": float(right[:, 2].mean()),
            "grammatical": float(np.mean([captions.is_grammatical(sentence) for sentence in sentences])),
            "images": float(len(images)),
        }

    def plot(self, model: nn.Module, split: str, directory: Path) -> None:
        """Draw some images with their sentences, and the right sentence below each wrong one."""
        images, labels = with_all_shifts(*digits.load(split))
        chosen = np.random.default_rng(0).choice(len(images), size=min(DRAWN, len(images)), replace=False)
        sentences = self.write(model, torch.from_numpy(images[chosen]).to(next(model.parameters()).device))
        expected = captions.attributes_of(images[chosen], labels[chosen])
        draw_captions(directory / f"captions_{split}.png", images[chosen], sentences, expected)

    def write(self, model: nn.Module, images: Tensor) -> list[list[str]]:
        """Greedily decode a sentence about each image, float32 (N, 8, 8). Returns its words, without the end."""
        reader: StreamingModel = model  # type: ignore[assignment]
        decoder: StreamingModel = model.decoder  # type: ignore[assignment]
        _, state = reader.unroll(images, {})
        written = []
        for _ in range(MAX_WORDS):
            word = state["pending_logits"].argmax(dim=1)
            written.append(word)
            _, state = decoder.unroll(word.unsqueeze(1), state)
        return [self._sentence(row) for row in torch.stack(written, dim=1).tolist()]

    def _sentence(self, ids: list[int]) -> list[str]:
        return list(captions.until_end([self.words[number] for number in ids]))


def with_all_shifts(images: Images, labels: Labels) -> tuple[Images, Labels]:
    """Repeat images (N, 8, 8) and labels (N,) with each of SHIFTS: a column to the left, none, one to the right.

    Returns:
        Images (3 N, 8, 8) and labels (3 N,).
    """
    return np.concatenate([shifted(images, by) for by in SHIFTS]), np.tile(labels, len(SHIFTS))


def shifted(images: Images, columns: int) -> Images:
    """Shift images (N, 8, 8) to the right by `columns`, filling with zeros. What leaves the image is lost."""
    moved = np.zeros_like(images)
    width = images.shape[2]
    moved[:, :, max(columns, 0) : width + min(columns, 0)] = images[:, :, max(-columns, 0) : width - max(columns, 0)]
    return moved


def distort(images: Images, settings: DistortionSettings, rng: np.random.Generator) -> Images:
    """Augment images (N, 8, 8) by random rotation, shear, stretch, ink and shift."""

    def draw(largest: float) -> NDArray[np.float64]:
        return rng.uniform(-largest, largest, size=len(images))

    angle = np.radians(draw(settings.degrees))
    shear, across, down = draw(settings.shear), 1 + draw(settings.stretch), 1 + draw(settings.stretch)
    # The affine map from the new image's coordinates to the old one's, both from -1 to 1.
    rows = [
        [np.cos(angle) * across, shear - np.sin(angle), np.zeros(len(images))],
        [np.sin(angle), np.cos(angle) * down, np.zeros(len(images))],
    ]
    theta = torch.tensor(np.array(rows), dtype=torch.float32).permute(2, 0, 1)
    grid = affine_grid(theta, [len(images), 1, digits.SIZE, digits.SIZE], align_corners=False)
    turned = grid_sample(torch.from_numpy(images).unsqueeze(1), grid, align_corners=False).squeeze(1).numpy()
    inked = np.minimum(turned * (1 + draw(settings.gain)[:, None, None]), digits.LARGEST).astype(np.float32)
    shifts: NDArray[np.int64] = rng.choice(SHIFTS, size=len(images))
    return np.stack([shifted(image[None], int(by))[0] for image, by in zip(inked, shifts, strict=True)])
