"""Generation: characters in, the next characters out, sampled inside the graph."""

from collections.abc import AsyncGenerator, Sequence
from typing import ClassVar

import numpy as np

from service.bundle.manifest import Bundle
from service.bundle.tasks import GenerationTask
from service.concurrency.waiting import off_loop
from service.decoding.stops import StopFinder
from service.engine.engine import Engine
from service.errors import InvalidInput, Location
from service.forms.form import Form
from service.forms.generation import CharacterStep, Continuation, NextCharacters, Sampling, Usage
from service.media.text import TextReader
from service.record.sequence_state import SequenceState
from service.tasks.language import Finished, LanguageModel
from service.tasks.task import Piece
from service.tasks.tokens import Ids


class GenerationModel(LanguageModel[CharacterStep, Sampling, str, Continuation]):
    """A language model over characters."""

    kind: ClassVar[str] = "generation"
    inputs_form: ClassVar[type[CharacterStep]] = CharacterStep
    outputs_forms: ClassVar[tuple[type[Form], ...]] = (NextCharacters, Continuation)
    piece_name: ClassVar[str] = "text"
    unit_name: ClassVar[str] = "character"

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        super().__init__(bundle, engine)
        task = self.spec(GenerationTask)
        self._characters = task.characters
        self._start = task.start
        self._reader = TextReader(bundle.file(task.tokenizer))

    def initial_state(self) -> SequenceState:
        return super().initial_state()._replace(pending=self._start.encode())

    async def open(self, prompt: str, location: Location = ("prompt",)) -> tuple[SequenceState, int]:
        """Begin a sequence with a prompt.

        Returns:
            The state after the prompt, and the number of its characters.

        Raises:
            InvalidInput: The prompt has a character that the model does not know; `location` is where it was sent.
            QueueFull: The engine's queue has no room.
            ShuttingDown: The worker is shutting down.
        """
        ids = await off_loop(len(prompt), lambda: self._ids(prompt, location))
        state, _ = await self._advance(await self._after_start(self.initial_state()), ids)
        return state, len(ids)

    def generate(
        self, state: SequenceState, options: Sampling, seed: int, num_prompt_tokens: int = 0
    ) -> AsyncGenerator[Piece | Finished[Continuation]]:
        ending = TextEnding(self._characters, options.max_tokens, self._stops(options))
        return self._write(state, options, seed, ending, lambda: _continuation(ending, seed, num_prompt_tokens))

    def _options_of(self, inputs: CharacterStep) -> Sampling | None:
        return inputs.generate

    async def _read(self, state: SequenceState, inputs: CharacterStep) -> tuple[NextCharacters, SequenceState]:
        text = inputs.text or ""
        ids = await off_loop(len(text), lambda: self._ids(text, ("text",)))
        log_prob, state = await self._read_ids(state, ids)
        return NextCharacters(next=self._most_probable(state), log_prob=log_prob), state

    def _stops(self, options: Sampling) -> list[str]:
        """Return the stop strings in the model's characters, normalised like prompts: a carriage return is dropped."""
        return list(filter(None, map(self._normalized, options.stops)))

    def _normalized(self, stop: str) -> str:
        ids = self._reader.read(stop).ids
        is_known = bool((ids < len(self._characters)).all())
        return "".join(map(self._name, ids)) if is_known else stop  # an unknown one is never found

    def _pending_ids(self, pending: bytes) -> Ids:
        return self._ids(pending.decode())

    def _ids(self, text: str, location: Location = ()) -> Ids:
        tokens = self._reader.read(text)
        unknown = np.flatnonzero(tokens.ids >= len(self._characters))
        if len(unknown):
            start, end = tokens.spans[unknown[0]]
            raise InvalidInput(
                f"character {text[start:end]!r} at position {start} is not one the model knows "
                "(GET /models lists them as `task.characters`)",
                location,
            )
        return tokens.ids

    def _name(self, token: int) -> str:
        return self._characters[token]


class TextEnding(StopFinder):
    """The end of a text: before its first stop string, or at its maximum length.

    Attributes:
        limit: The maximum number of characters to write.
    """

    def __init__(self, characters: Sequence[str], limit: int, stops: Sequence[str]) -> None:
        super().__init__(stops)
        self._characters = characters
        self.limit = limit

    def append(self, tokens: Sequence[int]) -> str:
        """Add tokens.

        Returns:
            The piece that has become certain.
        """
        return self.write("".join(self._characters[token] for token in tokens))


def _continuation(ending: TextEnding, seed: int, num_prompt_tokens: int) -> Continuation:
    length = ending.certain_length
    return Continuation(
        text=ending.text[:length],
        finish_reason="stop" if ending.stopped else "length",
        usage=Usage(prompt_tokens=num_prompt_tokens, completion_tokens=length, total_tokens=num_prompt_tokens + length),
        seed=seed,
    )
