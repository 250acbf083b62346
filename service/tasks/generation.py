"""Generation: characters in, the characters that follow out, sampled inside the graph."""

import math
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from service.bundle.manifest import Bundle, GenerationTask
from service.engine import Engine
from service.errors import InvalidInput, Location
from service.forms import CharacterStep, Continuation, Form, IdsStep, NextCharacters, Sampling, Usage
from service.sampling import uniforms
from service.softmax import log_softmax, softmax
from service.state import Array, SequenceState
from service.stops import StopFinder
from service.tasks.task import Items, ServedModel, check_ids, read_ids
from service.text import TextReader
from service.waiting import off_loop

NUM_NEXT = 5
MIN_TEMPERATURE = 1e-6  # below, logits would overflow, and the most probable character is taken anyway


@dataclass(frozen=True)
class Finished:
    """The end of a generated text: what it was, and the state exactly after it."""

    continuation: Continuation
    state: SequenceState


class GenerationModel(ServedModel[CharacterStep]):
    """A language model over characters.

    The state holds the logits of the next character, so a text may be fed, continued and fed again. Before its first
    character a sequence reads the bundle's start text, which a fresh state has pending.
    """

    kind: ClassVar[str] = "generation"
    inputs_form: ClassVar[type[CharacterStep]] = CharacterStep
    tensors_form: ClassVar[type[Form]] = IdsStep
    needs: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "encode": ("x", "logits"),
        "decode": ("uniforms", "temperature", "top_k", "top_p", "remaining", "tokens"),
    }

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        super().__init__(bundle, engine)
        task = self.spec(GenerationTask)
        self._characters = task.characters
        self._start = task.start
        self._reader = TextReader(bundle.file(task.tokenizer))
        self._max_run = max(bundle.manifest.stage("decode").rungs)

    def initial_state(self) -> SequenceState:
        return SequenceState(rows=(self.layout.initial,), labels=("",), pending=self._start.encode())

    def read_tensors(self, inputs: dict[str, Any]) -> Array:
        values = read_ids(inputs)
        self.check_tensors(values)
        return values

    def check_tensors(self, values: Array) -> None:
        check_ids(values, len(self._characters))

    def items(self, state: SequenceState, values: Array) -> Items:
        if not state.pending:
            return Items(values, 0, state)
        start = self._ids(state.pending.decode())
        return Items(np.concatenate([start, values]), len(start), state._replace(pending=b""))

    async def step(
        self, state: SequenceState, inputs: CharacterStep, seed: int
    ) -> tuple[dict[str, Any], SequenceState]:
        if (inputs.text is None) == (inputs.generate is None):
            raise InvalidInput('give one of "text" and "generate"')
        if inputs.text is not None:
            answer, state = await self.feed(state, inputs.text)
            return answer.model_dump(), state
        async with aclosing(self.continued(state, inputs.generate or Sampling(), seed)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    return event.continuation.model_dump(), event.state
        raise RuntimeError("a generated text has no end")

    async def continued(self, state: SequenceState, sampling: Sampling, seed: int) -> AsyncGenerator[str | Finished]:
        """A step that continues a text: pieces of it as they are certain, then `Finished`."""
        try:
            async with aclosing(
                self.generate(state, sampling, seed if sampling.seed is None else sampling.seed)
            ) as events:
                async for event in events:
                    yield event
        except InvalidInput as error:
            raise error.within("generate") from None

    async def open(self, prompt: str) -> tuple[SequenceState, int]:
        """The state of a new sequence after a prompt, and how many characters that has."""
        ids = await off_loop(len(prompt), lambda: self._ids(prompt, ("prompt",)))
        state, _ = await self._advance(await self._begun(self.initial_state()), ids)
        return state, len(ids)

    async def feed(self, state: SequenceState, text: str) -> tuple[NextCharacters, SequenceState]:
        """Read a text; answer what may follow and how probable the text itself was."""
        ids = await off_loop(len(text), lambda: self._ids(text, ("text",)))
        state = await self._begun(state)
        first = self.layout.tensor(state.row, "pending_logits")
        state, logits = await self._advance(state, ids, keep=True)
        log_prob = await off_loop(len(ids), lambda: _log_prob(np.concatenate([first[None], logits]), ids))
        return NextCharacters(next=self._most_probable(state), log_prob=log_prob), state

    async def generate(
        self, state: SequenceState, sampling: Sampling, seed: int, num_prompt_tokens: int = 0
    ) -> AsyncGenerator[str | Finished]:
        """Continue a text: pieces of it as they are certain, then `Finished`."""
        if sampling.top_k is not None and sampling.top_k > len(self._characters):
            raise InvalidInput(f"the model knows {len(self._characters)} characters", ("top_k",))
        state = await self._begun(state)
        finder = StopFinder(sampling.stops)
        # A stop string may begin in an earlier run than it ends in, so the state before each such run is kept.
        before_runs: deque[tuple[int, SequenceState]] = deque()
        while finder.length < sampling.max_tokens and not finder.stopped:
            before_runs.append((finder.length, state))
            count = min(self._max_run, sampling.max_tokens - finder.length)
            written, state = await self._decode(state, sampling, seed, count)
            if piece := finder.append(written):
                yield piece
            while len(before_runs) > 1 and before_runs[1][0] <= finder.certain_length:
                before_runs.popleft()
        if finder.stopped:
            state = await self._rewind(before_runs, finder.certain_length, sampling, seed)
        elif piece := finder.flush():
            yield piece
        yield Finished(self._continuation(finder, seed, num_prompt_tokens), state)

    async def _begun(self, state: SequenceState) -> SequenceState:
        """The state after the start text, which only a fresh sequence has pending."""
        state, _ = await self._advance(state, self._ids(state.pending.decode()))
        return state._replace(pending=b"")

    async def _rewind(
        self, before_runs: deque[tuple[int, SequenceState]], length: int, sampling: Sampling, seed: int
    ) -> SequenceState:
        """The state after the first `length` characters: the run that wrote the last of them, run again and shorter."""
        start, state = max((run for run in before_runs if run[0] <= length), key=lambda run: run[0])
        if start == length:
            return state
        _, state = await self._decode(state, sampling, seed, length - start)
        return state

    async def _decode(
        self, state: SequenceState, sampling: Sampling, seed: int, count: int
    ) -> tuple[str, SequenceState]:
        """Sample `count` characters, at most one run's worth; the text and the state after it."""
        inputs = {
            "uniforms": uniforms(seed, state.position, count),
            "temperature": np.float32(0 if sampling.temperature < MIN_TEMPERATURE else sampling.temperature),
            "top_k": np.int64(sampling.top_k or len(self._characters)),
            "top_p": np.float32(sampling.top_p),
            "remaining": np.int64(count),
        }
        advance = await self.engine.advance("decode", state.row, inputs, count, keep=["tokens"])  # type: ignore[arg-type]
        tokens = advance.outputs["tokens"][:count]
        return "".join(self._characters[token] for token in tokens), state.advanced(advance.row, count)

    async def _advance(
        self, state: SequenceState, ids: NDArray[np.int64], keep: bool = False
    ) -> tuple[SequenceState, NDArray[np.float32]]:
        if not len(ids):
            return state, np.empty((0, len(self._characters)), dtype=np.float32)
        advance = await self.engine.advance("encode", state.row, {"x": ids}, len(ids), ["logits"] if keep else [])
        return state.advanced(advance.row, len(ids)), advance.outputs.get("logits", np.empty(0, dtype=np.float32))

    def _ids(self, text: str, location: Location = ()) -> NDArray[np.int64]:
        tokens = self._reader.read(text)
        unknown = np.flatnonzero(tokens.ids >= len(self._characters))
        if len(unknown):
            start, end = tokens.spans[unknown[0]]
            raise InvalidInput(
                f"character {text[start:end]!r} at position {start} is not one the model knows", location
            )
        return tokens.ids

    def _most_probable(self, state: SequenceState) -> list[tuple[str, float]]:
        probabilities = softmax(self.layout.tensor(state.row, "pending_logits"))
        best = np.argsort(-probabilities, kind="stable")[:NUM_NEXT]
        return [(self._characters[i], float(probabilities[i])) for i in best]

    def _continuation(self, finder: StopFinder, seed: int, num_prompt_tokens: int) -> Continuation:
        length = finder.certain_length
        return Continuation(
            text=finder.text[:length],
            finish_reason="stop" if finder.stopped else "length",
            usage=Usage(
                prompt_tokens=num_prompt_tokens, completion_tokens=length, total_tokens=num_prompt_tokens + length
            ),
            seed=seed,
        )


def _log_prob(logits: NDArray[np.float32], ids: NDArray[np.int64]) -> float:
    """Log-probability in nats of characters (T,), from the logits (T + 1, V) before each of them and after the last."""
    return math.fsum(log_softmax(logits[: len(ids)])[np.arange(len(ids)), ids])
