"""The forms of the service's answers, as a client sees them.

Numbers are finite and types are strict. Unknown members are ignored, since the service may add some.
"""

from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

O = TypeVar("O")  # noqa: E741  outputs of a step


class Answer(BaseModel):
    """A JSON object from the service."""

    model_config = ConfigDict(frozen=True, strict=True)


class EmptyAnswer(Answer):
    """An empty answer."""


class Judgement(Answer):
    """The judgement of one text. A text without words has no label."""

    label: str | None = None
    score: FiniteFloat | None = None
    probabilities: dict[str, FiniteFloat]
    trajectory: list[tuple[str, FiniteFloat]] | None = None


class SentimentAnswer(Answer):
    """One judgement per text."""

    results: list[Judgement]
    bundle: str


class AttentionMap(Answer):
    """The attention of each piece of a translation over the source."""

    source: list[str]
    target: list[str]
    weights: list[list[FiniteFloat]]


class Translation(Answer):
    """A translated text."""

    text: str
    score: FiniteFloat
    attention: AttentionMap | None = None


class TranslateAnswer(Answer):
    """One translation per text."""

    translations: list[Translation]
    bundle: str


class Usage(Answer):
    """Number of characters read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Continuation(Answer):
    """The continuation of a text."""

    text: str
    finish_reason: Literal["length", "stop"]
    usage: Usage
    seed: int


class GenerateAnswer(Continuation):
    """The continuation of a prompt, and the bundle that wrote it."""

    bundle: str


class Piece(Answer):
    """A piece of a streamed text."""

    text: str


class StreamEnd(Answer):
    """The last event of a streamed text."""

    finish_reason: Literal["length", "stop"]
    usage: Usage
    seed: int
    bundle: str


class NextCharacters(Answer):
    """The most probable next characters after a text, and the log-probability of the text."""

    next: list[tuple[str, FiniteFloat]]
    log_prob: FiniteFloat


class ChannelForecast(Answer):
    """The forecast of one channel."""

    known: bool
    mean: list[FiniteFloat]
    quantiles: dict[str, list[FiniteFloat]]


class ForecastAnswer(Answer):
    """The forecast of each channel."""

    forecast: dict[str, ChannelForecast]
    bundle: str


class ReadingsAnswer(Answer):
    """The number of readings that a session has seen, and the forecast if one was asked for."""

    readings: int
    forecast: dict[str, ChannelForecast] | None = None


class SessionView(Answer):
    """A session."""

    session_id: str
    model: str
    bundle: str
    step: int
    expires_at: str


class StepAnswer(Answer, Generic[O]):
    """The answer to a step. `step` is the number of the next one."""

    session_id: str
    step: int
    outputs: O


class Problem(Answer):
    """A refusal (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    expected_step: int | None = None
    reason: str | None = None

    @property
    def code(self) -> str:
        """The last part of the type, which names the problem, and the reason if there is one."""
        name = self.type.rpartition(":")[2]
        return f"{name} ({self.reason})" if self.reason else name


class ItemAnswer(Answer, Generic[O]):
    """The answer to one of many steps: outputs, or a problem."""

    session_id: str
    status: int
    step: int | None = None
    outputs: O | None = None
    problem: Problem | None = None


class ItemAnswers(Answer, Generic[O]):
    """One answer for each item of a request, in order."""

    items: list[ItemAnswer[O]]


class MessageAnswer(ItemAnswer[O]):
    """The answer to a message on a stream. `id` is that of the message."""

    id: int


class PlayedNote(Answer):
    """A note; times in quarter notes."""

    pitch: int
    start: FiniteFloat
    duration: FiniteFloat


class ComposeAnswer(Answer):
    """A piece as frames, as notes and as a MIDI file in base64."""

    frames: list[list[int]]
    seed: int
    frames_per_beat: int
    tempo: FiniteFloat
    notes: list[PlayedNote]
    midi: str
    bundle: str


class TaggedToken(Answer):
    """A word with its tag, and its place in a whole text."""

    token: str
    tag: str
    probability: FiniteFloat
    start: int | None = None
    end: int | None = None


class TaggedEntity(Answer):
    """An entity. `tokens` are its first word and the one after its last."""

    kind: str
    text: str
    tokens: tuple[int, int]
    start: int
    end: int


class Tagged(Answer):
    """The tagged words of one text, and its entities if the bundle tags them."""

    tokens: list[TaggedToken]
    entities: list[TaggedEntity] | None = None


class TagAnswer(Answer):
    """One result per text."""

    results: list[Tagged]
    bundle: str


class TaggedPiece(Answer):
    """The words that a piece has completed, and those that may still grow."""

    tokens: list[TaggedToken]
    pending: list[TaggedToken]


class CaptionAnswer(Answer):
    """A sentence about an image."""

    caption: str
    words: list[str]
    pixels: list[list[FiniteFloat]]
    seed: int
    bundle: str


def form_failure(error: ValidationError) -> str:
    """Return the kind of failure of an answer that does not have the promised form, without list positions."""
    first = error.errors()[0]
    location = ".".join("*" if isinstance(part, int) else part for part in first["loc"])
    return f"form: {location or 'body'}: {first['type']}"
