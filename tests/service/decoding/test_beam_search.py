"""The search against all translations of a tiny language."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from service.decoding.beam_search import BeamSearch, Candidates, Hypothesis, max_length

END, V = 0, 5
LogProbs = Callable[[tuple[int, ...]], list[float]]


def language(seed: int) -> LogProbs:
    """Log-probabilities of the piece after any beginning: anything may follow anything."""

    def log_probs(beginning: tuple[int, ...]) -> list[float]:
        logits = 2 * np.random.default_rng([seed, *beginning]).standard_normal(V)
        return list((logits - np.log(np.exp(logits).sum())).tolist())

    return log_probs


def candidates(log_probs: LogProbs, live: Sequence[Hypothesis], most: int = V) -> list[Candidates]:
    """What a graph answers for each hypothesis."""
    found = []
    for hypothesis in live:
        ranked = sorted(enumerate(log_probs(hypothesis.pieces)), key=lambda one: (-one[1], one[0]))[:most]
        found.append(Candidates([piece for piece, _ in ranked], [log_prob for _, log_prob in ranked]))
    return found


def run(log_probs: LogProbs, beams: int, longest: int, penalty: float, most: int = V) -> tuple[BeamSearch, Hypothesis]:
    search = BeamSearch(beams, END, longest, penalty)
    while not search.is_over:
        search.extend(candidates(log_probs, search.live, most))
    return search, search.best()


def log_prob_of(log_probs: LogProbs, pieces: tuple[int, ...]) -> float:
    whole = (*pieces, END)
    return sum(log_probs(whole[:t])[piece] for t, piece in enumerate(whole))


@pytest.mark.parametrize("seed", range(10))
def test_search_that_keeps_everything_finds_the_most_probable_translation(seed: int) -> None:
    log_probs, longest = language(seed), 4
    pieces = [piece for piece in range(V) if piece != END]
    everything = [ids for length in range(longest) for ids in itertools.product(pieces, repeat=length)]
    best = max(everything, key=lambda ids: log_prob_of(log_probs, ids))
    _, found = run(log_probs, beams=len(everything), longest=longest, penalty=0.0)
    assert found.pieces == best
    assert found.log_prob == pytest.approx(log_prob_of(log_probs, best))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0])
def test_score_is_the_log_probability_by_length(seed: int, penalty: float) -> None:
    log_probs = language(seed)
    search, found = run(log_probs, beams=2, longest=30, penalty=penalty)
    assert len(found.parents) == len(found.pieces) + 1
    expected = log_prob_of(log_probs, found.pieces) / (len(found.pieces) + 1) ** penalty
    assert search.score(found) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(10))
def test_one_beam_takes_the_most_probable_piece_each_time(seed: int) -> None:
    log_probs = language(seed)
    pieces: tuple[int, ...] = ()
    while (best := int(np.argmax(log_probs(pieces)))) != END and len(pieces) < 12:
        pieces = (*pieces, best)
    assert run(log_probs, beams=1, longest=12, penalty=1.0)[1].pieces == pieces[:12]


@pytest.mark.parametrize("seed", range(10))
def test_twice_as_many_candidates_as_beams_are_as_good_as_all(seed: int) -> None:
    log_probs = language(seed)
    assert run(log_probs, 2, 20, 1.0, most=4)[1] == run(log_probs, 2, 20, 1.0)[1]


def test_parents_lead_from_the_start_to_the_translation() -> None:
    log_probs = language(3)
    search = BeamSearch(3, END, 20, 1.0)
    history = []
    while not search.is_over:
        history.append(search.live)
        search.extend(candidates(log_probs, search.live))
    found = search.best()
    for step, rank in enumerate(found.parents):
        assert history[step][rank].pieces == found.pieces[:step]


def test_equal_candidates_go_by_rank_and_then_by_piece() -> None:
    search = BeamSearch(2, END, 9, 1.0)
    even = Candidates([1, 2, 3], [-1.0, -1.0, -1.0])
    search.extend([even])
    assert [found.pieces for found in search.live] == [(1,), (2,)]
    search.extend([even, even])
    assert [found.pieces for found in search.live] == [(1, 1), (1, 2)]


def test_of_equal_translations_the_first_that_ended_is_best() -> None:
    search = BeamSearch(2, END, 9, 0.0)
    search.extend([Candidates([END, 1], [-1.0, -1.0])])
    search.extend([Candidates([END, 2], [0.0, -9.0])])
    assert search.is_over
    assert search.best().pieces == ()


def test_longer_translations_win_by_their_average() -> None:
    def found(penalty: float) -> tuple[int, ...]:
        search = BeamSearch(2, END, 9, penalty)
        search.extend([Candidates([END, 1], [-1.0, -1.1])])
        search.extend([Candidates([END, 2], [-0.1, -9.0])])
        return search.best().pieces

    assert (found(0.0), found(1.0)) == ((), (1,))


def test_translation_that_does_not_end_is_cut() -> None:
    search = BeamSearch(2, END, 3, 1.0)
    while not search.is_over:
        search.extend([Candidates([1, 2], [-0.1, -3.0])] * len(search.live))
    assert search.best().pieces == (1, 1, 1)
    assert search.score(search.best()) == pytest.approx(-0.1)
    assert len(search.best().parents) == 3


def test_ends_beyond_the_best_candidates_do_not_count() -> None:
    search = BeamSearch(1, END, 9, 1.0)
    search.extend([Candidates([1, END], [-0.1, -2.4])])
    assert not search.is_over
    assert search.live == [Hypothesis((1,), -0.1, (0,))]


def test_an_end_among_the_best_candidates_takes_no_place_from_those_that_go_on() -> None:
    search = BeamSearch(2, END, 9, 1.0)
    search.extend([Candidates([END, 1, 2, 3], [-1.0, -1.1, -1.2, -1.3])])
    assert [found.pieces for found in search.live] == [(1,), (2,)]


def test_translations_may_be_longer_than_their_sources() -> None:
    assert max_length(1) == 12
    assert math.isclose(max_length(64), 138)
