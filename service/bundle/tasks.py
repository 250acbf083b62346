"""The tasks of bundles: what serving each task needs to know besides the graphs."""

from typing import Annotated, Literal

from pydantic import Field

from service.bundle.manifest_model import FileName, ManifestModel


class SentimentTask(ManifestModel):
    """Text in, a label after each word out."""

    kind: Literal["sentiment"] = "sentiment"
    labels: tuple[str, ...]
    tokenizer: FileName = "tokenizer.json"


class GenerationTask(ManifestModel):
    """Characters in, characters out; `start` is read before the first character of every text."""

    kind: Literal["generation"] = "generation"
    characters: tuple[str, ...]
    start: str
    tokenizer: FileName = "tokenizer.json"


class KnownChannel(ManifestModel):
    """A channel whose typical level and scale (mean absolute deviation) the model gets, by the channel's name."""

    name: str
    center: float
    unit: float = Field(ge=0)


class ForecastingTask(ManifestModel):
    """Readings in, a mean and quantiles for each later reading out.

    Attributes:
        segment: Number of readings in an item.
        season: Number of readings after which a pattern repeats. None for a forecaster with a window, which has none.
        look_back: Number of latest readings that a forecast is based on; None for all of them.
        interval: Time between two readings, in words.
        quantiles: Levels that the graphs return.
        max_horizon: Maximum number of readings ahead.
        channels: Those that it was trained on and recognises by their names; it also takes any others. Their order is
            the model's own: a state tensor `channel` numbers them from 1.
    """

    kind: Literal["forecasting"] = "forecasting"
    segment: int = Field(ge=1)
    season: int | None = Field(default=None, ge=1)
    look_back: int | None = Field(default=None, ge=1)
    interval: str = ""
    quantiles: tuple[float, ...] = Field(min_length=2)
    max_horizon: int = Field(ge=1)
    channels: tuple[KnownChannel, ...] = ()


class MusicTask(ManifestModel):
    """Frames of notes in, frames out; tokens are the pitches from `lowest` to `highest`, then the end of a frame.

    Attributes:
        lowest: MIDI number of token 0.
        highest: MIDI number of the last pitch.
        frames_per_beat: Number of frames in a quarter note.
        frames_per_bar: Number of frames in the usual bar.
    """

    kind: Literal["music"] = "music"
    lowest: int = Field(ge=0, le=127)
    highest: int = Field(ge=0, le=127)
    frames_per_beat: int = Field(ge=1)
    frames_per_bar: int = Field(ge=1)


class TaggingTask(ManifestModel):
    """Words in, a tag for each out.

    Attributes:
        tags: The tags, in the order of the logits.
        scheme: "words" if each tag stands for itself; "bio" for BIO tags, which mark entities of several words.
        characters: The known characters, with ids 1, 2, ...; id 0 is any other character.
        longest_word: Of a longer word, only this many characters are read: half at its beginning, half at its end.
    """

    kind: Literal["tagging"] = "tagging"
    tags: tuple[str, ...] = Field(min_length=1)
    scheme: Literal["words", "bio"]
    characters: tuple[str, ...]
    longest_word: int = Field(ge=2, multiple_of=2)
    tokenizer: FileName = "tokenizer.json"


class TranslationTask(ManifestModel):
    """A text in, its translation out.

    Attributes:
        source: Language of the text, as an ISO 639-1 code.
        target: Language of the translation.
        start: The piece that the decoder reads before the first one of a translation.
        end: The piece that ends a translation.
        length_penalty: Exponent of the length that a translation's log-probability is divided by.
    """

    kind: Literal["translation"] = "translation"
    source: str
    target: str
    start: int
    end: int
    length_penalty: float = Field(ge=0)
    tokenizer: FileName = "tokenizer.json"


class CaptionTask(ManifestModel):
    """An image in, a sentence out.

    Attributes:
        words: The word of each token; the first token ends a sentence, and is read before its first word.
        size: Number of rows, and of columns, of an image.
        largest: Value of a pixel of full ink; paper is 0.
    """

    kind: Literal["caption"] = "caption"
    words: tuple[str, ...] = Field(min_length=2)
    size: int = Field(ge=1)
    largest: float = Field(gt=0)


Task = Annotated[
    SentimentTask | GenerationTask | ForecastingTask | MusicTask | TaggingTask | TranslationTask | CaptionTask,
    Field(discriminator="kind"),
]
