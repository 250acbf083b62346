"""Music on a grid of time: names of notes, frames, and what is struck or held. Pure.

A frame is what sounds during one cell of the grid. The training data does not distinguish a note that is struck again
from one that is held, so neither do frames. To turn frames into notes, choose one of:

    held     a pitch that goes on sounding in the next frame is one long note
    struck   every frame strikes all that sounds in it
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

Note = int | str
Notes = Note | list[Note] | list[list[Note]]
Articulation = Literal["held", "struck"]
Frame = tuple[int, ...]

_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}
NAME = r"^[A-Ga-g](#|♯|b|♭)?-?[0-9]$"
_NAME = re.compile(r"([A-Ga-g])(#|♯|b|♭)?(-?[0-9])")


class NoteEvent(NamedTuple):
    """A note of a piece. Times are in frames."""

    pitch: int
    start: int
    length: int


def pitch_of(note: int | str) -> int:
    """Return the MIDI number of a note, given as that number or as a name: "C4" is 60, "Bb2" 46.

    Raises:
        ValueError: It is not the name of a note.
    """
    if isinstance(note, int):
        return note
    match = _NAME.fullmatch(note)
    if match is None:
        raise ValueError(f"{note!r} is not a note")
    letter, accidental, octave = match.groups()
    return 12 * (int(octave) + 1) + _SEMITONES[letter.upper()] + _ACCIDENTALS[accidental or ""]


def kind_of_notes(notes: Any) -> str:  # noqa: ANN401  # whatever a client sent
    """Return "note", "chord" or "chords", depending on how the notes are nested."""
    if not isinstance(notes, list):
        return "note"
    return "chords" if any(isinstance(each, list) for each in notes) else "chord"


def frames_of(notes: Notes) -> list[Frame]:
    """Return the frames of a note, a chord or several chords.

    Raises:
        ValueError: A name is not that of a note.
    """
    match kind_of_notes(notes):
        case "note":
            chords: Any = [[notes]]
        case "chord":
            chords = [notes]
        case _:
            chords = notes
    return [tuple(sorted({pitch_of(note) for note in chord})) for chord in chords]


def placed(notes: Notes) -> Iterator[tuple[tuple[int, ...], Note]]:
    """Yield each note with its indices in the nested lists."""
    if not isinstance(notes, list):
        yield (), notes
        return
    for index, each in enumerate(notes):
        for place, note in placed(each):
            yield (index, *place), note


def note_events(frames: Sequence[Frame], articulation: Articulation) -> list[NoteEvent]:
    """Return the notes of frames in the order in which they begin, the lowest first."""
    return sorted(_note_events(frames, articulation), key=lambda note: (note.start, note.pitch))


def _note_events(frames: Sequence[Frame], articulation: Articulation) -> Iterator[NoteEvent]:
    begun: dict[int, int] = {}
    for now, frame in enumerate([*frames, ()]):
        for pitch in list(begun):
            if articulation == "struck" or pitch not in frame:
                start = begun.pop(pitch)
                yield NoteEvent(pitch, start, now - start)
        for pitch in frame:
            begun.setdefault(pitch, now)


class FrameTokens:
    """Frames as tokens: each pitch as its distance from `lowest`, in ascending order, then the end of the frame.

    Attributes:
        end: The token that ends a frame.

    Args:
        lowest: MIDI number of token 0.
        highest: MIDI number of the last pitch.
    """

    def __init__(self, lowest: int, highest: int) -> None:
        self._lowest = lowest
        self._highest = highest
        self.end = highest - lowest + 1

    def has(self, pitch: int) -> bool:
        """Whether a pitch has a token."""
        return self._lowest <= pitch <= self._highest

    def encode(self, frames: Sequence[Frame]) -> list[int]:
        """Return the tokens of frames. A pitch that is named twice sounds once."""
        return [token for frame in frames for token in (*sorted({pitch - self._lowest for pitch in frame}), self.end)]

    def pitch(self, token: int) -> int | None:
        """Return the MIDI number of a token, or None for the end of a frame."""
        return None if token == self.end else token + self._lowest


class FrameCollector:
    """Collects tokens as they are written, until all frames have ended. Lengths are in tokens.

    Attributes:
        frames: The frames that have ended.
        length: Number of tokens that were written.
        certain_length: Number of tokens in the frames that have ended.
        stopped: Whether all frames have ended.
        limit: The most tokens that all frames can have.
    """

    def __init__(self, tokens: FrameTokens, num_frames: int) -> None:
        self._tokens = tokens
        self._num_frames = num_frames
        self._open: list[int] = []
        self.frames: list[Frame] = []
        self.length = 0
        self.certain_length = 0
        self.stopped = False
        self.limit = num_frames * (tokens.end + 1)

    def append(self, tokens: Sequence[int]) -> list[Frame]:
        """Add tokens that were written.

        Returns:
            The frames that they have ended.
        """
        ended: list[Frame] = []
        for position, token in enumerate(tokens, start=self.length + 1):
            pitch = self._tokens.pitch(token)
            if pitch is not None:
                self._open.append(pitch)
                continue
            ended.append(tuple(self._open))
            self._open.clear()
            self.certain_length = position
            self.stopped = len(self.frames) + len(ended) == self._num_frames
            if self.stopped:
                break
        self.frames += ended
        self.length += len(tokens)
        return ended

    def flush(self) -> list[Frame]:
        """Return nothing: a frame that has not ended does not count."""
        return []
