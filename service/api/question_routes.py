"""Whole questions over HTTP: answered as event streams or files on request, and served by the plain application.

On BentoML's port BentoML's APIs answer them. On the second port `QuestionRoutes` does, in the same form but without
BentoML's layers.
"""

import asyncio
import base64
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

import orjson
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.api import endpoints
from service.api.answer import LargeResponse, json_of
from service.api.body import parsed_body
from service.api.body_reader import BodyReader
from service.api.endpoint import Endpoint
from service.api.events import EventStream, event, piece_event
from service.api.media_types import MIDI
from service.api.routes import HotHandlers
from service.api.wire import cancel_on_disconnect, check_json, respond
from service.forms.generation import GenerateAnswer, GenerateRequest
from service.forms.music import ComposeAnswer, ComposeRequest, PlayedNote
from service.forms.tagging import TagAnswer, TagRequest
from service.media.midi import midi_file
from service.media.music import note_events
from service.questions import Composed, Questions
from service.tasks.task import Piece

QuestionHandler = Callable[[Any], Coroutine[Any, Any, BaseModel | Response]]

MIDI_NAME = 'attachment; filename="composition.mid"'


class QuestionRoutes:
    """Answers questions."""

    def __init__(self, questions: Questions, bodies: BodyReader) -> None:
        self._questions = questions
        self._bodies = bodies

    def handlers(self) -> HotHandlers:
        """The handler of each endpoint on the plain application."""
        handlers: Mapping[Endpoint, QuestionHandler] = {
            endpoints.JUDGE_SENTIMENT: self._questions.judge_sentiment,
            endpoints.TAG: self.tag,
            endpoints.TRANSLATE: self._questions.translate,
            endpoints.GENERATE: self.generate,
            endpoints.CAPTION: self._questions.caption,
            endpoints.COMPOSE: self.compose,
            endpoints.FORECAST: self._questions.forecast,
        }
        return {one: partial(self._answer, form, handler) for one, handler in handlers.items() if (form := one.request)}

    async def _answer(
        self, form: type[BaseModel], handler: QuestionHandler, scope: Scope, receive: Receive, send: Send
    ) -> int:
        check_json(scope)
        body = await self._bodies.read(scope, receive)
        answer = await cancel_on_disconnect(receive, handler(parsed_body(form, body)))
        if isinstance(answer, Response):
            await answer(scope, receive, send)
            return answer.status_code
        await respond(send, json_of(answer))
        return 200

    async def generate(self, request: GenerateRequest) -> GenerateAnswer | Response:
        """Continue a text, at once or as a stream of server-sent events."""
        if not request.stream:
            return await self._questions.generate(request)
        events = await self._questions.stream(request)
        return EventStream(_event_bytes(events))

    async def tag(self, request: TagRequest) -> TagAnswer | Response:
        """Tag words. A large answer takes its room until it is sent."""
        answer, holding = await self._questions.tag(request)
        return LargeResponse(answer, holding) if holding.num_bytes else answer

    async def compose(self, request: ComposeRequest) -> ComposeAnswer | Response:
        """Compose a piece, and answer with its notes or with the MIDI file itself."""
        composed = await self._questions.compose(request)
        # In a thread: up to two seconds for the most notes that may be asked for.
        return await asyncio.to_thread(_composition, composed, request)


async def _event_bytes(events: AsyncGenerator[Piece | GenerateAnswer]) -> AsyncGenerator[bytes]:
    """Yield server-sent events: `text` with each piece, then `done` with everything in the answer but its text.

    The first has the seed, too, with which a text that was cut off can be asked for again.
    """
    async with aclosing(events):
        async for piece in events:
            if isinstance(piece, GenerateAnswer):
                yield event("done", orjson.dumps(piece.model_dump(exclude={"text"})))
            else:
                yield piece_event(piece)


def _composition(composed: Composed, request: ComposeRequest) -> ComposeAnswer | Response:
    """Return a piece as its notes or as a MIDI file."""
    notes, frames_per_beat = note_events(composed.frames, request.articulation), composed.frames_per_beat
    midi = midi_file(notes, frames_per_beat, request.tempo, request.instrument)
    if request.format == "midi":
        return Response(midi, media_type=MIDI, headers={"Content-Disposition": MIDI_NAME})
    return ComposeAnswer(
        frames=list(map(list, composed.frames)),
        seed=composed.seed,
        frames_per_beat=frames_per_beat,
        tempo=request.tempo,
        notes=[
            PlayedNote(pitch=note.pitch, start=note.start / frames_per_beat, duration=note.length / frames_per_beat)
            for note in notes
        ],
        midi=base64.b64encode(midi).decode(),
        bundle=composed.bundle,
    )
