import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn.functional import cross_entropy, log_softmax

from training import checkpoint, music
from training.command import main
from training.data import polyphony
from training.data.polyphony import Collection, Piece
from training.models.generation import GenerationModelSettings
from training.tasks.music import ChoralesTask, MusicBatch, MusicSettings, assign
from training.tasks.task import NOT_PREDICTED

# A tune over a bass, with a silent frame, in pieces of many lengths.
TUNE: Piece = tuple((48 + i % 3, 60 + i % 7, 72 - i % 5) if i % 9 else () for i in range(60))
PIECES = [TUNE[i : i + 5 + 4 * i] for i in range(12)]
SETTINGS = MusicSettings(
    rows=3, bptt_len=16, transpose=2, model=GenerationModelSettings(embedding_size=5, hidden_size=7, layers=2)
)


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> ChoralesTask:
    def load(_: Collection, split: str) -> list[Piece]:
        return PIECES if split == "train" else PIECES[2:7]

    monkeypatch.setattr(polyphony, "load", load)
    return ChoralesTask(SETTINGS)


def pieces_read(task: ChoralesTask, epoch: int) -> list[list[int]]:
    """The tokens of every piece as the rows of an epoch hold them."""
    x, y, begins = (torch.stack(part, dim=1) for part in zip(*task.train_batches(epoch), strict=True))
    found = []
    for row in range(SETTINGS.rows):
        starts = [*begins[row].nonzero().flatten().tolist(), x.shape[1]]
        for start, end in itertools.pairwise(starts):
            inputs, targets = x[row, start:end].flatten(), y[row, start:end].flatten()
            is_predicted = targets != NOT_PREDICTED
            assert torch.equal(inputs[is_predicted][1:], targets[is_predicted][:-1])
            found.append([int(inputs[0]), *targets[is_predicted].tolist()])
    return found


def test_an_epoch_reads_every_piece_once_in_some_key(task: ChoralesTask) -> None:
    def shape(ids: list[int]) -> tuple[int, ...]:
        keys = [token for token in ids if token != music.END_OF_FRAME]
        return tuple(-1 if token == music.END_OF_FRAME else token - min(keys) for token in ids)

    found = sorted(map(shape, pieces_read(task, 0)))
    assert found == sorted(shape(music.tokens(piece).tolist()) for piece in PIECES)


def test_items_are_the_tokens_that_are_predicted(task: ChoralesTask) -> None:
    predicted = sum(len(music.tokens(piece)) - 1 for piece in PIECES)
    assert sum(map(task.count_items, task.train_batches(0))) == predicted


def test_epochs_differ_in_keys_but_always_the_same_way(task: ChoralesTask) -> None:
    assert pieces_read(task, 0) == pieces_read(task, 0)
    assert sorted(pieces_read(task, 0)) != sorted(pieces_read(task, 1))


def test_every_epoch_has_as_many_batches_as_was_said(task: ChoralesTask) -> None:
    for epoch in range(3):
        batches = list(task.train_batches(epoch))
        assert len(batches) == task.batches_per_epoch()
        assert all(x.shape == y.shape == (3, 16) and begins.shape == (3,) for x, y, begins in batches)


def test_loss_carries_the_state_within_a_piece_and_begins_the_next_one_fresh(task: ChoralesTask) -> None:
    model = task.build_model().eval()
    x = torch.randint(music.VOCABULARY_SIZE - 1, (2, 12)).sort(dim=1).values
    y = x.roll(-1, dims=1)
    y[:, -1] = music.END_OF_FRAME
    _, carry = task.loss(model, MusicBatch(x, y, torch.tensor([True, True])), None)
    found, _ = task.loss(model, MusicBatch(x, y, torch.tensor([False, True])), carry)
    went_on, _ = model(x[:1], {name: carry[name][:, :1] for name in ("h", "c")})
    fresh, _ = model(x[1:])
    expected = cross_entropy(torch.cat([went_on, fresh]).flatten(0, 1), y.flatten())
    torch.testing.assert_close(found, expected)


@torch.no_grad()
def test_figures_are_those_of_a_pass_note_by_note_without_the_first_frame(task: ChoralesTask) -> None:
    model = task.build_model().eval()
    total, frames = 0.0, 0
    for piece in PIECES[2:7]:
        ids = torch.from_numpy(music.tokens(piece))
        state = model.initial_state(1)
        ends = 0
        for token, following in itertools.pairwise(ids):
            ends += int(token == music.END_OF_FRAME)
            outputs, state = model.unroll(token.view(1, 1), state)
            if ends > 1:
                total += float(cross_entropy(outputs["logits"][0], following.view(1)))
        frames += len(piece) - 1
    figures = task.evaluate(model, "dev")
    assert figures["nats_per_frame"] == pytest.approx(total / frames, abs=1e-4)
    assert figures["frames"] == frames


@torch.no_grad()
def test_probabilities_of_all_frames_add_up_to_one(task: ChoralesTask) -> None:
    """All frames within three keys: what leaves them counts as one outcome at the step where it does."""
    model = task.build_model().eval()
    _, state = model.unroll(torch.tensor([[music.END_OF_FRAME]]), model.initial_state(1))

    def mass(last: int, current: dict[str, torch.Tensor]) -> float:
        probabilities = log_softmax(current["pending_logits"][0].double(), dim=0).exp()
        total = float(probabilities[3:].sum())  # the frame ends, or goes on above the three keys
        for key in range(last + 1, 3):
            _, after = model.unroll(torch.tensor([[key]]), current)
            total += float(probabilities[key]) * mass(key, after)
        assert float(probabilities[: last + 1].sum()) == 0.0
        return total

    assert mass(-1, state) == pytest.approx(1.0, abs=1e-9)


def test_a_cell_that_would_not_keep_to_what_may_follow_is_refused() -> None:
    with pytest.raises(ValidationError, match="lstm"):
        MusicSettings(model=GenerationModelSettings(cell="mingru"))


def test_rows_end_at_about_the_same_time_whatever_chance_decides() -> None:
    sizes = [7, 3, 3, 3, 2, 2, 1, 1, 1, 1]
    dealt = [assign(sizes, 3, np.random.default_rng(seed)) for seed in range(5)]
    for rows in dealt:
        assert sorted(piece for row in rows for piece in row) == list(range(10))
        assert sorted(sum(sizes[piece] for piece in row) for row in rows) == [8, 8, 8]
    assert len({str(rows) for rows in dealt}) > 1


@pytest.mark.usefixtures("task")
def test_trained_model_beats_chance_and_is_measured_again_by_evaluate(tmp_path: Path) -> None:
    small = [
        "model.hidden_size=16",
        "model.layers=1",
        "model.dropout=0.0",
        "rows=4",
        "loop.epochs=12",
        "loop.ema_decay=none",
    ]
    settings = [part for setting in [*small, "loop.learning_rate=0.03"] for part in ("--set", setting)]
    assert main(["chorales", "--output", str(tmp_path), *settings]) == 0
    trained = checkpoint.load(tmp_path / "best").figures["dev"]
    assert trained["nats_per_token"] < 0.6 * math.log(music.VOCABULARY_SIZE)
    (tmp_path / "best" / "figures.json").unlink()
    assert main(["evaluate", str(tmp_path / "best")]) == 0
    assert checkpoint.load(tmp_path / "best").figures["dev"] == trained


def test_evaluation_leaves_a_piano_roll(task: ChoralesTask, tmp_path: Path) -> None:
    with torch.no_grad():
        task.plot(task.build_model().eval(), "dev", tmp_path)
    assert (tmp_path / "pianoroll_dev.png").read_bytes().startswith(b"\x89PNG")


@torch.no_grad()
def test_a_composition_begins_with_what_was_given_and_holds_frames(task: ChoralesTask) -> None:
    model = task.build_model().eval()
    written = task.compose(model, TUNE[:5], 7)
    assert tuple(written[:5]) == TUNE[:5]
    assert len(written) == 12
    assert all(list(frame) == sorted(set(frame)) for frame in written)
    assert task.compose(model, TUNE[:5], 7) == written
