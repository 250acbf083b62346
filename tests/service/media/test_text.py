"""Where a growing text may be cut."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.media.text import longest_word, split_last_word


def cut(text: str, is_word: Callable[[str], bool] = bool) -> tuple[str, str]:
    """A text cut before its last word, which any of its characters tells."""
    runs = [run for run in re.finditer(r"[\S\x1c-\x1f]+", text) if is_word(run.group())]
    (parts,) = {split_last_word(text, at) for at in (range(*runs[-1].span()) if runs else [None])}
    return parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("", "")),
        ("  \n", ("", "")),
        ("wond", ("", "wond")),
        ("a wond", ("a ", "wond")),
        ("a wonder ", ("a ", "wonder ")),
        ("a wonder \t\n", ("a ", "wonder ")),
        ("\u00a0x\u00a0", ("\u00a0", "x ")),
    ],
)
def test_a_text_is_cut_before_its_last_word(text: str, parts: tuple[str, str]) -> None:
    assert cut(text) == parts


@given(st.lists(st.text(" \tab\u2003\x1c", max_size=6), max_size=6))
def test_pieces_give_the_words_of_the_whole(pieces: list[str]) -> None:
    read, pending = "", ""
    for piece in pieces:
        whole, pending = cut(pending + piece)
        read += whole
    everything, last = cut("".join(pieces))
    assert (read.replace("\x1c", "c") + pending.replace("\x1c", "c")).split() == (
        (everything + last).replace("\x1c", "c").split()
    )
    assert pending.rstrip(" ") == last.rstrip(" ")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a good -", ("a ", "good -")),
        ("a good - ", ("a ", "good ")),
        ("a good - - x", ("a good - - ", "x")),
        ("- -", ("", "-")),
        ("- ", ("", "")),
    ],
)
def test_runs_that_hold_no_word_do_not_take_its_place(text: str, parts: tuple[str, str]) -> None:
    assert cut(text, lambda run: run.strip("-") != "") == parts


def test_the_longest_word_counts_characters_between_white_space() -> None:
    assert longest_word("a bbb cc") == 3
    assert longest_word("") == 0
