"""Prompts like lines of a play, in characters that the text model knows, and ways to continue them."""

from random import Random
from typing import Any, TypedDict

SPEAKERS = ("ROMEO", "First Citizen", "QUEEN MARGARET", "Nurse", "The Watch", "OLD SHEPHERD")
LINES = (
    "What light is this, that comes so late?",
    "Good morrow, cousin; how goes the war?",
    "I have no more to say, and less to give.",
    "Then let the gates be shut ere night!",
    "My lord, the people are without, and will be heard.",
    "Who's there?",
    "The king is dead; long live the king.",
    "Speak softly: the walls have ears to-night.",
    "Thou art too kind, and I too poor to thank thee.",
    "Shall we to dinner, or to battle first?",
    "Three men & 3 horses, and no king among them.",
    "Away, away! the ship is under sail.",
)
CHARACTERS = frozenset(":\n").union(*SPEAKERS, *LINES)
STOPS = ("\n", "\n\n", "the", ".", "zzz")
MAX_SEED = 2**63


class Sampling(TypedDict, total=False):
    """How to continue a text: members of a request."""

    max_tokens: int
    temperature: float
    top_k: int
    top_p: float
    seed: int
    stop: list[str]


def has_characters(task: dict[str, Any]) -> bool:
    """Return whether a model of this task knows all characters of the prompts."""
    return CHARACTERS.issubset(task.get("characters", ()))


def prompt(rng: Random, max_lines: int = 3) -> str:
    """Draw some lines of a play, often cut off anywhere, or now and then nothing at all."""
    if rng.random() < 0.05:
        return ""
    text = "".join(f"{rng.choice(SPEAKERS)}:\n{rng.choice(LINES)}\n\n" for _ in range(rng.randint(1, max_lines)))
    return text[: rng.randint(1, len(text))] if rng.random() < 0.5 else text + f"{rng.choice(SPEAKERS)}:\n"


def sampling(rng: Random, max_tokens: int = 150) -> Sampling:
    """Draw a way to continue a text. It has a seed, so that the same question can be repeated."""
    settings = Sampling(
        max_tokens=rng.randint(1, max_tokens),
        temperature=rng.choice((0.0, 0.5, 0.8, 1.0, 1.5)),
        seed=rng.randrange(MAX_SEED),
    )
    if rng.random() < 0.3:
        settings["top_k"] = rng.randint(1, 20)
    if rng.random() < 0.3:
        settings["top_p"] = rng.choice((0.5, 0.9, 1.0))
    if rng.random() < 0.3:
        settings["stop"] = rng.sample(STOPS, rng.randint(1, 3))
    return settings
