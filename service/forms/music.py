"""Music to compose, and the answers."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from service.forms.form import BundleTag, Form, Null, Question, Seed, WithMessage, requires_field, union_tag
from service.forms.sampling_options import SamplingOptions
from service.media.midi import MAX_TEMPO, MIN_TEMPO
from service.media.music import NAME as NOTE_NAME
from service.media.music import Articulation, kind_of_notes

MAX_NOTES = 88  # of a chord
MAX_FRAMES = 1024
MAX_BARS = 128
DEFAULT_BARS = 8


def _shape_of_note(value: Any) -> Any:  # noqa: ANN401  # whatever a client sent
    return union_tag("name" if isinstance(value, str) else "number")


def _shape_of_notes(value: Any) -> Any:  # noqa: ANN401  # whatever a client sent
    if value is None:
        return union_tag("none")
    return union_tag(kind_of_notes(value)) if isinstance(value, list) else _shape_of_note(value)


_A_NOTE = WithMessage('a note is a number from 0 to 127, or a name such as "C4", "F#3" or "Bb2"')
Number = Annotated[int, Field(ge=0, le=127), _A_NOTE, Tag(union_tag("number"))]
Name = Annotated[str, Field(pattern=NOTE_NAME), _A_NOTE, Tag(union_tag("name"))]
Note = Annotated[Number | Name, Discriminator(_shape_of_note)]
Chord = Annotated[list[Note], Field(fail_fast=True, max_length=MAX_NOTES)]
# One flat union, None and both kinds of notes included: BentoML builds a model's schema twice, which neither a union
# around this one nor a union directly in it survives.
Notes = Annotated[
    Null
    | Number
    | Name
    | Annotated[Chord, Tag(union_tag("chord"))]
    | Annotated[list[Chord], Field(fail_fast=True, min_length=1, max_length=MAX_FRAMES), Tag(union_tag("chords"))],
    Discriminator(_shape_of_notes),
]


class Composing(SamplingOptions):
    """How music goes on."""

    temperature: float = Field(
        0.9, ge=0, le=10, description="Sampling temperature; 0 always takes the most probable note"
    )
    top_p: float = Field(
        0.95, gt=0, le=1, description="Sample among the most probable notes whose probabilities add up to this"
    )
    frames: int | None = Field(
        None, ge=1, le=MAX_FRAMES, description="Number of frames to write; null: `bars`, or 8 bars"
    )
    bars: int | None = Field(
        None, ge=1, le=MAX_BARS, description="Number of bars to write, of the model's usual length, instead of `frames`"
    )

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.frames is not None and self.bars is not None:
            raise ValueError("give either frames or bars")
        return self

    def num_frames(self, frames_per_bar: int) -> int:
        """Return the number of frames to write."""
        return self.frames or (self.bars or DEFAULT_BARS) * frames_per_bar


class ComposeRequest(Composing, Question):
    """What a piece begins with, how it goes on, and how it is played."""

    notes: Notes = Field(
        None,
        examples=[["C3", "G3", "E4", "C5"]],
        description='Notes to begin with: a note (60 or "C4"), a chord (a list), or several chords (a list of lists)',
    )
    tempo: float = Field(90, ge=MIN_TEMPO, le=MAX_TEMPO, description="Tempo, in quarter notes a minute")
    articulation: Articulation = Field(
        "held", description="Whether a pitch that continues in the next frame is held or struck again"
    )
    instrument: int = Field(0, ge=0, le=127, description="General MIDI program number; 0 is a piano, 19 an organ")
    format: Literal["json", "midi"] = Field("json", description="Format of the answer: JSON, or the MIDI file itself")


class PlayedNote(Form):
    """A note. Times are in quarter notes."""

    pitch: int = Field(description="MIDI note number; 60 is C4")
    start: float = Field(description="Start of the note, in quarter notes from the beginning")
    duration: float = Field(description="Duration of the note, in quarter notes")


class Composition(Form):
    """Frames that were written: what sounds in each; `seed` gives the same again."""

    frames: list[list[int]] = Field(description="Pitches that sound in each frame, lowest first; [] is silence")
    seed: Seed = Field(description="Seed that was used: the one in the request, or one that was drawn")


class ComposeAnswer(Composition):
    """A whole piece, from its first given note on: frames, notes, and a MIDI file in base64."""

    frames_per_beat: int = Field(description="Number of frames in a quarter note")
    tempo: float = Field(description="Tempo, in quarter notes a minute")
    notes: list[PlayedNote] = Field(description="Notes in `frames`, each listed once")
    midi: str = Field(description="MIDI file of the piece, in base64")
    bundle: BundleTag


class NextNotes(Form):
    """The most probable next notes. null is the end of the frame."""

    next: list[tuple[int | None, float]] = Field(
        description="The five most probable next notes, each with its probability"
    )
    log_prob: float = Field(description="Log-probability, in nats, of the notes that this step read")


class MusicStep(Form):
    """Music to read, as in `ComposeRequest`, or how it goes on."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [requires_field("notes"), requires_field("generate")]})

    notes: Notes = Field(None, description="Notes to read: a note, a chord or several chords")
    generate: Composing | None = Field(
        None, description="How to continue the music, instead of reading `notes`; {}: with the defaults"
    )
