import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.media.characters import MAX_MARKS, composed, seen_characters, without_format_characters


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\u00adb\u200e", ["a", "b"]),
        ("e\u0301\u0323x", ["e\u0301\u0323", "x"]),
        ("\u0301 \u0301", ["\u0301", " ", "\u0301"]),
        ("\U0001f469\U0001f3fd\u200d\U0001f4bb", ["\U0001f469\U0001f3fd\u200d\U0001f4bb"]),
        ("\U0001f469\u200d\u200b\U0001f4bb\u200b\u0301", ["\U0001f469", "\u200b", "\U0001f4bb", "\u200b", "\u0301"]),
        ("\u2764\ufe0f\u200d\U0001f525", ["\u2764\ufe0f\u200d\U0001f525"]),
        ("a\u200db\u200d.", ["a", "b", "."]),
        ("\U0001f1e9\U0001f1ea\U0001f1eb", ["\U0001f1e9\U0001f1ea", "\U0001f1eb"]),
        ("\u2060", []),
    ],
)
def test_what_is_one_character_on_the_screen_is_one(text: str, seen: list[str]) -> None:
    assert [text[start:end] for start, end in seen_characters(text)] == seen


def test_of_a_text_without_format_characters_all_the_rest_stays() -> None:
    assert without_format_characters("\ufeffa\u00ad\u200d \u0301\n\t\u00a0b\u200bc") == "a \u0301\n\t\u00a0b c"


ACUTE, DOT_BELOW = "\u0301", "\u0323"


@given(st.lists(st.text(st.sampled_from(f"ae\u00e9\u1100\u1161{ACUTE}{DOT_BELOW}"), max_size=MAX_MARKS)).map("b".join))
def test_a_text_is_composed_as_unicode_says(text: str) -> None:
    assert composed(text) == unicodedata.normalize("NFC", text)


def test_a_letter_is_composed_with_no_more_than_30_marks() -> None:
    dots = DOT_BELOW * (MAX_MARKS - 1)
    assert composed(f"x{dots}{ACUTE}a{dots}{ACUTE}") == f"x{dots}{ACUTE}\u1ea1{dots[1:]}{ACUTE}"
    assert composed(f"a{ACUTE}{dots}") == f"\u1ea1{dots[1:]}{ACUTE}"
    assert composed(f"a{dots}{DOT_BELOW}{ACUTE}{dots}e{ACUTE}") == f"\u1ea1{dots}{dots}{ACUTE}\u00e9"
