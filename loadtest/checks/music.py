"""Checks of compositions."""

import base64
from collections.abc import Sequence

from loadtest.answers import ComposeAnswer

Frames = Sequence[Sequence[int]]


def check_composition(answer: ComposeAnswer, given: Frames, num_frames: int) -> str | None:
    """Check that `num_frames` frames follow the given ones, that pitches ascend, and that notes and MIDI file agree."""
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


def _sounding(answer: ComposeAnswer) -> list[list[int]] | None:
    """Return the pitches that the notes make in each frame. None if a note is outside the piece."""
    frames: list[list[int]] = [[] for _ in answer.frames]
    for note in answer.notes:
        start = round(note.start * answer.frames_per_beat)
        end = start + round(note.duration * answer.frames_per_beat)
        if not 0 <= start < end <= len(frames):
            return None
        for frame in frames[start:end]:
            frame.append(note.pitch)
    return [sorted(frame) for frame in frames]


def _check_midi(midi: str) -> str | None:
    try:
        content = base64.b64decode(midi, validate=True)
    except ValueError:  # its subclass binascii.Error, or ValueError itself for text that is not ASCII
        return "midi: not in base64"
    return None if content.startswith(b"MThd") else "midi: not a MIDI file"
