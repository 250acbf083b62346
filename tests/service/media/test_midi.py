from io import BytesIO

import pytest
from mido import MidiFile

from service.media.midi import MAX_TEMPO, MIN_TEMPO, midi_file
from service.media.music import NoteEvent, note_events


def read(content: bytes) -> MidiFile:
    return MidiFile(file=BytesIO(content))


def heard(content: bytes) -> list[tuple[int, float, float]]:
    """Pitch, start and length of each note, in seconds, as a player hears it."""
    now, sounding, notes = 0.0, {}, []
    for message in read(content):
        now += message.time
        if message.type == "note_on":
            assert message.note not in sounding
            sounding[message.note] = now
        elif message.type == "note_off":
            start = sounding.pop(message.note)
            notes.append((message.note, round(start, 6), round(now - start, 6)))
    assert not sounding
    return sorted(notes)


@pytest.mark.parametrize(("frames_per_beat", "tempo", "frame"), [(1, 60, 1.0), (2, 60, 0.5), (1, 120, 0.5)])
def test_notes_sound_when_and_as_long_as_they_should(frames_per_beat: int, tempo: float, frame: float) -> None:
    content = midi_file([NoteEvent(60, 0, 2), NoteEvent(64, 1, 1), NoteEvent(60, 3, 1)], frames_per_beat, tempo, 0)
    assert heard(content) == [(60, 0.0, 2 * frame), (60, 3 * frame, frame), (64, frame, frame)]


def test_a_note_that_is_struck_again_ends_first() -> None:
    content = midi_file(note_events([(60,), (60,)], "struck"), 1, 60, 0)
    assert heard(content) == [(60, 0.0, 1.0), (60, 1.0, 1.0)]


def test_the_file_names_instrument_and_grid() -> None:
    opened = read(midi_file([], 2, 90, 19))
    assert (opened.type, len(opened.tracks), opened.ticks_per_beat) == (0, 1, 480)
    programs = [message.program for message in opened.tracks[0] if message.type == "program_change"]
    assert programs == [19]


@pytest.mark.parametrize("tempo", [MIN_TEMPO, 61.7, MAX_TEMPO])
def test_any_tempo_can_be_written(tempo: float) -> None:
    (written,) = (
        message.tempo for message in read(midi_file([], 1, tempo, 0)).tracks[0] if message.type == "set_tempo"
    )
    assert 60e6 / written == pytest.approx(tempo, rel=1e-4)


def test_equal_notes_are_equal_bytes() -> None:
    notes = note_events([(60, 64), (62,)], "held")
    assert midi_file(notes, 1, 90, 0) == midi_file(notes, 1, 90, 0)
