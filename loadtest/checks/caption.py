"""Checks of captions."""

from loadtest.answers import CaptionAnswer


def check_caption(answer: CaptionAnswer, seed: object) -> str | None:
    """Check that the caption is a sentence made of its words, with the seed that was sent."""
    if answer.seed != seed:
        return "seed: not the one that was sent"
    if not answer.words or f"{' '.join(answer.words)}." != answer.caption[:1].lower() + answer.caption[1:]:
        return "words: not those of the sentence"
    return None if answer.caption[0].isupper() else "caption: no sentence"
