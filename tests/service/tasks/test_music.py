"""Music over graphs that write a script: frames are whole, and the state is exactly after them."""

import math
from collections.abc import AsyncIterator

import pytest

from service.engine.engine import Engine
from service.errors import InvalidInput
from service.forms.music import Composing, MusicStep
from service.media.music import Notes
from service.record.sequence_state import SequenceState
from service.tasks.music import MusicModel
from service.tasks.task import Piece
from tests.fakes.graphs import RecordingObserver
from tests.fakes.script import DECODE, ScriptGraphs, encode_stage

pytestmark = pytest.mark.anyio
END, V = 5, 6
TASK = {"kind": "music", "lowest": 60, "highest": 64, "frames_per_beat": 1, "frames_per_bar": 2}
# What the start leaves: four frames, of which one is silent, again and again.
SCRIPT = [END, 0, 2, 4, END, END, 1, END, 0, 3]
FRAMES = [[60, 62, 64], [], [61], [60, 63]]


@pytest.fixture
def graphs() -> ScriptGraphs:
    return ScriptGraphs(TASK, [encode_stage(V), DECODE], SCRIPT, V)


@pytest.fixture
async def model(graphs: ScriptGraphs) -> AsyncIterator[MusicModel]:
    engine = Engine(graphs, RecordingObserver())
    engine.start()
    yield MusicModel(graphs.bundle, engine)
    await engine.stop()


def count_of(model: MusicModel, state: SequenceState) -> int:
    return int(model.layout.tensor(state.row, "count")[0])


async def composed(model: MusicModel, state: SequenceState, num_frames: int) -> tuple[list[list[int]], SequenceState]:
    outputs, state = await model.step(state, MusicStep(generate=Composing(frames=num_frames)), 1)
    return outputs["frames"], state


@pytest.mark.parametrize("num_frames", [1, 2, 3, 4, 7, 20])
async def test_as_many_frames_are_written_as_were_asked_for(model: MusicModel, num_frames: int) -> None:
    frames, state = await composed(model, model.initial_state(), num_frames)
    assert frames == (FRAMES * 5)[:num_frames]
    tokens = 1 + sum(len(frame) + 1 for frame in frames)
    assert count_of(model, state) == state.position == tokens


async def test_any_cut_writes_the_same_frames(model: MusicModel) -> None:
    whole, end = await composed(model, model.initial_state(), 9)
    for cut in ([1] * 9, [4, 5], [2, 3, 4], [8, 1]):
        state, frames = model.initial_state(), []
        for num_frames in cut:
            written, state = await composed(model, state, num_frames)
            frames += written
        assert frames == whole
        assert state == end


async def test_a_stream_tells_whole_frames_as_they_end(model: MusicModel) -> None:
    told: list[Piece] = []
    step = MusicStep(generate=Composing(frames=6))
    outputs, state = await model.stream(model.initial_state(), step, 1, told.append)
    assert len(told) > 1
    assert [list(frame) for piece in told for frame in piece["frames"]] == outputs["frames"] == (FRAMES * 2)[:6]
    assert (outputs, state) == await model.step(model.initial_state(), step, 1)


async def test_bars_are_as_long_as_the_model_has_them(model: MusicModel) -> None:
    outputs, _ = await model.step(model.initial_state(), MusicStep(generate=Composing(bars=3)), 1)
    assert len(outputs["frames"]) == 6
    outputs, _ = await model.step(model.initial_state(), MusicStep(generate=Composing()), 1)
    assert len(outputs["frames"]) == 16


async def test_notes_are_read_and_told_how_probable_they_were(model: MusicModel) -> None:
    outputs, state = await model.step(model.initial_state(), MusicStep(notes=[["E4", 60, 62], [], [61]]), 1)
    assert count_of(model, state) == 1 + 4 + 1 + 2
    expected = 7 * (1 - math.log(math.e + V - 1))  # all as the script has them
    assert outputs["log_prob"] == pytest.approx(expected)
    assert outputs["next"][0] == (60, pytest.approx(math.e / (math.e + V - 1)))
    frames, _ = await composed(model, state, 1)
    assert frames == [[60, 63]]


async def test_cut_or_whole_what_is_read_leaves_the_same_state(model: MusicModel) -> None:
    _, whole = await model.step(model.initial_state(), MusicStep(notes=[[60], [62, 64]]), 1)
    _, first = await model.step(model.initial_state(), MusicStep(notes=60), 1)
    _, cut = await model.step(first, MusicStep(notes=["D4", "E4"]), 1)
    assert whole == cut


async def test_the_end_of_a_frame_may_be_next(model: MusicModel) -> None:
    outputs, _ = await model.step(model.initial_state(), MusicStep(notes=[[60, 62, 64]]), 1)
    assert outputs["next"][0][0] is None


async def test_a_piece_begins_with_its_notes_and_goes_on(model: MusicModel) -> None:
    written = await model.compose([(60, 62, 64), ()], Composing(frames=2), 1)
    assert written == [(61,), (60, 63)]


@pytest.mark.parametrize(
    ("notes", "told", "place"),
    [
        ([[60], [62, 65]], "65", (1, 1)),
        (["C4", "B9"], r"B9 \(131\)", (1,)),
        ("B3", r"B3 \(59\)", ()),
        (0, "0", ()),
    ],
)
async def test_notes_that_the_model_does_not_know_are_refused(
    model: MusicModel, notes: Notes, told: str, place: tuple[int, ...]
) -> None:
    with pytest.raises(InvalidInput, match=f"{told} is not a note that the model knows; it knows 60 to 64") as refused:
        await model.step(model.initial_state(), MusicStep(notes=notes), 1)
    assert refused.value.errors[0][0] == ("notes", *place)


@pytest.mark.parametrize("step", [MusicStep(), MusicStep(notes=60, generate=Composing())])
async def test_a_step_reads_or_writes(model: MusicModel, step: MusicStep) -> None:
    with pytest.raises(InvalidInput, match='give one of "notes" and "generate"'):
        await model.step(model.initial_state(), step, 1)


async def test_more_notes_than_there_are_cannot_be_eligible(model: MusicModel) -> None:
    with pytest.raises(InvalidInput) as refused:
        await model.step(model.initial_state(), MusicStep(generate=Composing(top_k=V + 1)), 1)
    assert refused.value.errors[0][0] == ("generate", "top_k")


async def test_ids_begin_after_the_start(model: MusicModel) -> None:
    values = model.read_tensors({"ids": [0, 2]})
    items = model.items(model.initial_state(), values)
    assert (items.values.tolist(), items.num_pending, items.state.pending) == ([END, 0, 2], 1, b"")
    with pytest.raises(InvalidInput):
        model.read_tensors({"ids": [V]})


@pytest.mark.parametrize(
    "ids", [[True], [0, True], [1.0], ["0"], [-1], [2**70], [0] * 40 + [True], [], [[0]], [None], None, 0]
)
async def test_what_is_no_list_of_ids_is_refused(model: MusicModel, ids: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        model.read_tensors({"ids": ids})
    assert refused.value.errors[0][0][:1] == ("ids",)
