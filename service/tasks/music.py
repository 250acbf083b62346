"""Music: frames of notes in, the next frames out, sampled note by note inside the graph."""

from collections.abc import AsyncGenerator, Sequence
from typing import ClassVar

import numpy as np

from service.bundle.manifest import Bundle
from service.bundle.tasks import MusicTask
from service.engine.engine import Engine
from service.errors import InvalidInput
from service.forms.form import Form
from service.forms.music import Composing, Composition, MusicStep, NextNotes
from service.media.music import Frame, FrameCollector, FrameTokens, Notes, frames_of, pitch_of, placed
from service.record.sequence_state import SequenceState
from service.tasks.language import Finished, LanguageModel
from service.tasks.task import Piece
from service.tasks.tokens import Ids


class MusicModel(LanguageModel[MusicStep, Composing, int | None, Composition]):
    """A language model whose tokens are the notes of a frame and its end.

    A fresh sequence begins after the end of a frame. The graph allows only higher notes and the end of the frame to
    follow a note, so it writes only valid frames.
    """

    kind: ClassVar[str] = "music"
    inputs_form: ClassVar[type[MusicStep]] = MusicStep
    outputs_forms: ClassVar[tuple[type[Form], ...]] = (NextNotes, Composition)
    piece_name: ClassVar[str] = "frames"
    unit_name: ClassVar[str] = "token"

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        super().__init__(bundle, engine)
        self.grid = self.spec(MusicTask)
        self._tokens = FrameTokens(self.grid.lowest, self.grid.highest)

    def initial_state(self) -> SequenceState:
        return super().initial_state()._replace(pending=bytes([self._tokens.end]))

    def frames(self, notes: Notes) -> list[Frame]:
        """Return notes as frames.

        Raises:
            InvalidInput: The model does not know one of the notes.
        """
        frames = frames_of(notes)
        if not all(self._tokens.has(pitch) for frame in frames for pitch in frame):
            place, note = next(each for each in placed(notes) if not self._tokens.has(pitch_of(each[1])))
            named = f"{note} ({pitch_of(note)})" if isinstance(note, str) else note
            known = f"{self.grid.lowest} to {self.grid.highest}"
            raise InvalidInput(f"{named} is not a note that the model knows; it knows {known}", ("notes", *place))
        return frames

    async def compose(self, notes: Sequence[Frame], composing: Composing, seed: int) -> list[Frame]:
        """Compose what follows some frames.

        Returns:
            The frames that were written, without `notes`.

        Raises:
            InvalidInput: The model does not take these settings.
            QueueFull: The engine's queue has no room.
            ShuttingDown: The worker is shutting down.
        """
        ids = self._ids(notes)
        state, _ = await self._advance(await self._after_start(self.initial_state()), ids)
        end = await self._write_to_end(state, composing, seed, lambda _: None)
        return list(map(tuple, end.answer.frames))

    def generate(
        self, state: SequenceState, options: Composing, seed: int
    ) -> AsyncGenerator[Piece | Finished[Composition]]:
        ending = FrameCollector(self._tokens, options.num_frames(self.grid.frames_per_bar))
        return self._write(
            state, options, seed, ending, lambda: Composition(frames=list(map(list, ending.frames)), seed=seed)
        )

    def _options_of(self, inputs: MusicStep) -> Composing | None:
        return inputs.generate

    async def _read(self, state: SequenceState, inputs: MusicStep) -> tuple[NextNotes, SequenceState]:
        ids = self._ids(self.frames([] if inputs.notes is None else inputs.notes))
        log_prob, state = await self._read_ids(state, ids)
        return NextNotes(next=self._most_probable(state), log_prob=log_prob), state

    def _pending_ids(self, pending: bytes) -> Ids:
        return np.frombuffer(pending, dtype=np.uint8).astype(np.int64)

    def _ids(self, frames: Sequence[Frame]) -> Ids:
        return np.array(self._tokens.encode(frames), dtype=np.int64)

    def _name(self, token: int) -> int | None:
        return self._tokens.pitch(token)
