"""What users send."""

import math
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from loadtest.inputs.cuts import cut_count, cut_series, cut_text
from loadtest.inputs.images import INK, SIZE, image
from loadtest.inputs.prompts import CHARACTERS as PROMPT_CHARACTERS
from loadtest.inputs.prompts import has_characters, prompt, sampling
from loadtest.inputs.readings import asked, series, shuffled
from loadtest.inputs.reviews import review, reviews

CHARACTERS = set("\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
SEEDS = range(200)


def chance(seed: int) -> Random:
    return Random(seed)  # noqa: S311  nothing secret


def questions(seed: int) -> list[object]:
    rng = chance(seed)
    return [review(rng), reviews(rng, 3), prompt(rng), sampling(rng), series(rng, 2, 5), asked(rng), image(rng)]


def test_the_same_seed_asks_the_same() -> None:
    assert questions(3) == questions(3)
    assert all(a != b for a, b in zip(questions(3), questions(4), strict=True))


def test_prompts_hold_only_characters_that_the_model_knows() -> None:
    assert len(CHARACTERS) == 65
    assert set().union(*(prompt(chance(seed)) for seed in SEEDS)) == PROMPT_CHARACTERS
    assert has_characters({"characters": sorted(CHARACTERS)})
    assert not has_characters({"characters": sorted(CHARACTERS - {":"})})


def test_images_have_ink_on_paper() -> None:
    for drawn in (image(chance(seed)) for seed in SEEDS):
        assert [len(row) for row in drawn] == [SIZE] * SIZE
        assert 0 < sum(map(sum, drawn)) <= 20 * INK
        assert all(0 <= pixel <= INK for row in drawn for pixel in row)


def test_series_are_finite_and_equally_long() -> None:
    for drawn in (series(chance(seed), 3, 7) for seed in SEEDS):
        assert len(drawn) == 3
        assert all(len(values) == 7 and all(map(math.isfinite, values)) for values in drawn.values())


def test_shuffled_channels_keep_their_readings() -> None:
    drawn = series(chance(3), 4, 5)
    orders = [shuffled(chance(seed), drawn) for seed in SEEDS]
    assert all(order == drawn for order in orders)
    assert len({tuple(order) for order in orders}) == 4 * 3 * 2


@given(st.integers(), st.text("ab \n", max_size=12), st.integers(1, 5))
def test_pieces_of_a_text_are_together_the_text(seed: int, text: str, num_pieces: int) -> None:
    pieces = cut_text(chance(seed), text, num_pieces)
    assert "".join(pieces) == text
    assert all(pieces)
    assert len(pieces) == min(num_pieces, len(text))


def test_a_text_is_cut_at_every_place_sooner_or_later() -> None:
    assert {len(cut_text(chance(seed), "abcdef", 2)[0]) for seed in SEEDS} == {1, 2, 3, 4, 5}


@given(st.integers(), st.integers(1, 12), st.integers(1, 5))
def test_pieces_of_a_series_are_together_the_series(seed: int, length: int, num_pieces: int) -> None:
    whole = {"OT": [float(i) for i in range(length)], "load": [float(-i) for i in range(length)]}
    pieces = cut_series(chance(seed), whole, num_pieces)
    assert {channel: [value for piece in pieces for value in piece[channel]] for channel in whole} == whole
    assert all(len(piece["OT"]) == len(piece["load"]) > 0 for piece in pieces)


@given(st.integers(), st.integers(1, 12), st.integers(1, 5))
def test_parts_of_a_count_sum_to_it(seed: int, count: int, num_pieces: int) -> None:
    parts = cut_count(chance(seed), count, num_pieces)
    assert sum(parts) == count
    assert all(part > 0 for part in parts)
