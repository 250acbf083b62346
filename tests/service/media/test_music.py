import pytest

from service.media.music import Frame, FrameCollector, FrameTokens, NoteEvent, frames_of, note_events, pitch_of, placed

TOKENS = FrameTokens(21, 108)


@pytest.mark.parametrize(
    ("name", "number"),
    [("C4", 60), ("A4", 69), ("a0", 21), ("C8", 108), ("F#3", 54), ("Bb2", 46), ("B♭2", 46), ("C-1", 0), (61, 61)],
)
def test_notes_have_names_and_numbers(name: int | str, number: int) -> None:
    assert pitch_of(name) == number


@pytest.mark.parametrize("name", ["", "H4", "C", "C44", "4C", "C##4", "C\u0664", "C\U00010d41"])
def test_what_is_no_note_is_said(name: str) -> None:
    with pytest.raises(ValueError, match="not a note"):
        pitch_of(name)


def test_a_note_a_chord_and_chords_are_frames_the_lowest_note_first() -> None:
    assert frames_of("C4") == frames_of(["C4"]) == [(60,)]
    assert frames_of(["E4", 60, "C4"]) == [(60, 64)]
    assert frames_of([["E4", "C4"], [], ["C4"]]) == [(60, 64), (), (60,)]
    assert frames_of([]) == [()]


FRAMES: list[Frame] = [(60, 64), (60, 65), (), (60,)]


def test_held_pitches_are_one_note_each() -> None:
    assert note_events(FRAMES, "held") == [
        NoteEvent(60, 0, 2),
        NoteEvent(64, 0, 1),
        NoteEvent(65, 1, 1),
        NoteEvent(60, 3, 1),
    ]


def test_struck_pitches_are_a_note_in_every_frame() -> None:
    assert note_events(FRAMES, "struck") == [
        NoteEvent(60, 0, 1),
        NoteEvent(64, 0, 1),
        NoteEvent(60, 1, 1),
        NoteEvent(65, 1, 1),
        NoteEvent(60, 3, 1),
    ]


def test_frames_are_ascending_tokens_and_an_end() -> None:
    assert TOKENS.encode([(64, 60, 60), (), (108,)]) == [39, 43, 88, 88, 87, 88]
    assert [TOKENS.pitch(token) for token in (0, 87, 88)] == [21, 108, None]


@pytest.mark.parametrize("pitch", [20, 109])
def test_a_pitch_beyond_the_tokens_has_none(pitch: int) -> None:
    assert not TOKENS.has(pitch)
    assert TOKENS.has(21)
    assert TOKENS.has(108)


def test_notes_are_told_with_their_place() -> None:
    assert list(placed(60)) == [((), 60)]
    assert list(placed(["C4", 62])) == [((0,), "C4"), ((1,), 62)]
    assert list(placed([[], [60, "D4"]])) == [((1, 0), 60), ((1, 1), "D4")]


@pytest.mark.parametrize("run", [1, 2, 5, 20])
def test_frames_are_collected_however_many_tokens_come_at_once(run: int) -> None:
    frames: list[Frame] = [(60, 64), (), (62, 65, 69)]
    tokens = TOKENS.encode([*frames, (70, 71)])
    collector = FrameCollector(TOKENS, len(frames))
    pieces: list[Frame] = []
    for start in range(0, len(tokens), run):
        if not collector.stopped:
            pieces += collector.append(tokens[start : start + run])
    assert pieces == collector.frames == frames
    assert collector.stopped
    assert collector.certain_length == len(TOKENS.encode(frames)) <= collector.length


def test_an_open_frame_is_not_certain() -> None:
    collector = FrameCollector(TOKENS, 2)
    assert collector.append([*TOKENS.encode([(60,)]), 41]) == [(60,)]
    assert (collector.length, collector.certain_length, collector.stopped) == (3, 2, False)
    assert collector.append([88]) == [(62,)]


def test_no_frames_are_longer_than_the_limit() -> None:
    longest = list(range(89))
    collector = FrameCollector(TOKENS, 2)
    collector.append(longest * 2)
    assert collector.stopped
    assert collector.length == collector.limit
