"""Runs of the stage "decode", one ahead of what is told."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from service.engine.advancing import Advance
from service.engine.decoder import Decoder
from service.engine.state import Inputs, SequenceState
from service.forms.chance import Chance
from tests.fakes.script import DECODE, ScriptGraphs, encode_stage

pytestmark = pytest.mark.anyio
LONGEST_RUN = 4
TASK = {"kind": "music", "lowest": 60, "highest": 64, "frames_per_beat": 1, "frames_per_bar": 2}
CHANCE = Chance()
SEED = 1


class Counting:
    """An engine whose rows count the tokens that were sampled; the tokens are 0, 1, 2, .."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.num_withdrawn = 0

    def submit_rows(
        self, stage: str, rows: list[bytes], inputs: list[Inputs], counts: list[int], keep: list[str]
    ) -> "Counted":
        assert (stage, len(inputs), keep) == ("decode", 1, ["tokens"])
        self.counts += counts
        return Counted(self, int(rows[0]), counts[0])


class Counted:
    """A row of that engine."""

    def __init__(self, engine: Counting, start: int, count: int) -> None:
        self._engine, self._start, self._count = engine, start, count

    async def finished(self) -> list[Advance]:
        """Its tokens, and some more, as a rung that covers has."""
        tokens = np.arange(self._start, self._start + LONGEST_RUN)
        return [Advance({"tokens": tokens}, b"%d" % (self._start + self._count))]

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


async def written(decoder: Decoder, ending: Until) -> AsyncIterator[Any]:
    async with aclosing(decoder.write(fresh(), CHANCE, SEED, ending)) as pieces:
        async for piece in pieces:
            yield piece


async def test_the_next_run_is_under_way_while_a_piece_is_told(decoder: Decoder, engine: Counting) -> None:
    told, num_begun = [], []
    async for piece in written(decoder, Until(10)):
        told.append(piece)
        num_begun.append(len(engine.counts))
    assert told == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], SequenceState((b"10",), ("",), position=10)]
    assert num_begun == [2, 3, 3, 3]
    assert engine.counts == [4, 4, 2]


async def test_no_run_follows_the_end_and_the_state_is_exactly_after_it(decoder: Decoder, engine: Counting) -> None:
    told = [piece async for piece in written(decoder, Until(100, stop=6))]
    assert told == [[0, 1, 2, 3], [4, 5], SequenceState((b"6",), ("",), position=6)]
    assert engine.counts == [4, 4, 2]  # the last is the second again, as far as the end


async def test_who_stops_listening_withdraws_the_run_that_is_under_way(decoder: Decoder, engine: Counting) -> None:
    async with aclosing(decoder.write(fresh(), CHANCE, SEED, Until(100))) as pieces:
        assert await anext(pieces) == [0, 1, 2, 3]
    assert (engine.counts, engine.num_withdrawn) == ([4, 4], 1)


async def test_nothing_is_run_where_nothing_is_asked_for(decoder: Decoder, engine: Counting) -> None:
    assert [piece async for piece in written(decoder, Until(0))] == [fresh()]
    assert engine.counts == []
