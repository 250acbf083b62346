"""Runs of the stage "decode", some ahead of what is told."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from service.engine.advancing import Advance
from service.engine.state import Inputs
from service.errors import InvalidInput
from service.forms.sampling_options import SamplingOptions
from service.record.sequence_state import SequenceState
from service.tasks.decoder import MAX_RUNS_AHEAD, Decoder, Ending
from service.tasks.generation import TextEnding
from tests.fakes.script import DECODE, ScriptGraphs, encode_stage

pytestmark = pytest.mark.anyio
LONGEST_RUN = 4
TASK = {"kind": "music", "lowest": 60, "highest": 64, "frames_per_beat": 1, "frames_per_bar": 2}
OPTIONS = SamplingOptions()
SEED = 1


class Counting:
    """An engine whose rows count the tokens that were sampled; the tokens are 0, 1, 2, .."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.inputs: Inputs = {}  # of the latest job
        self.num_withdrawn = 0
        self.num_extensions = 1000  # that are still possible

    def submit_runs(self, stage: str, row: bytes, inputs: Inputs, count: int, keep: list[str]) -> "Counted":
        assert (stage, keep) == ("decode", ["tokens"])
        self.counts.append(count)
        self.inputs = inputs
        return Counted(self, int(row), count, int(inputs["remaining"]), len(inputs["uniforms"]))


class Counted:
    """A row of that engine."""

    def __init__(self, engine: Counting, start: int, count: int, remaining: int, num_draws: int) -> None:
        self._engine, self._at, self._end, self._remaining = engine, start, start + count, remaining
        self._last = start + num_draws

    async def next(self) -> Advance:
        """The tokens of a run, followed by -1 from `remaining` on, as a rung that covers has them."""
        assert self._at < self._end
        tokens = np.arange(self._at, self._at + LONGEST_RUN)
        tokens[self._remaining :] = -1
        self._at += min(LONGEST_RUN, self._remaining)
        return Advance({"tokens": tokens}, b"%d" % self._at)

    def extend(self, num_items: int) -> bool:
        if not self._engine.num_extensions:
            return False
        self._engine.num_extensions -= 1
        self._end += num_items
        assert self._end <= self._last
        self._engine.counts[-1] += num_items
        return True

    def withdraw(self) -> None:
        self._engine.num_withdrawn += 1


class Until:
    """An ending at a length, or before a token; what begins it is certain only when the next token is there."""

    def __init__(self, limit: int, stop: int | None = None) -> None:
        self.limit, self._stop = limit, stop
        self.tokens: list[int] = []
        self.stopped = False

    @property
    def length(self) -> int:
        return len(self.tokens)

    @property
    def certain_length(self) -> int:
        return self.length if self._stop is None or not self.stopped else self.tokens.index(self._stop)

    def append(self, tokens: Sequence[int]) -> list[int]:
        before = self.certain_length
        self.tokens += tokens
        self.stopped = self._stop in self.tokens
        return self.tokens[before : self.certain_length]

    def flush(self) -> list[int]:
        return []


@pytest.fixture
def engine() -> Counting:
    return Counting()


@pytest.fixture
def decoder(engine: Counting) -> Decoder:
    bundle = ScriptGraphs(TASK, [encode_stage(6), DECODE], [0], 6).bundle
    return Decoder(bundle, engine, 6, "token")  # type: ignore[arg-type]


def fresh() -> SequenceState:
    return SequenceState((b"0",), ("",))


async def written(decoder: Decoder, ending: Ending[Any]) -> AsyncIterator[Any]:
    async with aclosing(decoder.write(fresh(), OPTIONS, SEED, ending)) as pieces:
        async for piece in pieces:
            yield piece


async def test_whole_runs_are_ahead_and_a_shorter_one_is_under_way_before_the_last_piece_of_them(
    decoder: Decoder, engine: Counting
) -> None:
    told, counts = [], []
    async for piece in written(decoder, Until(10)):
        told.append(piece)
        counts.append(list(engine.counts))
    assert told == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], SequenceState((b"10",), ("",), position=10)]
    assert counts == [[8], [8, 2], [8, 2], [8, 2]]


async def test_who_does_not_read_costs_only_so_many_runs(decoder: Decoder, engine: Counting) -> None:
    async with aclosing(decoder.write(fresh(), OPTIONS, SEED, Until(1000))) as pieces:
        assert await anext(pieces) == [0, 1, 2, 3]
        assert engine.counts == [(1 + MAX_RUNS_AHEAD) * LONGEST_RUN]


@pytest.mark.parametrize(("num_extensions", "counts"), [(1000, [68, 1]), (3, [44, 24, 1]), (0, [32, 32, 4, 1])])
async def test_a_row_that_is_read_goes_on_and_one_that_has_ended_has_a_successor(
    decoder: Decoder, engine: Counting, num_extensions: int, counts: list[int]
) -> None:
    engine.num_extensions = num_extensions
    length = 2 * MAX_RUNS_AHEAD * LONGEST_RUN + 5
    told = [piece async for piece in written(decoder, Until(length))]
    assert [token for piece in told[:-1] for token in piece] == list(range(length))
    assert engine.counts == counts


async def test_nothing_follows_the_end_and_the_state_is_exactly_after_it(decoder: Decoder, engine: Counting) -> None:
    told = [piece async for piece in written(decoder, Until(100, stop=6))]
    assert told == [[0, 1, 2, 3], [4, 5], SequenceState((b"6",), ("",), position=6)]
    assert engine.counts == [40, 2]  # the latter is the second run again, as far as the end
    assert engine.num_withdrawn == 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"temperature": 0.5, "top_k": 6, "top_p": 0.9}, (0.5, 6, 0.9)),
        ({"temperature": 1e-6, "top_k": 1, "top_p": 1.0}, (1e-6, 1, 1.0)),
        ({"temperature": 0.9e-6, "top_k": None, "top_p": 1.0}, (0.0, 6, 1.0)),  # logits would overflow
    ],
)
async def test_a_graph_is_told_how_to_sample(
    decoder: Decoder, engine: Counting, options: dict[str, float], told: tuple[float, int, float]
) -> None:
    await decoder.decode(fresh(), SamplingOptions.model_validate(options), SEED, 3)
    assert tuple(engine.inputs[name] for name in ("temperature", "top_k", "top_p")) == pytest.approx(told)
    assert [engine.inputs[name].dtype for name in ("temperature", "top_k", "top_p")] == ["f4", "i8", "f4"]
    assert (engine.inputs["uniforms"].shape, engine.inputs["remaining"]) == ((3,), 3)


def test_no_more_tokens_can_be_chosen_from_than_there_are(decoder: Decoder) -> None:
    decoder.check(SamplingOptions(top_k=6))
    with pytest.raises(InvalidInput, match="the model knows 6 tokens"):
        decoder.check(SamplingOptions(top_k=7))


@pytest.mark.parametrize(("stop", "length", "counts"), [("34", 3, [12, 3]), ("2345678", 2, [12, 2]), ("45", 4, [12])])
async def test_the_state_is_before_a_stop_string_however_many_runs_it_took_to_write_it(
    decoder: Decoder, engine: Counting, stop: str, length: int, counts: list[int]
) -> None:
    told = [piece async for piece in written(decoder, TextEnding("0123456789ab", 12, [stop]))]
    assert "".join(told[:-1]) == "0123456789ab"[:length]
    assert told[-1] == SequenceState((b"%d" % length,), ("",), position=length)
    assert engine.counts == counts


async def test_what_may_have_begun_a_stop_string_is_told_when_nothing_follows_it(decoder: Decoder) -> None:
    told = [piece async for piece in written(decoder, TextEnding("0123456789", 8, ["78"]))]
    assert told == ["0123", "456", "7", SequenceState((b"8",), ("",), position=8)]


async def test_who_stops_listening_withdraws_the_runs_that_are_under_way(decoder: Decoder, engine: Counting) -> None:
    async with aclosing(decoder.write(fresh(), OPTIONS, SEED, Until(100))) as pieces:
        assert await anext(pieces) == [0, 1, 2, 3]
    assert (engine.counts, engine.num_withdrawn) == ([36], 1)


async def test_nothing_is_run_where_nothing_is_asked_for(decoder: Decoder, engine: Counting) -> None:
    assert [piece async for piece in written(decoder, Until(0))] == [fresh()]
    assert engine.counts == []
