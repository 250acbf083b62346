"""Whole questions: texts to judge, tag, translate or continue, series to forecast, music, images to describe.

Knows no HTTP.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack, aclosing
from typing import Any, NamedTuple, TypeVar

from service.catalog import Catalog
from service.concurrency.open_answers import OpenAnswers
from service.concurrency.streams import time_to_first, wait_for_first
from service.decoding.sampling import drawn_seed
from service.errors import InvalidInput, Location, ModelUnknown
from service.forms.caption import CaptionAnswer, CaptionRequest
from service.forms.forecasting import ForecastAnswer, ForecastRequest
from service.forms.form import Question
from service.forms.generation import Continuation, GenerateAnswer, GenerateRequest
from service.forms.music import ComposeRequest
from service.forms.sentiment import SentimentAnswer, SentimentRequest
from service.forms.tagging import TagAnswer, TagRequest
from service.forms.translation import TranslateAnswer, TranslateRequest
from service.media.music import Frame
from service.metrics import Metrics
from service.steps.answer_room import AnswerRoom, Holding
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


class Composed(NamedTuple):
    """A piece of music, from its first given note on.

    Attributes:
        frames: The pitches that sound in each frame.
        seed: Gives the same piece again.
        frames_per_beat: How many frames a quarter note lasts.
        bundle: Tag of the bundle that composed it.
    """

    frames: Sequence[Frame]
    seed: int
    frames_per_beat: int
    bundle: str


class Questions:
    """Answers questions that need no session, with the model that they name or the best for their task.

    Args:
        catalog: The served models.
        metrics: Observes the time to the first piece of a text.
        open_answers: Limits how long an answer takes.
        answer_room: What large answers wait for.

    Every question may raise:
        ModelUnknown: No model of the name, or for the task, is served.
        InvalidInput: The model cannot read the input.
        QueueFull: An engine's queue has no room.
        ShuttingDown: The worker is about to end.
        DeadlineExceeded: The answer took too long.
    """

    def __init__(self, catalog: Catalog, metrics: Metrics, open_answers: OpenAnswers, answer_room: AnswerRoom) -> None:
        self._catalog = catalog
        self._metrics = metrics
        self._open_answers = open_answers
        self._answer_room = answer_room

    async def judge_sentiment(self, request: SentimentRequest) -> SentimentAnswer:
        """Judge one text or several."""
        texts, locations = _listed(request.text)
        # A model that reads whole texts judges them better, but only one that streams has a judgement after each word.
        model = self._model(SentimentModel, request, lambda model: _streams(model) is request.trajectory)
        async with self._open_answers.answer():
            return await model.classify(texts, locations, request.trajectory)

    async def tag(self, request: TagRequest) -> tuple[TagAnswer, Holding]:
        """Tag the words of one text or several, by parts of speech unless another model is named.

        Returns:
            The answer, and what it takes of the room for large ones, to be left when the answer has been sent.
        """
        model = self._model(TaggingModel, request, lambda model: (model.scheme == "words", not _streams(model)))
        async with self._open_answers.answer():
            words = await _words(model, request)
            with ExitStack() as unless_answered:
                holding = unless_answered.enter_context(self._answer_room.of_bytes(model.answer_bytes(words)))
                if not holding.is_in:
                    del words  # they take ten times as much as the text, and are split again
                    await holding.wait()
                    words = await _words(model, request)
                answer = await model.tag(words)
                unless_answered.pop_all()
        return answer, holding

    async def translate(self, request: TranslateRequest) -> TranslateAnswer:
        """Translate one text or several, with the first model that writes the language."""
        texts, locations = _listed(request.text)
        models = self._models(TranslationModel, request)
        model = next((model for model in models if model.target == request.to), None)
        if model is None:
            raise InvalidInput(f"there are translations into {sorted({model.target for model in models})}", ("to",))
        async with self._open_answers.answer():
            return await model.translate(texts, locations, request.beams, request.attention)

    async def forecast(self, request: ForecastRequest) -> ForecastAnswer:
        """Forecast every channel of a series."""
        model = self._model(ForecastingModel, request)
        async with self._open_answers.answer():
            return await model.forecast(request.series, request.horizon, request.quantiles)

    async def compose(self, request: ComposeRequest) -> Composed:
        """Compose a piece."""
        model = self._model(MusicModel, request)
        given = [] if request.notes is None else model.frames(request.notes)
        seed = drawn_seed() if request.seed is None else request.seed
        async with self._open_answers.answer():
            frames = [*given, *await model.compose(given, request, seed)]
        return Composed(frames, seed, model.grid.frames_per_beat, model.bundle.tag)

    async def caption(self, request: CaptionRequest) -> CaptionAnswer:
        """Describe an image."""
        seed = drawn_seed() if request.seed is None else request.seed
        async with self._open_answers.answer():
            return await self._model(CaptionModel, request).describe(request, seed)

    async def generate(self, request: GenerateRequest) -> GenerateAnswer:
        """Continue a text and answer with the whole of it."""
        async with aclosing(self._written(request)) as events, self._open_answers.answer():
            async for event in events:
                if isinstance(event, GenerateAnswer):
                    return event
        raise RuntimeError("generated text has no end")

    async def stream(self, request: GenerateRequest) -> AsyncGenerator[Piece | GenerateAnswer]:
        """Continue a text.

        Returns:
            Pieces of it as they become certain, the first with the seed, then the whole. Refusals are raised before the
            first.
        """
        return await wait_for_first(self._open_answers.pieces(self._written(request)))

    def _model(self, kind: type[M], request: Question, rank: Callable[[M], Any] = lambda _: 0) -> M:
        """Return the model that a question names.

        Otherwise the highest-ranked model; ties go to the one named like the task, then to the first loaded.
        """
        return max(self._models(kind, request), key=lambda model: (rank(model), model.name == kind.kind))

    def _models(self, kind: type[M], request: Question) -> list[M]:
        """Return the models that may answer a question: the one that it names, or all of its task."""
        models = {name: model for name, model in self._catalog.items() if isinstance(model, kind)}
        if request.model is None and models:
            return list(models.values())
        model = models.get(request.model or "")
        if model is None:
            asked = f" {request.model!r}" if request.model is not None else ""
            served = sorted(f"{name} ({model.kind})" for name, model in self._catalog.items())
            raise ModelUnknown(f"no model{asked} for {kind.kind} is served; served are {', '.join(served) or 'none'}")
        return [model]

    def _written(self, request: GenerateRequest) -> AsyncGenerator[Piece | GenerateAnswer]:
        written = _continued(self._model(GenerationModel, request), request)
        return time_to_first(written, self._metrics.time_to_first_token.observe)


async def _continued(model: GenerationModel, request: GenerateRequest) -> AsyncGenerator[Piece | GenerateAnswer]:
    state, num_prompt_tokens = await model.open(request.prompt)
    seed = drawn_seed() if request.seed is None else request.seed
    with_seed = {"seed": seed}
    async with aclosing(model.generate(state, request, seed, num_prompt_tokens)) as events:
        async for event in events:
            yield _answer(model, event.answer) if isinstance(event, Finished) else {**event, **with_seed}
            with_seed = {}


def _answer(model: GenerationModel, written: Continuation) -> GenerateAnswer:
    return GenerateAnswer(
        text=written.text,
        finish_reason=written.finish_reason,
        usage=written.usage,
        seed=written.seed,
        bundle=model.bundle.tag,
    )


def _streams(model: ServedModel) -> bool:
    """Whether a model reads its input piece by piece, from left to right."""
    return isinstance(model, SequenceModel)


def _listed(text: str | list[str]) -> tuple[list[str], list[Location]]:
    """Return one text or several as a list, and where each stands in the request."""
    if isinstance(text, list):
        return text, [("text", index) for index in range(len(text))]
    return [text], [("text",)]


async def _words(model: TaggingModel, request: TagRequest) -> list[Words]:
    """Return the words to tag: those of texts, or words as they were sent."""
    if request.text is not None:
        return await model.split(*_listed(request.text))
    tokens = request.tokens or []
    rows = [tokens] if isinstance(tokens[0], str) else tokens
    return [Words(row) for row in rows]
