"""Long texts as arrays of code points."""

from collections import Counter

import pytest

from training.text import characters
from training.text.characters import count_characters, encode
from training.text.vocabulary import character_tokenizer

TEXT = "naïve 😀\n\u05e9\u05dc\u05d5\u05dd zoo " * 9


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(characters, "PIECE", 7)


@pytest.mark.parametrize("text", [TEXT, "", "a" * 8 + "b"])
def test_characters_are_counted(text: str) -> None:
    assert count_characters(text) == Counter(text)
    assert list(count_characters(text)) == sorted(set(text))


@pytest.mark.parametrize("text", [TEXT, "", "naï?ve", "zo\u2026o \u00a0e", "z\r\no"])
def test_ids_are_those_of_the_tokenizer(text: str) -> None:
    tokenizer = character_tokenizer(TEXT + ".")
    assert encode(text, lambda piece: tokenizer.encode(piece).ids).tolist() == tokenizer.encode(text).ids
