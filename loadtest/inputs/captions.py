"""Captions of photographs, put together from phrases written for this purpose."""

from random import Random

WHO = ("A man", "A woman", "Two children", "A group of people", "A brown dog", "An old man", "A girl in a red dress")
WHAT = ("runs", "is standing", "sleeps", "is sitting", "jumps", "plays with a ball", "is waiting for the bus")
WHERE = ("in the snow", "on a bench", "in front of a store", "at the beach", "in a field", "on a busy street")


def caption(rng: Random) -> str:
    """Draw a caption of up to 16 words."""
    return f"{rng.choice(WHO)} {rng.choice(WHAT)} {rng.choice(WHERE)}{rng.choice(('.', ''))}"
