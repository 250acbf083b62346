"""Chance that can be repeated."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.decoding.sampling import Draws, derived_seed, drawn_seed

SEEDS = st.integers(0, 2**63 - 1)


@given(SEEDS, st.integers(0, 10_000), st.integers(1, 40), st.integers(0, 40))
def test_a_draw_depends_on_seed_and_position_only(seed: int, position: int, count: int, cut: int) -> None:
    cut = min(cut, count)
    whole = Draws(seed, position).take(count)
    np.testing.assert_array_equal(Draws(seed, position + cut).take(count - cut), whole[cut:])
    draws = Draws(seed, position)
    np.testing.assert_array_equal(np.concatenate([draws.take(cut), draws.take(count - cut)]), whole)


def test_draws_are_uniform_and_never_one() -> None:
    draws = Draws(7, 0).take(100_000)
    assert draws.dtype == np.float32
    assert draws.min() >= 0
    assert draws.max() < 1
    np.testing.assert_allclose(np.histogram(draws, bins=10, range=(0, 1))[0] / len(draws), 0.1, atol=0.005)


def test_draws_have_as_many_bits_as_float32_holds_below_one() -> None:
    """With more, the largest would be rounded to 1."""
    scaled = Draws(7, 0).take(1000).astype(np.float64) * 2**24
    np.testing.assert_array_equal(scaled, np.floor(scaled))
    assert (scaled % 2 == 1).any()


def test_seeds_give_different_draws() -> None:
    assert not np.array_equal(Draws(1, 0).take(8), Draws(2, 0).take(8))


def test_a_session_derives_another_seed_for_every_step_and_secret() -> None:
    seeds = {derived_seed(secret, step) for secret in ("a", "b") for step in range(50)}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derived_seed("a", 3) == derived_seed("a", 3)


def test_a_derived_seed_is_that_of_earlier_releases() -> None:
    """A retry after an upgrade must write the same text."""
    assert derived_seed("00" * 16, 3) == 5_912_729_534_806_002_093


def test_a_drawn_seed_is_one_that_every_client_may_send_back() -> None:
    """A number of JavaScript, or of any reader that takes JSON's for float64, is exact up to 2^53."""
    seeds = {drawn_seed() for _ in range(100)}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**53 for seed in seeds)
