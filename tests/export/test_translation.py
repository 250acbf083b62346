"""Graphs of a small translation model with random weights."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch

from export.command import main
from export.recipes.registry import plan, recipe
from export.running.translator import GraphTranslator
from export.weights import prepare, rounded
from service.bundle.manifest import read_bundle
from service.bundle.tasks import TranslationTask
from tests.export.conftest import Exported, assert_every_trained_weight_is_proved
from training import checkpoint
from training.beam_search import BeamSettings
from training.models.translation import TranslationModel, TranslationModelSettings
from training.tasks.translation import TranslationSettings
from training.tasks.translation import TranslationTask as Task
from training.text.subwords import END_ID, START_ID, subword_tokenizer

TEXTS = ["a dog runs over the field", "ein Hund läuft über das Feld", "two men eat", "zwei Männer essen"] * 2
RUNGS = {"forward1": (1, 3), "backward1": (1,), "forward2": (1,), "backward2": (1,), "step": (4, 16)}
H = 6


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    directory = tmp_path_factory.mktemp("translation")
    torch.manual_seed(1)
    settings = TranslationSettings(
        language="fr",
        model=TranslationModelSettings(embedding_size=10, encoder_size=H, decoder_size=16),
    )
    task = Task(settings, subword_tokenizer(TEXTS, 70))
    model = task.build_model()
    with torch.no_grad():
        model.embedding.weight.mul_(8)  # wide enough to tell pieces apart
    checkpoint.save(directory / "checkpoint", task, model, "python -m training translation")
    ladders = [f"--rungs={stage}={','.join(map(str, sizes))}" for stage, sizes in RUNGS.items()]
    arguments = [str(directory / "checkpoint"), "--output", str(directory / "models"), "--no-import", *ladders]
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.redirect_stderr(printed):
        status = main([*arguments, "--name", "translation-fr"])
    assert status == 0, printed.getvalue()
    source = checkpoint.load(directory / "checkpoint")
    prepared = prepare(source.model)
    bundle = read_bundle(directory / "models" / "translation-fr")
    return Exported(source, bundle, printed.getvalue(), prepared, plan("translation", prepared, RUNGS))


def test_manifest_says_what_is_translated_and_how(exported: Exported) -> None:
    manifest = exported.bundle.manifest
    assert manifest.task == TranslationTask(source="en", target="fr", start=START_ID, end=END_ID, length_penalty=1.0)
    assert not manifest.is_streamable
    assert {stage.name: (stage.direction, stage.fit) for stage in manifest.stages} == {
        "forward1": ("forward", "exact"),
        "backward1": ("backward", "exact"),
        "forward2": ("forward", "exact"),
        "backward2": ("backward", "exact"),
        "step": ("forward", "covering"),
    }
    assert [source.name for source in manifest.data] == ["Multi30k, train.en", "Multi30k, train.fr"]
    assert "non-commercial" in manifest.licence


def test_encoder_graphs_give_the_memory_of_the_fast_path(exported: Exported) -> None:
    rungs, rng = exported.open(), np.random.default_rng(1)
    ids = rng.integers(70, size=(2, 5))
    x = ids
    for layer in (1, 2):
        ahead, back = (
            rungs.run_cut(
                rungs.stages[f"{direction}{layer}"],
                {"x": x if direction == "forward" else x[:, ::-1]},
                rungs.initial_state(2),
                [1] * 5,
            ).outputs["features"]
            for direction in ("forward", "backward")
        )
        x = np.concatenate([ahead, back[:, ::-1]], axis=2)
    model = exported.checkpoint.model
    assert isinstance(model, TranslationModel)
    with torch.no_grad():
        memory = model.encode(torch.from_numpy(ids), torch.tensor([5, 5]))
    np.testing.assert_allclose(x, memory.numpy(), atol=2e-3)  # weights are rounded to float16


def test_step_answers_the_most_probable_pieces(exported: Exported) -> None:
    rungs, rng = exported.open(), np.random.default_rng(2)
    stage = rungs.stages["step"]
    inputs, state = stage.draw(rng, 3, 16), rungs.initial_state(3)
    outputs = rungs.run(stage, 16, inputs, state).outputs
    model = exported.model
    assert isinstance(model, TranslationModel)
    with torch.no_grad():
        given = [torch.from_numpy(inputs[name]) for name in ("token", "memory", "length")]
        log_probs, attention, _, _ = model.step(*given, *(torch.from_numpy(state[name]) for name in stage.reads))
    best, tokens = log_probs.topk(16)
    np.testing.assert_array_equal(outputs["tokens"], tokens.numpy())
    np.testing.assert_allclose(outputs["log_probs"], best.numpy(), atol=1e-5)
    np.testing.assert_allclose(outputs["attention"], attention.numpy(), atol=1e-6)


def test_length_of_the_rung_does_not_reach_a_step(exported: Exported) -> None:
    rungs, rng = exported.open(), np.random.default_rng(3)
    stage = rungs.stages["step"]
    inputs, state = stage.draw(rng, 3, 4), rungs.initial_state(3)
    longer = {**inputs, "memory": np.pad(inputs["memory"], [(0, 0), (0, 12), (0, 0)])}
    short, long = (rungs.run(stage, size, given, state).outputs for size, given in ((4, inputs), (16, longer)))
    np.testing.assert_allclose(short["log_probs"], long["log_probs"], atol=1e-5)
    np.testing.assert_array_equal(long["attention"][:, 4:], 0)


def test_drawn_inputs_of_a_finished_bundle_fit_its_stages(exported: Exported) -> None:
    rng, bundle = np.random.default_rng(4), exported.bundle
    for stage in bundle.manifest.stages:
        drawn = recipe("translation").draw(bundle, stage)(rng, 2, 4)
        shapes = {
            spec.name: tuple({"N": 2, "T": 4}.get(str(axis), axis) for axis in spec.shape) for spec in stage.inputs
        }
        assert {name: array.shape for name, array in drawn.items()} == shapes
        assert {name: str(array.dtype) for name, array in drawn.items()} == {s.name: s.dtype for s in stage.inputs}


def test_card_says_that_the_data_are_not_for_commerce(exported: Exported) -> None:
    card = (Path(exported.bundle.path) / "README.md").read_text()
    assert "non-commercial" in card


def test_search_through_graphs_finds_what_training_finds(exported: Exported) -> None:
    definition, model = exported.checkpoint.definition, rounded(exported.checkpoint.model)
    assert isinstance(definition, Task)
    texts = [*TEXTS[:4], "A dog", "two men run over a field and eat"]
    found = GraphTranslator(exported.bundle, exported.open()).translate(texts, beams=3)
    assert found == definition.translate(model, texts, BeamSettings(beams=3))
    assert len(set(found)) > 1


def test_the_graphs_are_the_model_that_was_trained(exported: Exported) -> None:
    assert_every_trained_weight_is_proved(exported)
