"""Checks of generated texts."""

import math
from collections.abc import Sequence

from loadtest.answers import Continuation, GenerateAnswer, NextCharacters
from loadtest.inputs.prompts import Sampling

NUM_NEXT = 5


def check_continuation(answer: Continuation, sampling: Sampling, num_prompt_characters: int) -> str | None:
    """Check that the text is within its limits, ends for the reason given, and is counted correctly."""
    usage = answer.usage
    if answer.seed != sampling.get("seed", answer.seed):
        return "seed: not the one asked for"
    if usage.completion_tokens != len(answer.text):
        return "usage: not the length of the text"
    if usage.prompt_tokens != num_prompt_characters:
        return "usage: not the length of the prompt"
    if usage.total_tokens != usage.prompt_tokens + usage.completion_tokens:
        return "usage: the total is not the sum"
    return _check_end(answer, sampling["max_tokens"], sampling.get("stop", []))


def _check_end(answer: Continuation, max_tokens: int, stops: Sequence[str]) -> str | None:
    num_characters = len(answer.text)
    if num_characters > max_tokens:
        return "length: more characters than max_tokens"
    if any(stop in answer.text for stop in stops):
        return "stop: the text goes on after a stop string"
    if answer.finish_reason == "length" and num_characters < max_tokens:
        return "finish_reason: length, but the text is shorter than max_tokens"
    if answer.finish_reason == "stop" and not any(num_characters + len(stop) <= max_tokens for stop in stops):
        return "finish_reason: stop, but no stop string fits into max_tokens"
    return None


def check_next(answer: NextCharacters) -> str | None:
    """Check for different single characters, most probable first, and for a valid log-probability of the text."""
    characters = [character for character, _ in answer.next]
    probabilities = [probability for _, probability in answer.next]
    if len(set(characters)) != NUM_NEXT or len(characters) != NUM_NEXT or any(len(c) != 1 for c in characters):
        return f"next: not {NUM_NEXT} different characters"
    if probabilities != sorted(probabilities, reverse=True):
        return "next: not the most probable first"
    if not all(0 <= p <= 1 for p in probabilities) or math.fsum(probabilities) > 1 + 1e-6:
        return "next: not probabilities"
    if answer.log_prob > 0:
        return "log_prob: greater than 0"
    return None


def check_goes_on(text: str, whole: str) -> str | None:
    """Check that a text continued in several steps is so far the same as the one continued in a single step."""
    return None if whole.startswith(text) else "continuity: a text goes on otherwise in steps than at once"


def check_expected(answer: NextCharacters, text: str) -> str | None:
    """Check that the most probable character comes next at temperature 0."""
    return None if answer.next[0][0] == text[0] else "next: not what comes at temperature 0"


def check_stream(answer: GenerateAnswer, whole: GenerateAnswer) -> str | None:
    """Check that a stream adds up to the answer that the same question got at once."""
    if answer.text != whole.text:
        return "stream: the pieces are not the text that was answered at once"
    return None if answer == whole else "stream: the end is not that of the text that was answered at once"
