"""Reviews of films, put together from plain sentences written for this purpose."""

from random import Random

PRAISE = (
    "A wonderful film.",
    "I laughed from the first minute to the last.",
    "The two leads are a joy to watch together.",
    "It's warm, funny and never too long.",
    "The music stays with you for days.",
    "A small story, told with great care.",
    "Every scene earns its place.",
    "I didn't expect to be moved, but I was (really).",
    'My daughter called it "the best film ever", and she may be right.',
    "The camera finds beauty in the plainest rooms.",
    "Smart, generous and full of surprises!",
    "You won't see a better performance this year.",
    "The ending is perfect.",
    "It made me want to call my mother.",
    "A thriller that trusts its audience.",
    "The café scene alone is worth the ticket.",
)
COMPLAINTS = (
    "A dull, endless mess.",
    "I looked at my watch after ten minutes.",
    "The jokes don't land, and there are many of them.",
    "Nobody in this film talks like a person.",
    "It's loud, empty and far too long.",
    "The plot makes no sense at all.",
    "What a waste of a good cast.",
    "The sound is so bad that I couldn't follow a word.",
    "Two hours of my life are gone; I want them back!",
    "A sequel that nobody asked for.",
    "The villain is boring, the hero even more so.",
    "It isn't scary, it isn't funny, it isn't anything.",
    "Somebody should've read the script first ...",
    "The effects look like a toy shop on fire.",
    "I fell asleep — twice.",
    "Lazy, noisy and rather cruel.",
)
ASIDES = (
    "We saw it on a Tuesday.",
    "The cinema was half full.",
    "It runs for 1h 52m.",
    "The director's third film, after a break of six years.",
    "Some will disagree.",
    "There is a dog in it.",
    "The book was written in 1987.",
    "I went with a friend/colleague.",
)
# Pasted text may contain zero-width spaces.
JOINTS = (" ", " ", " ", "  ", "\n", "\n\n", " ... ", " \u200b ")
ENDS = ("", "", "", "", "", "\n", " \u200b")


def review(rng: Random, max_sentences: int = 6) -> str:
    """Draw a review of one to `max_sentences` sentences with one opinion, and an aside now and then."""
    opinion = rng.choice((PRAISE, COMPLAINTS))
    text = rng.choice(opinion)
    for _ in range(rng.randrange(max_sentences)):
        text += rng.choice(JOINTS) + rng.choice(ASIDES if rng.random() < 0.2 else opinion)
    return text + rng.choice(ENDS)


def long_review(rng: Random, num_characters: int) -> str:
    """Draw a review, or several one after the other, of at least `num_characters` characters."""
    text = review(rng)
    while len(text) < num_characters:
        text += rng.choice(JOINTS) + review(rng)
    return text


def reviews(rng: Random, num_texts: int) -> list[str]:
    """Draw several short reviews."""
    return [review(rng, max_sentences=3) for _ in range(num_texts)]
