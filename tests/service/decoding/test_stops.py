"""Where a text ends."""

import itertools

from hypothesis import example, given
from hypothesis import strategies as st

from service.decoding.stops import StopFinder


def written(stops: list[str], pieces: list[str]) -> tuple[str, bool, list[str]]:
    """Text up to its end, whether a stop string ended it, and the pieces that were let out."""
    finder = StopFinder(stops)
    out = []
    for piece in pieces:
        out.append(finder.write(piece))
        if finder.stopped:
            break
    else:
        out.append(finder.flush())
    return finder.text[: finder.certain_length], finder.stopped, [piece for piece in out if piece]


def test_without_stops_every_piece_is_certain_at_once() -> None:
    assert written([], ["to be", " or"]) == ("to be or", False, ["to be", " or"])


def test_a_text_ends_before_its_stop_string() -> None:
    assert written(["\n\n"], ["a\nb\n", "\nc"]) == ("a\nb", True, ["a\nb"])


def test_the_beginning_of_a_stop_string_is_held_back_until_it_is_settled() -> None:
    assert written(["END"], ["the E", "N", "d"]) == ("the ENd", False, ["the ", "ENd"])


def test_the_stop_string_that_is_complete_first_wins_over_one_that_begins_first() -> None:
    assert written(["abcd", "c"], ["abcd"]) == ("ab", True, ["ab"])


def test_a_long_stop_string_is_found_beside_a_short_one_however_it_is_written() -> None:
    assert written(["x", "abc"], list("abc")) == ("", True, [])


def test_all_that_a_stop_string_may_still_take_back_is_held() -> None:
    assert written(["aab"], ["aa", "b"]) == ("", True, [])


def test_a_text_has_not_stopped_before_anything_is_written() -> None:
    assert not StopFinder(["END"]).stopped


TEXT = st.text("ab", max_size=12)


@given(st.lists(st.text("ab", min_size=1, max_size=3), max_size=3), TEXT, st.lists(st.integers(0, 12), max_size=4))
@example(["aab"], "aaab", [2])
def test_how_a_text_is_cut_changes_nothing(stops: list[str], text: str, cuts: list[int]) -> None:
    borders = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    pieces = [text[a:b] for a, b in itertools.pairwise(borders)]
    whole, is_stopped, out = written(stops, pieces)
    assert (whole, is_stopped) == written(stops, list(text))[:2]
    assert "".join(out) == whole
    assert all(stop not in whole for stop in stops)
