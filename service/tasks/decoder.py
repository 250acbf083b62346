"""The stage "decode": tokens are sampled inside the graph, one run after another, until an ending is found.

The engine runs the runs of one text back to back, without waiting for anyone to read their tokens. So a text is written
a few runs ahead of its ending and of its reader, and tokens after the ending are thrown away.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol, TypeVar

import numpy as np

from service.bundle.manifest import Bundle
from service.decoding.sampling import Draws
from service.engine.advancing import Runs
from service.engine.engine import Engine
from service.errors import InvalidInput
from service.forms.sampling_options import SamplingOptions
from service.record.sequence_state import SequenceState

P_co = TypeVar("P_co", covariant=True)
P = TypeVar("P")

MAX_RUNS_AHEAD = 8  # of what has been read, so a client that does not read costs at most this many
MIN_TEMPERATURE = 1e-6  # below this, logits would overflow, and the most probable token is taken anyway

# What a bundle's stage must have; see `ServedModel.needs`.
DECODE_NEEDS = ("uniforms", "temperature", "top_k", "top_p", "remaining", "tokens")


class Ending(Protocol[P_co]):
    """Collects tokens as they are written, and finds where they end. Lengths are in tokens."""

    @property
    def limit(self) -> int:
        """The largest number of tokens to write."""

    @property
    def length(self) -> int:
        """The number of tokens written."""

    @property
    def certain_length(self) -> int:
        """The number of tokens that are certain to stay."""

    @property
    def stopped(self) -> bool:
        """Whether the end has been found. It is at `certain_length`."""

    def append(self, tokens: Sequence[int]) -> P_co:
        """Add tokens, and return the piece that has become certain."""

    def flush(self) -> P_co:
        """Return the rest, when nothing more will be written."""


class Decoder:
    """Samples with the stage "decode" of a bundle, whose state has the logits of the next token.

    Attributes:
        max_run: The largest number of tokens that one run samples.

    Args:
        bundle: The bundle.
        engine: Serves the bundle.
        num_tokens: V, the size of the vocabulary.
        noun: What users call a token, for instance "character".
    """

    def __init__(self, bundle: Bundle, engine: Engine, num_tokens: int, noun: str) -> None:
        self._engine = engine
        self._num_tokens = num_tokens
        self._noun = noun
        self.max_run = max(bundle.manifest.stage("decode").rungs)

    def check(self, options: SamplingOptions) -> None:
        """Raise InvalidInput if `top_k` is larger than the vocabulary."""
        if options.top_k is not None and options.top_k > self._num_tokens:
            raise InvalidInput(f"the model knows {self._num_tokens} {self._noun}s", ("top_k",))

    async def write(
        self, state: SequenceState, options: SamplingOptions, seed: int, ending: Ending[P]
    ) -> AsyncGenerator[P | SequenceState]:
        """Sample tokens until an ending. Runs continue while a piece is yielded.

        Args:
            state: The state to start from.
            options: How tokens are sampled.
            seed: Seed of the draws.
            ending: Collects the tokens and finds their end.

        Yields:
            Each piece as it becomes certain, and finally the state after exactly the tokens that stay.

        Raises:
            QueueFull: The engine's queue has no room.
            ShuttingDown: The engine has stopped.
        """
        # A stop may begin in an earlier run than it ends in, so the state before each such run is kept.
        before_runs: deque[tuple[int, SequenceState]] = deque()

        def next_job() -> SamplingJob | None:
            num_left = ending.limit - ending.length
            return self._start(state, options, seed, num_left) if num_left and not ending.stopped else None

        job = next_job()
        try:
            while job is not None:
                before_runs.append((ending.length, state))
                written, state = await job.next_run()
                piece = ending.append(written)
                if ending.stopped or job.is_over:
                    job.withdraw()
                    job = next_job()
                while len(before_runs) > 1 and before_runs[1][0] <= ending.certain_length:
                    before_runs.popleft()
                if piece:
                    await asyncio.sleep(0)  # let the engine batch a new job with those of others
                    yield piece
        finally:
            if job is not None:
                job.withdraw()
        if ending.stopped:
            state = await self._rewind(before_runs, ending.certain_length, options, seed)
        elif piece := ending.flush():
            yield piece
        yield state

    async def _rewind(
        self, before_runs: deque[tuple[int, SequenceState]], length: int, options: SamplingOptions, seed: int
    ) -> SequenceState:
        """Return the state after the first `length` tokens, by repeating the run that wrote the last of them."""
        start, state = max((run for run in before_runs if run[0] <= length), key=lambda run: run[0])
        if start == length:
            return state
        _, state = await self.decode(state, options, seed, length - start)
        return state

    async def decode(
        self, state: SequenceState, options: SamplingOptions, seed: int, count: int
    ) -> tuple[list[int], SequenceState]:
        """Sample `count` tokens, at most `max_run`.

        Returns:
            The tokens, and the state after them.
        """
        job = self._start(state, options, seed, count)
        try:
            return await job.next_run()
        finally:
            job.withdraw()

    def _start(self, state: SequenceState, options: SamplingOptions, seed: int, num_tokens: int) -> "SamplingJob":
        """Start sampling at most `num_tokens` tokens: the full runs that they make, or a single shorter one."""
        a_run = min(self.max_run, num_tokens)
        count = num_tokens // a_run * a_run
        inputs = {
            "uniforms": Draws(seed, state.position).take(count),
            "temperature": np.float32(0 if options.temperature < MIN_TEMPERATURE else options.temperature),
            "top_k": np.int64(options.top_k or self._num_tokens),
            "top_p": np.float32(options.top_p),
            "remaining": np.int64(a_run),
        }
        ahead = min(count, a_run * MAX_RUNS_AHEAD)
        runs = self._engine.submit_runs("decode", state.row, inputs, ahead, keep=["tokens"])  # type: ignore[arg-type]
        return SamplingJob(runs, state, ahead, count)


class SamplingJob:
    """Tokens that are sampled by the runs of one job, which goes on as long as its tokens are read.

    Args:
        runs: The runs.
        state: The state before them.
        num_ahead: Number of tokens that will be sampled even if none is read.
        num_tokens: Number of tokens to sample at most.
    """

    def __init__(self, runs: Runs, state: SequenceState, num_ahead: int, num_tokens: int) -> None:
        self._runs = runs
        self._state = state
        self._num_ahead = num_ahead
        self._num_more = num_tokens - num_ahead

    @property
    def is_over(self) -> bool:
        """Whether all tokens have been returned."""
        return not self._num_ahead

    async def next_run(self) -> tuple[list[int], SequenceState]:
        """Wait for the next run, and return its tokens and the state after them."""
        advance = await self._runs.next()
        tokens: list[int] = advance.outputs["tokens"][: self._num_ahead].tolist()
        self._num_ahead -= len(tokens)
        self._state = self._state.advanced(advance.row, len(tokens))
        if self._num_more and self._runs.extend(len(tokens)):
            self._num_ahead += len(tokens)
            self._num_more -= len(tokens)
        return tokens, self._state

    def withdraw(self) -> None:
        """Stop after the current run, if there is one."""
        self._runs.withdraw()
