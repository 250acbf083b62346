"""What clients send and are answered: the forms of every surface, with their limits.

Forms hold no times and nothing else that differs between two runs on the same input.
"""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, FiniteFloat, Tag, field_validator, model_validator

from service.midi import MAX_TEMPO, MIN_TEMPO
from service.music import NAME as NOTE_NAME
from service.music import Articulation, kind_of_notes

MAX_TEXT_CHARACTERS = 65_536
MAX_TEXTS = 256
MAX_CHARACTERS_TOGETHER = 2**19
MAX_READINGS = 100_000
MAX_CHANNELS = 512
MAX_READING = 1e12
MAX_TOKENS = 4096
MAX_ITEMS = 1024
MAX_TAGGED_TOKENS = 8192
MAX_TOKEN_CHARACTERS = 1000
MAX_NOTES = 88  # of a chord
MAX_FRAMES = 1024
MAX_BARS = 128
DEFAULT_BARS = 8
MAX_PIXELS = 64  # of a row or a column
MAX_IMAGE_CHARACTERS = 2**20

One = TypeVar("One")
Many = TypeVar("Many")
# Told apart by what was sent, so that an error speaks of that form only.
OneOrMany = Annotated[
    Annotated[One, Tag("one")] | Annotated[Many, Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list) else "one"),
]
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARACTERS)]
Reading = Annotated[FiniteFloat, Field(ge=-MAX_READING, le=MAX_READING)]
Series = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=200)],
        Annotated[list[Reading], Field(min_length=1, max_length=MAX_READINGS)],
    ],
    Field(min_length=1, max_length=MAX_CHANNELS),
]
StopString = Annotated[str, Field(min_length=1, max_length=64)]
Quantile = Annotated[float, Field(gt=0, lt=1)]
Horizon = Annotated[int, Field(ge=1, le=2**31 - 1)]


class Form(BaseModel):
    """Immutable; an unknown key or a value of another type is an error, since a slip must not be ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Question(Form):
    """What is asked without a session."""

    model: str | None = Field(None, description="Which bundle answers; left out, the one that answers best")


def checked_together(text: str | list[str]) -> str | list[str]:
    """Texts of a request, which may not be too many characters together; ValueError."""
    if isinstance(text, list) and sum(map(len, text)) > MAX_CHARACTERS_TOGETHER:
        raise ValueError(f"the texts together have more than {MAX_CHARACTERS_TOGETHER} characters")
    return text


class SentimentRequest(Question):
    """Texts to judge."""

    text: OneOrMany[Text, Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS)]] = Field(
        examples=["A wonderful film."], description=f"One text or up to {MAX_TEXTS}"
    )
    trajectory: bool = Field(False, description="Also answer the label's probability after each word")

    @field_validator("text")
    @classmethod
    def _not_too_much_together(cls, text: str | list[str]) -> str | list[str]:
        return checked_together(text)


class Sentiment(Form):
    """The judgement of one text; `score` is the probability of `label`."""

    label: str | None
    score: float | None
    probabilities: dict[str, float]
    trajectory: list[tuple[str, float]] | None = Field(
        None, description="Each word with the probability of `label` after it", exclude_if=lambda value: value is None
    )


class SentimentAnswer(Form):
    """One result for each text, in order."""

    results: list[Sentiment]
    bundle: str


class Chance(Form):
    """How tokens are drawn: characters, notes or words."""

    temperature: float = Field(0.8, ge=0, le=10, description="0 always takes the most probable token")
    top_k: int | None = Field(None, ge=1, le=2**31 - 1, description="Sample among the k most probable tokens")
    top_p: float = Field(1.0, gt=0, le=1, description="Sample among the most probable tokens of this total mass")
    seed: int | None = Field(None, ge=0, lt=2**63, description="Same seed, same answer; left out, one is drawn")


Token = Annotated[str, Field(min_length=1, max_length=MAX_TOKEN_CHARACTERS, pattern=r"^\S+$")]
Tokens = Annotated[list[Token], Field(min_length=1, max_length=MAX_TAGGED_TOKENS)]


class TagRequest(Question):
    """Texts whose words are to be tagged, or words that are parted already."""

    text: OneOrMany[Text, Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS)]] = Field(
        default_factory=list,
        examples=["Ada Lovelace wrote the first program."],
        description=f"One text or up to {MAX_TEXTS}; they are parted into words",
    )
    tokens: Tokens | Annotated[list[Tokens], Field(min_length=1, max_length=MAX_TEXTS)] = Field(
        default_factory=list, description=f"Instead of `text`: the words of one text, or of up to {MAX_TEXTS}"
    )

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if bool(self.text) == bool(self.tokens):
            raise ValueError("give either text or tokens")
        together = self.text or self.tokens
        if isinstance(together, list) and sum(map(_num_characters, together)) > MAX_CHARACTERS_TOGETHER:
            raise ValueError(f"the texts together have more than {MAX_CHARACTERS_TOGETHER} characters")
        return self


def _num_characters(text: str | list[str]) -> int:
    return len(text) if isinstance(text, str) else sum(map(len, text))


class TaggedToken(Form):
    """A word with its tag; `start` and `end` are its place in the text, in characters."""

    token: str
    tag: str
    probability: float
    start: int | None = Field(None, exclude_if=lambda value: value is None)
    end: int | None = Field(None, exclude_if=lambda value: value is None)


class TaggedEntity(Form):
    """An entity of one or more words: `tokens` are its first and the one after its last."""

    kind: str
    text: str
    tokens: tuple[int, int]
    start: int | None = Field(None, exclude_if=lambda value: value is None)
    end: int | None = Field(None, exclude_if=lambda value: value is None)


class Tagged(Form):
    """The words of one text; entities where the tags mark some."""

    tokens: list[TaggedToken]
    entities: list[TaggedEntity] | None = Field(None, exclude_if=lambda value: value is None)


class TagAnswer(Form):
    """One result for each text, in order."""

    results: list[Tagged]
    bundle: str


class Sampling(Chance):
    """How a text is continued."""

    max_tokens: int = Field(200, ge=1, le=MAX_TOKENS, description="Characters to generate at most")
    stop: OneOrMany[StopString, Annotated[list[StopString], Field(max_length=4)]] = Field(
        default_factory=list, description="End before any of these strings"
    )

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)


class GenerateRequest(Sampling, Question):
    """A text to continue."""

    prompt: str = Field("", max_length=MAX_TEXT_CHARACTERS, examples=["ROMEO:"])
    stream: bool = Field(False, description="Answer with server-sent events as the text grows")


class Usage(Form):
    """Characters read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Continuation(Form):
    """A generated text, without its prompt; `seed` gives the same text again."""

    text: str
    finish_reason: Literal["length", "stop"]
    usage: Usage
    seed: int


class GenerateAnswer(Continuation):
    """A generated text and the bundle that wrote it."""

    bundle: str


class NextCharacters(Form):
    """What a text that was fed leads to expect; `log_prob` is that of the fed text, in nats."""

    next: list[tuple[str, float]]
    log_prob: float


NoteName = Annotated[str, Field(pattern=NOTE_NAME)]
Note = Annotated[int, Field(ge=0, le=127)] | NoteName
Chord = Annotated[list[Note], Field(max_length=MAX_NOTES)]
# None is one of the forms: BentoML makes a model's schema twice, which a union around this one does not outlive.
Notes = Annotated[
    Annotated[None, Tag("none")]
    | Annotated[Note, Tag("note")]
    | Annotated[Chord, Tag("chord")]
    | Annotated[list[Chord], Field(min_length=1, max_length=MAX_FRAMES), Tag("chords")],
    Discriminator(lambda value: "none" if value is None else kind_of_notes(value)),
]


class Composing(Chance):
    """How music goes on."""

    temperature: float = Field(0.9, ge=0, le=10, description="0 always takes the most probable note")
    top_p: float = Field(0.95, gt=0, le=1, description="Sample among the most probable notes of this total mass")
    frames: int | None = Field(None, ge=1, le=MAX_FRAMES, description="How many frames to write; default: 8 bars")
    bars: int | None = Field(None, ge=1, le=MAX_BARS, description="The same in bars of the model's usual length")

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.frames is not None and self.bars is not None:
            raise ValueError("give one of frames and bars")
        return self

    def num_frames(self, frames_per_bar: int) -> int:
        """How many frames are asked for."""
        return self.frames or (self.bars or DEFAULT_BARS) * frames_per_bar


class ComposeRequest(Composing, Question):
    """What a piece begins with, how it goes on, and how it is played."""

    notes: Notes = Field(
        None,
        examples=[["C3", "G3", "E4", "C5"]],
        description='What it begins with: a note (60 or "C4"), a chord (a list), or several chords (a list of lists)',
    )
    tempo: float = Field(90, ge=MIN_TEMPO, le=MAX_TEMPO, description="Quarter notes a minute")
    articulation: Articulation = Field(
        "held", description="Whether a pitch that goes on in the next frame is held, or struck again in every frame"
    )
    instrument: int = Field(0, ge=0, le=127, description="Program number of General MIDI; 0 is a piano, 19 an organ")
    format: Literal["json", "midi"] = Field("json", description="midi answers the MIDI file itself")


class PlayedNote(Form):
    """A note; times in quarter notes."""

    pitch: int
    start: float
    duration: float


class Composition(Form):
    """Frames that were written: what sounds in each; `seed` gives the same again."""

    frames: list[list[int]]
    seed: int


class ComposeAnswer(Composition):
    """A whole piece, from its first given note on: frames, notes, and a MIDI file in base64."""

    frames_per_beat: int
    tempo: float
    notes: list[PlayedNote]
    midi: str
    bundle: str


class NextNotes(Form):
    """What may sound next, or null for the end of the frame; `log_prob` is that of what was fed, in nats."""

    next: list[tuple[int | None, float]]
    log_prob: float


Pixel = Annotated[FiniteFloat, Field(ge=0, le=MAX_READING)]
Pixels = Annotated[
    list[Annotated[list[Pixel], Field(min_length=1, max_length=MAX_PIXELS)]],
    Field(min_length=1, max_length=MAX_PIXELS),
]
EncodedImage = Annotated[str, Field(min_length=1, max_length=MAX_IMAGE_CHARACTERS)]


class CaptionRequest(Chance, Question):
    """An image to describe."""

    image: OneOrMany[EncodedImage, Pixels] = Field(
        description="A PNG or JPEG file in base64, or rows of pixels from 0 (paper) to the largest of the model (ink)"
    )
    temperature: float = Field(0.0, ge=0, le=10, description="0 always takes the most probable word")


class CaptionAnswer(Form):
    """A sentence, and the pixels that it describes; `seed` gives it again where words are drawn."""

    caption: str
    words: list[str]
    pixels: list[list[float]]
    seed: int
    bundle: str


class ForecastRequest(Question):
    """Readings of one or more channels at equal steps of time, the latest last."""

    series: Series = Field(examples=[{"OT": [30.5, 27.8, 27.8, 25.0]}])
    horizon: Horizon = 24
    quantiles: list[Quantile] = Field(default_factory=lambda: [0.1, 0.5, 0.9], max_length=32)


class ChannelForecast(Form):
    """What a channel is expected to read, step by step after its latest reading."""

    mean: list[float]
    quantiles: dict[str, list[float]]


class ForecastAnswer(Form):
    """A forecast for each channel."""

    forecast: dict[str, ChannelForecast]
    bundle: str


class TranslateRequest(Question):
    """English texts to translate."""

    text: OneOrMany[Text, Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS)]] = Field(
        examples=["Two young men are outside near many bushes."], description=f"One text or up to {MAX_TEXTS}"
    )
    to: str = Field(examples=["de"], description="Language to translate into, as ISO 639-1 has it")
    beams: int = Field(5, ge=1, le=64, description="Translations that are compared at every step; 1 is quickest")
    attention: bool = Field(False, description="Also answer where each piece of the translation looked")

    @field_validator("text")
    @classmethod
    def _not_too_much_together(cls, text: str | list[str]) -> str | list[str]:
        return checked_together(text)


class AttentionMap(Form):
    """Where each piece of a translation looked: `weights[t][s]` is how much of `target[t]` came from `source[s]`.

    Pieces of words joined give the text; "\u2581" is a blank. The end of the translation is a piece of its own.
    """

    source: list[str]
    target: list[str]
    weights: list[list[float]]


class TranslatedText(Form):
    """A translation; `score` is its log-probability, in nats, divided by its length in pieces as the bundle says."""

    text: str
    score: float
    attention: AttentionMap | None = Field(None, exclude_if=lambda value: value is None)


class TranslateAnswer(Form):
    """One translation for each text, in order."""

    translations: list[TranslatedText]
    bundle: str


class TextStep(Form):
    """A piece of a text, cut anywhere."""

    text: Text


class CharacterStep(Form):
    """A piece of a text to read, or how to continue the text."""

    text: Text | None = None
    generate: Sampling | None = None


class MusicStep(Form):
    """Music to read, as in `ComposeRequest`, or how it goes on."""

    notes: Notes = None
    generate: Composing | None = None


class TagStep(Form):
    """A piece of a text, cut anywhere, or whole words; `end` says that the last word is whole."""

    text: Text | None = None
    tokens: Tokens | None = None
    end: bool = False

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.text is not None and self.tokens is not None:
            raise ValueError("give either text or tokens")
        if self.text is None and self.tokens is None and not self.end:
            raise ValueError("give text or tokens, or say that the text ends")
        return self


class TagStepAnswer(Form):
    """The words that this step has completed, and those of the unfinished end of the text as they stand."""

    tokens: list[TaggedToken]
    pending: list[TaggedToken]


class ReadingsStep(Form):
    """Readings as they come, or how far to forecast from the latest, or both."""

    values: Series | None = None
    horizon: Horizon | None = None
    quantiles: list[Quantile] = Field(default_factory=lambda: [0.1, 0.5, 0.9], max_length=32)


class IdsStep(Form):
    """Tokens by their ids."""

    ids: Annotated[list[int], Field(min_length=1, max_length=MAX_TEXT_CHARACTERS)]


class SegmentsStep(Form):
    """Whole segments of the readings of one channel."""

    x: Annotated[list[list[Reading]], Field(min_length=1, max_length=MAX_READINGS)]


class ReadingsAnswer(Form):
    """Readings seen in all; the forecast where one was asked for."""

    readings: int
    forecast: dict[str, ChannelForecast] | None = None


Ttl = Annotated[int, Field(ge=1, le=2**31 - 1)]
StepNumber = Annotated[int, Field(ge=0, lt=2**63)]
CheckpointName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]


class SessionRequest(Form):
    """A new session."""

    model: str
    ttl_seconds: Ttl | None = Field(None, description="End the session when idle for so long")
    keep_inputs: bool = Field(False, description="Keep all inputs, so that another bundle version may read them again")


class SessionView(Form):
    """A session as its owner sees it."""

    session_id: str
    model: str
    bundle: str
    step: int
    expires_at: str
    checkpoints: list[str] = Field(default_factory=list, exclude_if=lambda value: not value)


class SessionPage(Form):
    """Some sessions of an owner; `next` continues the list."""

    sessions: list[SessionView]
    next: str | None = None


class StepRequest(Form):
    """One step. A client that names `step` may retry for ever.

    `inputs` is what the session's model reads, or tensors: {"ids": [3, 7]} for tokens, {"x": [[...]]} for segments of
    readings, whose step answers what `return` says.
    """

    step: StepNumber | None = None
    inputs: dict[str, Any]
    returns: Literal["logits", "argmax", "none"] | None = Field(None, alias="return")
    allow_numerics_change: bool = Field(False, description="Go on where another runtime or machine computed the state")
    stream: bool = Field(False, description="Answer a generated text with server-sent events as it grows")


class StepAnswer(Form):
    """The outputs of a step; `step` is the number of the next one."""

    session_id: str
    step: int
    outputs: dict[str, Any]
    numerics_changed: bool = Field(False, exclude_if=lambda value: not value)


class StepItem(StepRequest):
    """One of many steps."""

    session_id: str
    stream: Literal[False] = False


class StepItems(Form):
    """Steps of many sessions; each is answered for itself."""

    items: Annotated[list[StepItem], Field(min_length=1, max_length=MAX_ITEMS)]


class StreamItem(StepItem):
    """A message on a stream; its answer has the same `id`."""

    id: str | Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None


class ItemAnswer(Form):
    """What one of many steps is answered: outputs, or the problem that it was refused with."""

    session_id: str
    status: int
    step: int | None = None
    outputs: dict[str, Any] | None = None
    problem: dict[str, Any] | None = None


class ItemAnswers(Form):
    """One answer for each item, in order."""

    items: list[ItemAnswer]


class CheckpointRequest(Form):
    """Which checkpoint of a session."""

    name: CheckpointName
    step: StepNumber | None = None


class ForkRequest(Form):
    """A session that goes on from another's state, or from one of its checkpoints."""

    checkpoint: CheckpointName | None = None
    step: StepNumber | None = Field(None, description="Only if this is the other's next step")
    ttl_seconds: Ttl | None = None


class RollbackRequest(Form):
    """Return to a checkpoint. That is a step of its own: the number never goes back."""

    checkpoint: CheckpointName
    step: StepNumber | None = None


class MigrateRequest(Form):
    """Move to another version of the session's bundle, by reading all inputs again."""

    bundle: str | None = Field(None, description="Tag of the version; the one that is served now if left out")
    step: StepNumber | None = None


class LoadParameters(Form):
    """Which version to load."""

    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "latest"


class LoadRequest(Form):
    """Make a bundle version current."""

    parameters: LoadParameters = LoadParameters()
