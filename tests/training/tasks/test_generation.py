import math
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from training import checkpoint
from training.command import main
from training.data import tinyshakespeare
from training.data.source import DataError
from training.models.generation import GenerationModelSettings
from training.tasks import generation
from training.tasks.generation import RESET_EVERY, GenerationSettings, GenerationTask

TEXT = "".join(f"{i} {chr(97 + i % 26)}\n" for i in range(2000))
MODELS = {
    "lstm": GenerationModelSettings(embedding_size=5, hidden_size=7, layers=2),
    "mingru": GenerationModelSettings(cell="mingru", embedding_size=5, hidden_size=7, layers=2, mlp_size=8),
}


@pytest.fixture(params=["lstm", "mingru"])
def task(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> GenerationTask:
    monkeypatch.setattr(tinyshakespeare, "load", lambda: TEXT)
    return GenerationTask(GenerationSettings(rows=3, bptt_len=40, model=MODELS[request.param]))


def test_targets_are_the_next_characters_and_batches_continue_each_other(task: GenerationTask) -> None:
    batches = list(task.train_batches(0))
    assert len(batches) == task.batches_per_epoch()
    x, y = (torch.cat(parts, dim=1) for parts in zip(*batches, strict=True))
    assert torch.equal(x[:, 1:], y[:, :-1])
    assert all(part.shape == (3, 40) for batch in batches for part in batch)


def test_items_are_the_characters_that_are_predicted(task: GenerationTask) -> None:
    assert {task.count_items(batch) for batch in task.train_batches(0)} == {3 * 40}


def test_an_epoch_reads_nearly_all_of_the_training_text_and_nothing_else(task: GenerationTask) -> None:
    train = tinyshakespeare.split(TEXT)["train"]
    x = torch.cat([x for x, _ in task.train_batches(0)], dim=1)
    rows = ["".join(task.tokenizer.id_to_token(int(i)) for i in row) for row in x]
    assert all(row in train + train for row in rows)
    assert x.numel() >= len(train) - 3 * 41


def test_a_text_too_short_for_one_step_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tinyshakespeare, "load", lambda: TEXT[:1000])
    with pytest.raises(DataError, match="900 characters to train on are too few for rows=9 of bptt_len=100"):
        GenerationTask(GenerationSettings(rows=9, bptt_len=100)).batches_per_epoch()


def test_epochs_cut_the_text_at_other_places_but_always_the_same(task: GenerationTask) -> None:
    first, again, other = (next(task.train_batches(epoch))[0] for epoch in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_loss_carries_the_state_to_the_next_batch(task: GenerationTask) -> None:
    model = task.build_model().eval()
    (x, y), second, *_ = task.train_batches(0)
    _, carry = task.loss(model, (x, y), None)
    carried, _ = task.loss(model, second, carry)
    logits, _ = model(torch.cat([x, second[0]], dim=1))
    torch.testing.assert_close(carried, cross_entropy(logits[:, 40:].flatten(0, 1), second[1].flatten()))


@torch.no_grad()
def test_figures_are_those_of_a_pass_character_by_character(
    task: GenerationTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tinyshakespeare, "load", lambda: TEXT[:7000])
    model = task.build_model().eval()
    figures = task.evaluate(model, "dev")
    ids = task.encode(tinyshakespeare.split(TEXT[:7000])["dev"])
    stateful, with_resets, state = 0.0, 0.0, model.initial_state(1)
    for i in range(len(ids) - 1):
        outputs, state = model.unroll(ids[None, i : i + 1], state)
        stateful += float(cross_entropy(outputs["logits"][0], ids[i + 1 : i + 2]))
    predicted_with_resets = (len(ids) - 1) // RESET_EVERY * RESET_EVERY
    for i in range(predicted_with_resets):
        state = model.initial_state(1) if i % RESET_EVERY == 0 else state
        outputs, state = model.unroll(ids[None, i : i + 1], state)
        with_resets += float(cross_entropy(outputs["logits"][0], ids[i + 1 : i + 2]))
    predicted = len(ids) - 1
    assert figures["nats_per_char"] == pytest.approx(stateful / predicted, abs=1e-5)
    assert figures["bits_per_char"] == pytest.approx(stateful / predicted / math.log(2), abs=1e-5)
    assert figures["nats_per_char_reset_256"] == pytest.approx(with_resets / predicted_with_resets, abs=1e-5)


def test_character_outside_the_vocabulary_is_an_error_that_names_it(task: GenerationTask) -> None:
    with pytest.raises(DataError, match="unknown character 'é' at 2"):
        task.encode("12é")


@torch.no_grad()
def test_a_long_text_is_measured_and_drawn_in_parts_with_the_same_figures(
    task: GenerationTask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = task.build_model().eval()
    whole = task.evaluate(model, "dev")
    monkeypatch.setattr(generation, "MAX_ROWS", 2)
    rows: list[int] = []
    model.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    assert task.evaluate(model, "dev") == pytest.approx(whole, rel=1e-5)
    task.plot(model, "dev", tmp_path)
    assert max(rows) == 2
    assert (tmp_path / "loss_by_position.png").is_file()


def test_there_is_no_test_split(task: GenerationTask) -> None:
    with pytest.raises(DataError, match="no test split"):
        task.evaluate(task.build_model(), "test")


def test_trained_model_beats_chance_and_is_measured_again_by_evaluate(task: GenerationTask, tmp_path: Path) -> None:
    cell = f"model.cell={task.settings.model.cell}"
    small = [cell, "model.hidden_size=16", "model.layers=1", "rows=8", "bptt_len=16", "loop.epochs=2"]
    settings = [part for setting in [*small, "loop.learning_rate=0.02"] for part in ("--set", setting)]
    assert main(["generation", "--output", str(tmp_path), *settings]) == 0
    trained = checkpoint.load(tmp_path / "best").figures["dev"]
    assert trained["nats_per_char"] < 0.8 * math.log(len(set(TEXT)))
    (tmp_path / "best" / "figures.json").unlink()
    assert main(["evaluate", str(tmp_path / "best")]) == 0
    assert checkpoint.load(tmp_path / "best").figures["dev"] == trained
