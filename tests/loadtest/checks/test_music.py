"""Compositions that must not pass, each beside one that must."""

import base64

import pytest

from loadtest.answers import ComposeAnswer, PlayedNote
from loadtest.checks.music import check_composition

MIDI = base64.b64encode(b"MThd and so on").decode()
RIGHT = ComposeAnswer(
    frames=[[60, 64], [60], [], [62]],
    seed=7,
    frames_per_beat=2,
    tempo=90.0,
    notes=[
        PlayedNote(pitch=60, start=0.0, duration=1.0),
        PlayedNote(pitch=64, start=0.0, duration=0.5),
        PlayedNote(pitch=62, start=1.5, duration=0.5),
    ],
    midi=MIDI,
    bundle="folk:0",
)

LONG = PlayedNote(pitch=62, start=1.5, duration=9.0)  # past the end of the piece
EARLY = PlayedNote(pitch=62, start=-0.5, duration=0.5)  # as the index of a list, its last frame


def test_a_right_composition_passes() -> None:
    assert check_composition(RIGHT, [[60, 64]], 3) is None


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"frames": [[61], [60], [], [62]]}, "frames: the piece does not begin with what was given"),
        ({"frames": [[60, 64], [60], []]}, "frames: not as many as were asked for"),
        ({"frames": [[60, 64], [60], [], [62, 61]]}, "frames: pitches do not ascend"),
        ({"frames": [[60, 64], [60], [], [61]]}, "notes: not those of the frames"),
        ({"notes": RIGHT.notes[:2]}, "notes: not those of the frames"),
        ({"notes": [*RIGHT.notes[:2], LONG]}, "notes: not those of the frames"),
        ({"notes": [*RIGHT.notes[:2], EARLY]}, "notes: not those of the frames"),
        ({"midi": "MThd!"}, "midi: not in base64"),
        ({"midi": "é"}, "midi: not in base64"),
        ({"midi": base64.b64encode(b"RIFF").decode()}, "midi: not a MIDI file"),
    ],
)
def test_a_wrong_composition_fails(changes: dict[str, object], failure: str) -> None:
    assert check_composition(RIGHT.model_copy(update=changes), [[60, 64]], 3) == failure
