import pytest

from service.media.characters import seen_characters, without_format_characters


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\u00adb\u200e", ["a", "b"]),
        ("e\u0301\u0323x", ["e\u0301\u0323", "x"]),
        ("\u0301 \u0301", ["\u0301", " ", "\u0301"]),
        ("\U0001f469\U0001f3fd\u200d\U0001f4bb", ["\U0001f469\U0001f3fd\u200d\U0001f4bb"]),
        ("\U0001f469\u200d\u200b\U0001f4bb", ["\U0001f469", "\U0001f4bb"]),
        ("\u2764\ufe0f\u200d\U0001f525", ["\u2764\ufe0f\u200d\U0001f525"]),
        ("a\u200db\u200d.", ["a", "b", "."]),
        ("\U0001f1e9\U0001f1ea\U0001f1eb", ["\U0001f1e9\U0001f1ea", "\U0001f1eb"]),
        ("\u200b", []),
    ],
)
def test_what_is_one_character_on_the_screen_is_one(text: str, seen: list[str]) -> None:
    assert [text[start:end] for start, end in seen_characters(text)] == seen


def test_of_a_text_without_format_characters_all_the_rest_stays() -> None:
    assert without_format_characters("\ufeffa\u00ad\u200d \u0301\n\t\u00a0") == "a \u0301\n\t\u00a0"
