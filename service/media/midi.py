"""Standard MIDI files of notes on a grid of time."""

from collections.abc import Sequence
from io import BytesIO

from mido import Message, MetaMessage, MidiFile, MidiTrack, bpm2tempo

from service.media.music import NoteEvent

TICKS_PER_BEAT = 480
VELOCITY = 80
MIN_TEMPO, MAX_TEMPO = 4, 1000  # a MIDI file stores the length of a beat in 24 bits of microseconds


def midi_file(notes: Sequence[NoteEvent], frames_per_beat: int, tempo: float, instrument: int) -> bytes:
    """Return a MIDI file with one track.

    Args:
        notes: Times in frames.
        frames_per_beat: Frames of a quarter note; divides TICKS_PER_BEAT.
        tempo: Quarter notes a minute.
        instrument: Program number of General MIDI, 0 to 127.
    """
    ticks = TICKS_PER_BEAT // frames_per_beat
    # At the same time, notes end before others begin: the end of a note must not cut off its repetition.
    events = sorted(
        [(note.start * ticks, 1, note.pitch) for note in notes]
        + [((note.start + note.length) * ticks, 0, note.pitch) for note in notes]
    )
    track = MidiTrack(
        [MetaMessage("set_tempo", tempo=round(bpm2tempo(tempo))), Message("program_change", program=instrument)]
    )
    now = 0
    for time, is_start, pitch in events:
        track.append(Message("note_on" if is_start else "note_off", note=pitch, velocity=VELOCITY, time=time - now))
        now = time
    content = BytesIO()
    MidiFile(type=0, ticks_per_beat=TICKS_PER_BEAT, tracks=[track]).save(file=content)
    return content.getvalue()
