"""Text continuations in the form of OpenAI's completions, whole or as a stream of chunks.

    data: {"choices": [{"index": 0, "text": "..."}]}                          a piece, as it becomes certain
    data: {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}    the end of one text
    data: {"choices": [], "usage": {...}}                                     if stream_options ask for it
    data: [DONE]                                                              the end of all
    data: {"error": {...}}                                                    instead of the rest, after a failure

The texts are those of `/generate` with the same seeds and sampling.
"""

import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Literal

import orjson

from service.api.answer import json_of
from service.api.openai.errors import error_of
from service.concurrency.open_answers import OpenAnswers
from service.concurrency.streams import merged, time_to_first, wait_for_first
from service.concurrency.waiting import together
from service.decoding.sampling import drawn_seed
from service.errors import Location, ServiceError
from service.forms.completions import Choice, Completion, CompletionRequest
from service.forms.generation import Continuation, Usage
from service.metrics import Metrics
from service.tasks.generation import GenerationModel
from service.tasks.language import Finished
from service.tasks.task import Piece

TextEvent = tuple[int, Piece | Finished[Continuation]]  # index of a text, and a piece or its end
NUM_SEEDS = 2**63
DONE = b"[DONE]"


class Completions:
    """Continues texts.

    Args:
        metrics: Observes the time to the first piece.
        open_answers: Limits how long an answer takes.
        clock: Returns seconds since 1970.
    """

    def __init__(self, metrics: Metrics, open_answers: OpenAnswers, clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._open_answers = open_answers
        self._clock = clock

    async def whole(self, model: GenerationModel, request: CompletionRequest) -> Completion:
        """Return all texts as one answer."""
        texts = Texts(model, request, int(self._clock()))
        ends: dict[int, Continuation] = {}
        async with aclosing(self._events(texts)) as events:
            async for place, event in events:
                if isinstance(event, Finished):
                    ends[place] = event.answer
        return texts.answer(ends)

    async def stream(self, model: GenerationModel, request: CompletionRequest) -> AsyncGenerator[bytes]:
        """Return server-sent events, which may fail with a refusal. One before the first event is raised here."""
        texts = Texts(model, request, int(self._clock()))
        return _chunks(texts, await wait_for_first(self._events(texts)))

    def _events(self, texts: "Texts") -> AsyncGenerator[TextEvent]:
        return self._open_answers.pieces(time_to_first(texts.written(), self._metrics.time_to_first_token.observe))


class Texts:
    """The texts that a request asks for, in the order of its prompts, with all continuations of a prompt together.

    Attributes:
        request: What was asked.

    Args:
        model: Continues them.
        request: What was asked.
        created: Time of the request, in seconds since 1970.
    """

    def __init__(self, model: GenerationModel, request: CompletionRequest, created: int) -> None:
        self.request = request
        self._model = model
        self._seed = drawn_seed() if request.seed is None else request.seed
        self._head = Completion(
            id=f"cmpl-{secrets.token_hex(12)}",
            created=created,
            model=model.name,
            system_fingerprint=model.bundle.tag,
        )

    async def written(self) -> AsyncGenerator[TextEvent]:
        """Yield pieces of all texts as they become certain, and their ends."""
        self._model.engine.check_rows(self.num_texts, of="texts")
        opened = await together(self._model.open(*prompt) for prompt in self._prompts())
        writings = [
            self._model.generate(state, self.request, self._seed_of(copy), num_prompt_tokens)
            for state, num_prompt_tokens in opened
            for copy in range(self.request.n)
        ]
        async with aclosing(merged(writings)) as events:
            async for event in events:
                yield event

    def answer(self, ends: Mapping[int, Continuation]) -> Completion:
        """Return all texts as one answer."""
        choices = [
            self.choice(place, self.echo(place) + ends[place].text, ends[place].finish_reason)
            for place in range(self.num_texts)
        ]
        return self._head.model_copy(update={"choices": choices, "usage": self.usage(ends)})

    def chunk(self, **update: object) -> bytes:
        """Return a part of an answer, with its usage only if the request asks for it."""
        chunk = self._head.model_copy(update=update)
        return _data(json_of(chunk, exclude=None if self.request.includes_usage else {"usage"}))

    def choice(self, place: int, text: str, finish_reason: Literal["length", "stop"] | None = None) -> Choice:
        """Return a text, or a piece of one, as a choice."""
        return Choice(index=place, text=text, finish_reason=finish_reason, seed=self._seed_of(place))

    def usage(self, ends: Mapping[int, Continuation]) -> Usage:
        """Count the characters of each prompt once, and those of all continuations."""
        num_read = sum(ends[place].usage.prompt_tokens for place in range(0, self.num_texts, self.request.n))
        num_written = sum(end.usage.completion_tokens for end in ends.values())
        return Usage(prompt_tokens=num_read, completion_tokens=num_written, total_tokens=num_read + num_written)

    def echo(self, place: int) -> str:
        """Return the prompt that a text begins with. Empty unless the request echoes it."""
        return self.request.prompts[place // self.request.n] if self.request.echo else ""

    @property
    def num_texts(self) -> int:
        """Number of texts."""
        return len(self.request.prompts) * self.request.n

    def _prompts(self) -> list[tuple[str, Location]]:
        """Return the prompts, and where each stands in the request."""
        prompt = self.request.prompt
        if isinstance(prompt, str):
            return [(prompt, ("prompt",))]
        return [(each, ("prompt", index)) for index, each in enumerate(prompt)]

    def _seed_of(self, place: int) -> int:
        return (self._seed + place % self.request.n) % NUM_SEEDS


async def _chunks(texts: Texts, events: AsyncGenerator[TextEvent]) -> AsyncGenerator[bytes]:
    """Yield the server-sent events of texts."""
    async with aclosing(events):
        if texts.request.echo:
            for place in range(texts.num_texts):
                yield texts.chunk(choices=[texts.choice(place, texts.echo(place))])
        ends: dict[int, Continuation] = {}
        async for place, event in events:
            if isinstance(event, Finished):
                ends[place] = event.answer
                choice = texts.choice(place, "", event.answer.finish_reason)
            else:
                choice = texts.choice(place, event[GenerationModel.piece_name])
            yield texts.chunk(choices=[choice])
        if texts.request.includes_usage:
            yield texts.chunk(usage=texts.usage(ends))
        yield _data(DONE)


def error_chunk(error: ServiceError) -> bytes:
    """Return a refusal as an event."""
    return _data(orjson.dumps(error_of(error)))


def _data(content: bytes) -> bytes:
    return b"data: %b\n\n" % content
