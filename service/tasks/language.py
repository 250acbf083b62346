"""Language models: tokens in, the next tokens out."""

import math
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.bundle.manifest import Bundle
from service.bundle.stage import ITEM_STAGE
from service.concurrency.waiting import off_loop
from service.decoding.softmax import log_softmax, softmax
from service.engine.engine import Engine
from service.errors import InvalidInput
from service.forms.form import Form
from service.forms.sampling_options import SamplingOptions
from service.record.sequence_state import SequenceState
from service.tasks.decoder import DECODE_NEEDS, Decoder, Ending
from service.tasks.task import Piece
from service.tasks.tokens import Ids, TokenModel

StepInputs = TypeVar("StepInputs", bound=Form)
Options = TypeVar("Options", bound=SamplingOptions)
Name = TypeVar("Name")  # of a token, as users write it
Answer = TypeVar("Answer", bound=Form)  # to a request to write

NUM_NEXT = 5


@dataclass(frozen=True)
class Finished(Generic[Answer]):
    """The end of a written text: the complete answer, and the state exactly after it."""

    answer: Answer
    state: SequenceState


class LanguageModel(TokenModel[StepInputs], Generic[StepInputs, Options, Name, Answer]):
    """A model of the next token, whose steps either read tokens or write what follows.

    The state has the logits of the next token, so a sequence may be read, continued and read again. Before its first
    token it reads the bundle's start token, which is pending in a fresh state.

    Attributes:
        piece_name: Name of the answer's field whose pieces are streamed.
        unit_name: What users call a token, for instance "character".
    """

    needs: ClassVar[Mapping[str, tuple[str, ...]]] = {ITEM_STAGE: ("x", "logits"), "decode": DECODE_NEEDS}
    piece_name: ClassVar[str]
    unit_name: ClassVar[str]

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        super().__init__(bundle, engine)
        self.num_tokens = self.layout.tensor(self.layout.initial, "pending_logits").size
        self._decoder = Decoder(bundle, engine, self.num_tokens, self.unit_name)

    @abstractmethod
    async def _read(self, state: SequenceState, inputs: StepInputs) -> tuple[Form, SequenceState]:
        """Take a step that reads, and return its answer and the next state."""

    @abstractmethod
    def _options_of(self, inputs: StepInputs) -> Options | None:
        """Return how a step asks to continue, or None if it reads."""

    @abstractmethod
    def _name(self, token: int) -> Name:
        """Return a token as users write it."""

    @abstractmethod
    def generate(self, state: SequenceState, options: Options, seed: int) -> AsyncGenerator[Piece | Finished[Answer]]:
        """Write what follows.

        Args:
            state: The sequence's state.
            options: How to continue.
            seed: Seed of the draws.

        Yields:
            Pieces as they become certain, then `Finished`.

        Raises:
            InvalidInput: The model does not take these settings.
            QueueFull: The engine's queue has no room.
            ShuttingDown: The worker is shutting down.
        """

    async def step(self, state: SequenceState, inputs: StepInputs, seed: int) -> tuple[dict[str, Any], SequenceState]:
        return await self.stream(state, inputs, seed, lambda _: None)

    async def stream(
        self, state: SequenceState, inputs: StepInputs, seed: int, on_piece: Callable[[Piece], None]
    ) -> tuple[dict[str, Any], SequenceState]:
        fields = type(inputs).model_fields
        if sum(getattr(inputs, name) is not None for name in fields) != 1:
            raise InvalidInput("give one of " + " and ".join(f'"{name}"' for name in fields))
        options = self._options_of(inputs)
        if options is None:
            answer, state = await self._read(state, inputs)
            return answer.model_dump(), state
        try:
            end = await self._write_to_end(state, options, seed if options.seed is None else options.seed, on_piece)
        except InvalidInput as error:
            raise error.within("generate") from None
        return end.answer.model_dump(), end.state

    async def _write_to_end(
        self, state: SequenceState, options: Options, seed: int, on_piece: Callable[[Piece], None]
    ) -> Finished[Answer]:
        """Write to the end, and pass each piece to `on_piece`."""
        async with aclosing(self.generate(state, options, seed)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    return event
                on_piece(event)
        raise RuntimeError("generated text has no end")

    async def _write(
        self, state: SequenceState, options: Options, seed: int, ending: Ending[Any], answer: Callable[[], Answer]
    ) -> AsyncGenerator[Piece | Finished[Answer]]:
        """Write until an ending, then make the answer.

        Yields:
            Pieces as they become certain, then `Finished`.
        """
        self._decoder.check(options)
        written = self._decoder.write(await self._after_start(state), options, seed, ending)
        async with aclosing(written):
            async for piece in written:
                yield Finished(answer(), piece) if isinstance(piece, SequenceState) else {self.piece_name: piece}

    async def _after_start(self, state: SequenceState) -> SequenceState:
        """Return the state after the start token, which is pending only in a fresh sequence."""
        state, _ = await self._advance(state, self._pending_ids(state.pending))
        return state._replace(pending=b"")

    async def _read_ids(self, state: SequenceState, ids: Ids) -> tuple[float, SequenceState]:
        """Read tokens.

        Returns:
            Their log-probability in nats, given the sequence so far, and the state after them.
        """
        state = await self._after_start(state)
        first = self.layout.tensor(state.row, "pending_logits")
        state, logits = await self._advance(state, ids, keep=True)
        log_prob = await off_loop(len(ids), lambda: _log_prob(np.concatenate([first[None], logits]), ids))
        return log_prob, state

    def _most_probable(self, state: SequenceState) -> list[tuple[Name, float]]:
        """Return the most probable next tokens, with their probabilities."""
        probabilities = softmax(self.layout.tensor(state.row, "pending_logits"))
        best = np.argsort(-probabilities, kind="stable")[:NUM_NEXT]
        return [(self._name(token), float(probabilities[token])) for token in best.tolist()]


def _log_prob(logits: NDArray[np.float32], ids: Ids) -> float:
    """Return the log-probability in nats of tokens (T,), given the logits (T + 1, V) before each and after the last."""
    return math.fsum(log_softmax(logits[: len(ids)])[np.arange(len(ids)), ids])
