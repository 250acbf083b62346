"""Small models of three tasks with random weights, exported once: tracing a graph takes seconds."""

import contextlib
import copy
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from export.command import main
from export.proof.parity import trained
from export.recipes.registry import plan
from export.running.rungs import Rungs
from export.stages import StagePlan
from export.weights import prepare
from service.bundle.manifest import Bundle, read_bundle
from training import checkpoint, settings
from training.checkpoint import Checkpoint
from training.tasks import registry
from training.text.english import english_tokenizer
from training.text.vocabulary import character_tokenizer, word_tokenizer

# All axes differ: 11 characters or 13 words, 10 embedded features, 16 hidden, 2 layers.
MODEL = {"embedding_size": 10, "hidden_size": 16}
CHARACTERS = "\n abcdefghi"
WORDS = "a film that is not as good as its cast of fine old players may be worth"

SENTIMENT_RUNGS = {"encode": (1, 3)}
GENERATION_RUNGS = {"encode": (1, 3), "decode": (2, 5)}
FORECASTING_RUNGS = {"encode": (1,), "forecast": (1, 3)}
WINDOW_RUNGS = {"encode": (1, 3), "forecast": (1, 3)}


@dataclass(frozen=True)
class Exported:
    """A bundle, with what it was made from."""

    checkpoint: Checkpoint
    bundle: Bundle
    printed: str
    model: nn.Module
    stages: tuple[StagePlan, ...]

    def open(self, path: Path | None = None) -> Rungs:
        """Its graphs, or those of a copy in another directory."""
        bundle = self.bundle if path is None else Bundle(path, self.bundle.manifest, "copy")
        return Rungs(bundle, self.stages)


def make_checkpoint(directory: Path, task: str, model: Mapping[str, object]) -> Checkpoint:
    """A saved checkpoint with random weights, wide enough to tell tokens apart."""
    torch.manual_seed(1)
    task_type = registry.task_type(task)
    tokenizer = {
        "generation": character_tokenizer(CHARACTERS),
        "sentiment": word_tokenizer([WORDS]),
        "sentiment-bidirectional": word_tokenizer([WORDS]),
        "tagging": english_tokenizer(WORDS.split()),
        "entities": english_tokenizer(WORDS.split()),
    }.get(task)
    definition = task_type(settings.validate(task_type.settings_type, {"model": model}), tokenizer)
    network = definition.build_model()
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim == 1:
                weight.uniform_(-0.5, 0.5)
        for name, buffer in network.named_buffers():
            if name in ("centers", "units", "widening"):  # of forecasters
                buffer.uniform_(0.5, 2)
        if task in ("generation", "chorales", "tagging", "entities"):
            network.get_submodule("head").get_parameter("weight").mul_(8)
        if task in ("tagging", "entities"):
            network.get_submodule("embedding").get_parameter("weight").mul_(20)
    checkpoint.save(directory, definition, network, f"python -m training {task}")
    return checkpoint.load(directory)


def export_small(
    directory: Path, task: str, model: Mapping[str, object], rungs: Mapping[str, tuple[int, ...]]
) -> Exported:
    """Export a new checkpoint as a user does."""
    source = make_checkpoint(directory / "checkpoint", task, model)
    ladders = [f"--rungs={stage}={','.join(map(str, sizes))}" for stage, sizes in rungs.items()]
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.redirect_stderr(printed):
        status = main([str(source.path), "--output", str(directory / "models"), "--no-import", *ladders])
    assert status == 0, printed.getvalue()
    prepared = prepare(source.model)
    bundle = read_bundle(directory / "models" / task)
    return Exported(source, bundle, printed.getvalue(), prepared, plan(task, prepared, dict(rungs)))


def assert_every_trained_weight_is_proved(exported: Exported) -> None:
    """The graphs are those of the trained model, and of no model that differs from it in one of its tensors.

    Of tensors by channel, that is every row.
    """
    source, rungs = exported.checkpoint, exported.open()
    assert trained(rungs, source).passed
    for name, tensor in source.model.state_dict().items():
        if name.startswith("auxiliary.") or name in ("centers", "units"):  # heads that are not served; inputs
            continue
        by_row = name == "channel_embedding.weight" or (name == "widening" and tensor.ndim)
        for part in range(len(tensor)) if by_row else (...,):
            model = copy.deepcopy(source.model).requires_grad_(False)
            shifted = model.state_dict()[name][part]  # a view
            shifted.add_(torch.randn(shifted.shape, generator=torch.Generator().manual_seed(1)), alpha=0.1)
            assert not trained(rungs, replace(source, model=model)).passed, (name, part)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Whatever ran before: small networks are slower on several threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def generation(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A character model."""
    return export_small(tmp_path_factory.mktemp("export"), "generation", {**MODEL, "layers": 2}, GENERATION_RUNGS)


@pytest.fixture(scope="session")
def sentiment(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A classifier of texts."""
    return export_small(tmp_path_factory.mktemp("export"), "sentiment", MODEL, SENTIMENT_RUNGS)


@pytest.fixture(scope="session")
def forecasting(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A forecaster."""
    return export_small(tmp_path_factory.mktemp("export"), "forecasting", MODEL, FORECASTING_RUNGS)


@pytest.fixture(scope="session")
def forecasting_window(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A forecaster that remembers a window."""
    return export_small(tmp_path_factory.mktemp("export"), "forecasting-window", {"hidden_size": 16}, WINDOW_RUNGS)


@pytest.fixture(params=["sentiment", "generation", "forecasting", "forecasting_window"])
def exported(request: pytest.FixtureRequest) -> Exported:
    """Each of the four."""
    found: Exported = request.getfixturevalue(request.param)
    return found
