"""Music: the stages of a language model whose tokens are notes and ends of frames."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from export.recipes.language import LanguageRecipe
from export.recipes.recipe import Stages
from export.stages import Arrays
from service.bundle.manifest import Bundle, Manifest
from service.bundle.tasks import MusicTask
from training.data import polyphony
from training.data.polyphony import HIGHEST, LOWEST, Collection
from training.music import END_OF_FRAME, PITCHES, VOCABULARY_SIZE


class MusicRecipe(LanguageRecipe):
    """A language model of the notes of one collection."""

    pattern = "one to many"
    endpoint = "/compose"
    headline = ("nats_per_frame",)

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def purpose(self, manifest: Manifest) -> str:
        return (
            "Composes polyphonic music from a note, a chord or nothing, frame by frame, in the manner of the pieces "
            "that it was trained on. Its probabilities of all possible frames add up to 1."
        )

    def task(self, tokenizer: Path | None, model: nn.Module, stages: Stages) -> MusicTask:
        return MusicTask(
            lowest=LOWEST,
            highest=HIGHEST,
            frames_per_beat=self._collection.frames_per_beat,
            frames_per_bar=self._collection.frames_per_bar,
        )

    def num_tokens(self, bundle: Bundle) -> int:
        return VOCABULARY_SIZE

    def draw_tokens(self, V: int, rng: np.random.Generator, N: int, T: int) -> Arrays:
        """Draw valid frames: impossible tokens drive a trained model to states that amplify rounding errors."""
        return {"x": np.stack([_draw_frames(rng, T) for _ in range(N)])}


def _draw_frames(rng: np.random.Generator, T: int) -> NDArray[np.int64]:
    """Draw the tokens (T,) of chords of up to five notes, around the middle of the keyboard. The last may be cut."""
    ids: list[int] = []
    while len(ids) < T:
        keys = rng.normal(40, 9, size=rng.integers(6)).round().clip(0, PITCHES - 1).astype(int)
        ids += [*sorted(set(keys.tolist())), END_OF_FRAME]
    return np.array([*ids[: T - 1], END_OF_FRAME])


CHORALES = MusicRecipe(polyphony.CHORALES)
FOLK = MusicRecipe(polyphony.FOLK)
