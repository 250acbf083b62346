"""Checks of judgements."""

import math
from typing import Any

from loadtest.answers import Judgement, SentimentAnswer

LABELS = frozenset({"negative", "positive"})
TOLERANCE = 1e-6
ZERO_WIDTH_SPACE = "\u200b"


def has_labels(task: dict[str, Any]) -> bool:
    """Return whether a model of this task judges by the labels that are checked."""
    return set(task.get("labels", ())) == LABELS


def check_judgement(judgement: Judgement) -> str | None:
    """Check that the probabilities of both labels sum to 1, and that label and score are the most probable one's."""
    probabilities = judgement.probabilities
    if set(probabilities) != LABELS:
        return "probabilities: not those of the two labels"
    if not all(0 <= probability <= 1 for probability in probabilities.values()):
        return "probabilities: not between 0 and 1"
    if not math.isclose(sum(probabilities.values()), 1, abs_tol=TOLERANCE):
        return "probabilities: do not sum to 1"
    if judgement.label not in LABELS or probabilities[judgement.label] < max(probabilities.values()):
        return "label: not the most probable one"
    if judgement.score != probabilities[judgement.label]:
        return "score: not the probability of the label"
    return None


def check_judgement_so_far(judgement: Judgement, text_so_far: str) -> str | None:
    """Check that there is a label if and only if a word has arrived."""
    if without_blanks(text_so_far):
        return check_judgement(judgement)
    if judgement.label is not None or judgement.score is not None or judgement.probabilities:
        return "label: judged before the first word"
    return None


def check_trajectory(judgement: Judgement, text: str) -> str | None:
    """Check that the words of the text come in order, each with a probability, and that the last one is the score."""
    if not judgement.trajectory:
        return "trajectory: missing"
    words = "".join(word for word, _ in judgement.trajectory)
    if without_blanks(words) != without_blanks(text):
        return "trajectory: not the words of the text"
    if not all(0 <= probability <= 1 for _, probability in judgement.trajectory):
        return "trajectory: not between 0 and 1"
    if judgement.trajectory[-1][1] != judgement.score:
        return "trajectory: does not end at the score"
    return None


def check_results(answer: SentimentAnswer, num_texts: int, is_trajectory: bool = False) -> str | None:
    """Check that there is one valid judgement per text, with a trajectory only if one was asked for."""
    if len(answer.results) != num_texts:
        return "count: not one result for each text"
    if any((result.trajectory is not None) != is_trajectory for result in answer.results):
        return "trajectory: missing or not asked for"
    return next(filter(None, map(check_judgement, answer.results)), None)


def without_blanks(text: str) -> str:
    """Remove white space and zero-width spaces, which pasted text may contain."""
    return "".join(text.replace(ZERO_WIDTH_SPACE, " ").split())
