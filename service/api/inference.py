"""Whole questions: texts to judge, tag, translate or continue, series to forecast, music, images to describe."""

import asyncio
import base64
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

import orjson
from starlette.responses import Response

from service.api.events import error_event, event, event_stream, piece_event, told_to_the_end
from service.catalog import Catalog
from service.deadline import all_within, deadline
from service.errors import InvalidInput, Location, ModelUnknown
from service.forms.caption import CaptionAnswer, CaptionRequest
from service.forms.forecasting import ForecastAnswer, ForecastRequest
from service.forms.form import Question
from service.forms.generation import Continuation, GenerateAnswer, GenerateRequest
from service.forms.music import ComposeAnswer, ComposeRequest, PlayedNote
from service.forms.sentiment import SentimentAnswer, SentimentRequest
from service.forms.tagging import TagAnswer, TagRequest
from service.forms.translation import TranslateAnswer, TranslateRequest
from service.metrics import Metrics
from service.midi import midi_file
from service.music import Frame, note_events
from service.sampling import drawn_seed
from service.streams import begun, timed
from service.tasks.caption import CaptionModel
from service.tasks.forecasting import ForecastingModel
from service.tasks.generation import GenerationModel
from service.tasks.language import Finished
from service.tasks.music import MusicModel
from service.tasks.sentiment import SentimentModel
from service.tasks.tagging import TaggingModel, Words
from service.tasks.task import Piece, SequenceModel, ServedModel
from service.tasks.translation import TranslationModel

M = TypeVar("M", bound=ServedModel)

MIDI = "audio/midi"
MIDI_NAME = 'attachment; filename="composition.mid"'


class Inference:
    """Answers questions that need no session, by the model that they name or the first one served for their task."""

    def __init__(self, catalog: Catalog, metrics: Metrics, timeout_seconds: float) -> None:
        self._catalog = catalog
        self._metrics = metrics
        self._timeout_seconds = timeout_seconds

    async def sentiment(self, request: SentimentRequest) -> SentimentAnswer:
        """Judge one text or several."""
        texts, locations = _listed(request.text)
        # A model that reads whole texts judges them better, but only one that streams has a judgement after each word.
        model = self._model(SentimentModel, request, lambda model: _streams(model) is request.trajectory)  # type: ignore[type-abstract]
        async with deadline(self._timeout_seconds):
            return await model.classify(texts, locations, request.trajectory)

    async def tag(self, request: TagRequest) -> TagAnswer:
        """Tag the words of one text or several, by parts of speech unless another model is named."""
        model = self._model(TaggingModel, request, lambda model: (model.scheme == "words", not _streams(model)))  # type: ignore[type-abstract]
        async with deadline(self._timeout_seconds):
            return await model.tag(await _words(model, request))

    async def translate(self, request: TranslateRequest) -> TranslateAnswer:
        """Translate one text or several, by the first model asked that writes the language."""
        texts, locations = _listed(request.text)
        models = self._models(TranslationModel, request)
        model = next((model for model in models if model.target == request.to), None)
        if model is None:
            raise InvalidInput(f"there are translations into {sorted({model.target for model in models})}", ("to",))
        async with deadline(self._timeout_seconds):
            return await model.translate(texts, locations, request.beams, request.attention)

    async def forecast(self, request: ForecastRequest) -> ForecastAnswer:
        """Forecast every channel of a series."""
        model = self._model(ForecastingModel, request)
        async with deadline(self._timeout_seconds):
            return await model.forecast(request.series, request.horizon, request.quantiles)

    async def compose(self, request: ComposeRequest) -> ComposeAnswer | Response:
        """Compose a piece, and answer with its notes or with the MIDI file itself."""
        model = self._model(MusicModel, request)
        given = [] if request.notes is None else model.frames(request.notes)
        seed = drawn_seed() if request.seed is None else request.seed
        async with deadline(self._timeout_seconds):
            frames = [*given, *await model.compose(given, request, seed)]
        # Up to two seconds for as many notes as may be given.
        return await asyncio.to_thread(_composition, model, request, frames, seed)

    async def caption(self, request: CaptionRequest) -> CaptionAnswer:
        """Describe an image."""
        seed = drawn_seed() if request.seed is None else request.seed
        async with deadline(self._timeout_seconds):
            return await self._model(CaptionModel, request).describe(request, seed)

    async def generate(self, request: GenerateRequest) -> GenerateAnswer:
        """Continue a text and answer with the whole of it."""
        async with aclosing(self._written(request)) as events, deadline(self._timeout_seconds):
            async for told in events:
                if isinstance(told, GenerateAnswer):
                    return told
        raise RuntimeError("a generated text has no end")

    async def stream(self, request: GenerateRequest) -> Response:
        """Continue a text as a stream of server-sent events."""
        # A refusal must come as a status, so before the stream begins.
        events = await begun(all_within(self._timeout_seconds, self._written(request)))
        return event_stream(told_to_the_end(_told(events), error_event))

    def _model(self, kind: type[M], request: Question, rank: Callable[[M], Any] = lambda _: 0) -> M:
        """The model that a question names, else the one of the highest rank: of equal ones that which is called as the
        task is, or the first."""
        return max(self._models(kind, request), key=lambda model: (rank(model), model.name == kind.kind))

    def _models(self, kind: type[M], request: Question) -> list[M]:
        """Those that may answer a question: the one that it names, or all for its task."""
        models = {name: model for name, model in self._catalog.items() if isinstance(model, kind)}
        if request.model is None and models:
            return list(models.values())
        model = models.get(request.model or "")
        if model is None:
            asked = f" {request.model!r}" if request.model is not None else ""
            raise ModelUnknown(f"no model{asked} for {kind.kind} is served; there are {sorted(models)}")
        return [model]

    def _written(self, request: GenerateRequest) -> AsyncGenerator[Piece | GenerateAnswer]:
        """Pieces of a text as they become certain, then the whole of it."""
        written = _continued(self._model(GenerationModel, request), request)
        return timed(written, self._metrics.time_to_first_token.observe)


async def _continued(model: GenerationModel, request: GenerateRequest) -> AsyncGenerator[Piece | GenerateAnswer]:
    state, num_prompt_tokens = await model.open(request.prompt)
    seed = drawn_seed() if request.seed is None else request.seed
    async with aclosing(model.generate(state, request, seed, num_prompt_tokens)) as events:
        async for event in events:
            yield _answer(model, event.answer) if isinstance(event, Finished) else event


def _answer(model: GenerationModel, written: Continuation) -> GenerateAnswer:
    return GenerateAnswer(
        text=written.text,
        finish_reason=written.finish_reason,
        usage=written.usage,
        seed=written.seed,
        bundle=model.bundle.tag,
    )


def _streams(model: ServedModel) -> bool:
    """Whether a model reads from left to right, as its input comes."""
    return isinstance(model, SequenceModel)


def _listed(text: str | list[str]) -> tuple[list[str], list[Location]]:
    """One text or several as a list, and where each stands in the request."""
    if isinstance(text, list):
        return text, [("text", index) for index in range(len(text))]
    return [text], [("text",)]


async def _words(model: TaggingModel, request: TagRequest) -> list[Words]:
    """What is to be tagged: texts, parted into words, or words as they were given."""
    if request.text:
        return await model.part(*_listed(request.text))
    rows = [request.tokens] if isinstance(request.tokens[0], str) else request.tokens
    return [Words(row) for row in rows]


def _composition(
    model: MusicModel, request: ComposeRequest, frames: Sequence[Frame], seed: int
) -> ComposeAnswer | Response:
    """A piece as its notes or as a MIDI file."""
    notes, frames_per_beat = note_events(frames, request.articulation), model.grid.frames_per_beat
    midi = midi_file(notes, frames_per_beat, request.tempo, request.instrument)
    if request.format == "midi":
        return Response(midi, media_type=MIDI, headers={"Content-Disposition": MIDI_NAME})
    return ComposeAnswer(
        frames=list(map(list, frames)),
        seed=seed,
        frames_per_beat=frames_per_beat,
        tempo=request.tempo,
        notes=[
            PlayedNote(pitch=note.pitch, start=note.start / frames_per_beat, duration=note.length / frames_per_beat)
            for note in notes
        ],
        midi=base64.b64encode(midi).decode(),
        bundle=model.bundle.tag,
    )


async def _told(events: AsyncGenerator[Piece | GenerateAnswer]) -> AsyncGenerator[bytes]:
    """Server-sent events: `text` with each piece, then `done` with all that the whole answer has beside its text."""
    async with aclosing(events):
        async for told in events:
            if isinstance(told, GenerateAnswer):
                yield event("done", orjson.dumps(told.model_dump(exclude={"text"})))
            else:
                yield piece_event(told)
