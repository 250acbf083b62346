"""Checks of tags."""

from collections.abc import Sequence
from typing import Any

from loadtest.answers import TagAnswer, Tagged, TaggedPiece, TaggedToken
from loadtest.checks.sentiment import without_blanks

PARTS_OF_SPEECH = frozenset({
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM",
    "VERB", "X",
})  # fmt: skip


def has_parts_of_speech(task: dict[str, Any]) -> bool:
    """Return whether a model of this task tags words by their parts of speech."""
    return PARTS_OF_SPEECH.issuperset(task.get("tags", ()))


def has_tags(task: dict[str, Any]) -> bool:
    """Return whether a model of this task tags parts of speech or entities."""
    return task.get("scheme") == "bio" or has_parts_of_speech(task)


def check_tagged(answer: TagAnswer, texts: Sequence[str]) -> str | None:
    """Check that each text has a result with its words in order, each with a part of speech, and no entities."""
    if len(answer.results) != len(texts):
        return "count: not one result for each text"
    if any(result.entities is not None for result in answer.results):
        return "entities: not asked for"
    if any(token.tag not in PARTS_OF_SPEECH for result in answer.results for token in result.tokens):
        return "tag: no part of speech"
    return next(filter(None, map(_check_words, answer.results, texts)), None)


def check_entities(answer: TagAnswer, text: str) -> str | None:
    """Check the words of the text, and that its entities consist of them."""
    if len(answer.results) != 1:
        return "count: not one result for each text"
    (result,) = answer.results
    if result.entities is None:
        return "entities: missing"
    for entity in result.entities:
        first, end = entity.tokens
        if not 0 <= first < end <= len(result.tokens):
            return "entities: not made of words"
        if (entity.start, entity.end) != (result.tokens[first].start, result.tokens[end - 1].end):
            return "entities: not where their words are"
        if text[entity.start : entity.end] != entity.text:
            return "entities: not the text of their words"
    return _check_words(result, text)


class TaggedSoFar:
    """Compares what a session has tagged so far with the tags of the whole text, bit for bit.

    Args:
        whole: The result for the whole text.
    """

    def __init__(self, whole: Tagged) -> None:
        self._expected = [_without_place(token) for token in whole.tokens]
        self._found: list[TaggedToken] = []

    def add(self, piece: TaggedPiece) -> None:
        """Add the words of a piece that passed its check."""
        self._found += piece.tokens

    def check(self, piece: TaggedPiece) -> str | None:
        """Check that the words of the next piece are tagged as in the whole text."""
        found = [*self._found, *piece.tokens]
        is_right = found == self._expected[: len(found)]
        return None if is_right else "continuity: not the tags of the whole text"

    def check_end(self, piece: TaggedPiece) -> str | None:
        """Check the last piece, after which no word may be missing or pending."""
        is_whole = len(self._found) + len(piece.tokens) == len(self._expected) and not piece.pending
        return self.check(piece) or (None if is_whole else "continuity: words are missing at the end")


def _without_place(token: TaggedToken) -> TaggedToken:
    return token.model_copy(update={"start": None, "end": None})


def _check_words(result: Tagged, text: str) -> str | None:
    if any(not 0 < token.probability <= 1 for token in result.tokens):
        return "probability: not between 0 and 1"
    if any(token.start is None or token.end is None for token in result.tokens):
        return "place: missing"
    if any(text[token.start : token.end] != token.token for token in result.tokens):
        return "place: not where the word is"
    words = "".join(token.token for token in result.tokens)
    return None if without_blanks(words) == without_blanks(text) else "words: not those of the text"
