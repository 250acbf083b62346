"""Checks of translations."""

import math

from loadtest.answers import TranslateAnswer, Translation

TOLERANCE = 1e-4


def check_translations(answer: TranslateAnswer, num_texts: int, is_attention: bool = False) -> str | None:
    """Check that there is one translation per text: a sentence with a score, and attention only if asked for."""
    if len(answer.translations) != num_texts:
        return "count: not one translation for each text"
    if any((translation.attention is not None) != is_attention for translation in answer.translations):
        return "attention: missing or not asked for"
    return next(filter(None, map(_check, answer.translations)), None)


def check_attention(translation: Translation, text: str) -> str | None:
    """Check that attention has a row per piece of the translation, over the pieces of the text, that adds up to 1."""
    attention = translation.attention
    if attention is None:
        return "attention: missing"
    if "".join(attention.source).replace("▁", " ").strip() != text.lower():
        return "attention: not over the pieces of the text"
    if len(attention.weights) != len(attention.target):
        return "attention: not a row for each piece of the translation"
    if any(len(row) != len(attention.source) for row in attention.weights):
        return "attention: not a weight for each piece of the text"
    if not all(math.isclose(sum(row), 1, abs_tol=TOLERANCE) for row in attention.weights):
        return "attention: does not add up to 1"
    return None


def _check(translation: Translation) -> str | None:
    if not translation.text or translation.text[0].islower():
        return "text: no sentence"
    return None if translation.score < 0 else "score: no log-probability"
