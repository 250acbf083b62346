"""Images of strokes, eight by eight pixels, like scanned digits: 0 is paper, 16 is ink."""

from random import Random

SIZE, INK = 8, 16


def image(rng: Random) -> list[list[int]]:
    """Draw a line that wanders over the paper for at least three steps."""
    rows = [[0] * SIZE for _ in range(SIZE)]
    x, y = rng.randrange(SIZE), rng.randrange(SIZE)
    for _ in range(rng.randint(3, 20)):
        rows[y][x] = rng.randint(INK // 2, INK)
        x, y = _near(rng, x), _near(rng, y)
    return rows


def _near(rng: Random, place: int) -> int:
    return min(max(place + rng.choice((-1, 0, 1)), 0), SIZE - 1)
