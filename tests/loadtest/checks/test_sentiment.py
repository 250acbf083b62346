"""Judgements that must not pass, each beside one that must."""

import pytest

from loadtest.answers import Judgement, SentimentAnswer
from loadtest.checks.sentiment import (
    check_judgement,
    check_judgement_so_far,
    check_results,
    check_trajectory,
)

RIGHT = Judgement(
    label="positive",
    score=0.75,
    probabilities={"negative": 0.25, "positive": 0.75},
    trajectory=[("It", 0.5), ("'s", 0.5), ("good", 0.75)],
)
BLANK = Judgement(label=None, score=None, probabilities={})
TEXT = "It's\n good"


def wrong(**changes: object) -> Judgement:
    return RIGHT.model_copy(update=changes)


def test_a_right_judgement_passes() -> None:
    assert check_judgement(RIGHT) is None


@pytest.mark.parametrize(
    ("judgement", "failure"),
    [
        (wrong(probabilities={"negative": 0.25, "positive": 0.5}, score=0.5), "probabilities: do not sum to 1"),
        (wrong(probabilities={"negative": -0.5, "positive": 1.5}, score=1.5), "probabilities: not between 0 and 1"),
        (wrong(probabilities={"positive": 1.0}, score=1.0), "probabilities: not those of the two labels"),
        (wrong(probabilities={"negative": 0.75, "positive": 0.25}, score=0.25), "label: not the most probable one"),
        (wrong(label="neutral"), "label: not the most probable one"),
        (wrong(label=None), "label: not the most probable one"),
        (wrong(score=0.25), "score: not the probability of the label"),
        (wrong(score=None), "score: not the probability of the label"),
        (BLANK, "probabilities: not those of the two labels"),
    ],
)
def test_a_wrong_judgement_fails(judgement: Judgement, failure: str) -> None:
    assert check_judgement(judgement) == failure


def test_a_judgement_before_the_first_word_has_no_label() -> None:
    assert check_judgement_so_far(BLANK, " \n") is None
    assert check_judgement_so_far(BLANK, "\u200b ") is None
    assert check_judgement_so_far(RIGHT, " \n") == "label: judged before the first word"


def test_a_judgement_after_the_first_letter_has_a_label() -> None:
    assert check_judgement_so_far(RIGHT, " \nI") is None
    assert check_judgement_so_far(BLANK, " \nI") == "probabilities: not those of the two labels"


def test_a_trajectory_of_all_words_passes() -> None:
    assert check_trajectory(RIGHT, TEXT) is None


@pytest.mark.parametrize(
    ("trajectory", "failure"),
    [
        (None, "trajectory: missing"),
        ([], "trajectory: missing"),
        ([("It", 0.5), ("good", 0.75)], "trajectory: not the words of the text"),
        ([("good", 0.5), ("It", 0.5), ("'s", 0.75)], "trajectory: not the words of the text"),
        ([("It", 0.5), ("'s", 1.5), ("good", 0.75)], "trajectory: not between 0 and 1"),
        ([("It", 0.5), ("'s", 0.75), ("good", 0.5)], "trajectory: does not end at the score"),
    ],
)
def test_a_wrong_trajectory_fails(trajectory: list[tuple[str, float]] | None, failure: str) -> None:
    assert check_trajectory(wrong(trajectory=trajectory), TEXT) == failure


def test_a_list_needs_one_right_result_for_each_text() -> None:
    plain, false = wrong(trajectory=None), wrong(trajectory=None, score=0.25)
    assert check_results(SentimentAnswer(results=[plain, plain], bundle="b:1"), 2) is None
    assert check_results(SentimentAnswer(results=[plain], bundle="b:1"), 2) == "count: not one result for each text"
    assert check_results(SentimentAnswer(results=[plain, false], bundle="b:1"), 2) is not None


def test_a_trajectory_is_there_only_where_it_was_asked_for() -> None:
    with_one = SentimentAnswer(results=[RIGHT], bundle="b:1")
    without = SentimentAnswer(results=[wrong(trajectory=None)], bundle="b:1")
    assert check_results(with_one, 1, is_trajectory=True) is None
    assert check_results(with_one, 1) == "trajectory: missing or not asked for"
    assert check_results(without, 1, is_trajectory=True) == "trajectory: missing or not asked for"
