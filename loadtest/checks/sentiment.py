"""What must be true of a judgement."""

import math

from loadtest.answers import Judgement, SentimentAnswer

LABELS = frozenset({"negative", "positive"})
TOLERANCE = 1e-6
ZERO_WIDTH_SPACE = "\u200b"


def check_judgement(judgement: Judgement) -> str | None:
    """The probabilities of both labels sum to 1, and the label is the most probable one with its own score."""
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
    """As long as no word has come there is no label, and from then on there is."""
    if without_blanks(text_so_far):
        return check_judgement(judgement)
    if judgement.label is not None or judgement.score is not None or judgement.probabilities:
        return "label: judged before the first word"
    return None


def check_trajectory(judgement: Judgement, text: str) -> str | None:
    """The words of the text must come in order, each with a probability, of which the last is the score."""
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
    """One judgement for each text, each right in itself, with a trajectory only where one was asked for."""
    if len(answer.results) != num_texts:
        return "count: not one result for each text"
    if any((result.trajectory is not None) != is_trajectory for result in answer.results):
        return "trajectory: missing or not asked for"
    return next(filter(None, map(check_judgement, answer.results)), None)


def check_place(answer: SentimentAnswer, place: int, alone: Judgement) -> str | None:
    """The result at a place is what that text is answered alone: lists keep their order and texts do not mix."""
    if answer.results[place] != alone:
        return "order: a text in a list is not judged as it is alone"
    return None


def without_blanks(text: str) -> str:
    """A text without white space, and without what pasted text may bring along."""
    return "".join(text.replace(ZERO_WIDTH_SPACE, " ").split())
