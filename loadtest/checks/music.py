"""What must be true of a composition."""

import base64
import binascii
from collections.abc import Sequence

from loadtest.answers import ComposeAnswer

Frames = Sequence[Sequence[int]]


def check_composition(answer: ComposeAnswer, given: Frames, num_frames: int) -> str | None:
    """So many frames after the given ones, each of ascending pitches, and the same as notes and as a MIDI file."""
    frames = answer.frames
    if [list(frame) for frame in given] != frames[: len(given)]:
        return "frames: the piece does not begin with what was given"
    if len(frames) != len(given) + num_frames:
        return "frames: not as many as were asked for"
    if any(frame != sorted(set(frame)) for frame in frames):
        return "frames: pitches do not ascend"
    if _sounding(answer) != frames:
        return "notes: not those of the frames"
    return _check_midi(answer.midi)


def check_same_piece(answer: ComposeAnswer, first: ComposeAnswer) -> str | None:
    """The same question with the same seed has the same answer."""
    return None if answer == first else "seed: the same seed composed another piece"


def _sounding(answer: ComposeAnswer) -> list[list[int]]:
    """The frames that the notes make."""
    frames: list[list[int]] = [[] for _ in answer.frames]
    for note in answer.notes:
        start = round(note.start * answer.frames_per_beat)
        for frame in frames[start : start + round(note.duration * answer.frames_per_beat)]:
            frame.append(note.pitch)
    return [sorted(frame) for frame in frames]


def _check_midi(midi: str) -> str | None:
    try:
        content = base64.b64decode(midi, validate=True)
    except binascii.Error:
        return "midi: not in base64"
    return None if content.startswith(b"MThd") else "midi: not a MIDI file"
