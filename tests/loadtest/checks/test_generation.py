"""Generated texts that must not pass, each beside one that must."""

import pytest

from loadtest.answers import Continuation, GenerateAnswer, NextCharacters, Usage
from loadtest.checks.generation import (
    check_continuation,
    check_expected,
    check_goes_on,
    check_next,
    check_stream,
)
from loadtest.inputs.prompts import Sampling

NUM_PROMPT = 7


def answer(text: str, finish_reason: str = "length", **changes: object) -> GenerateAnswer:
    usage = Usage(prompt_tokens=NUM_PROMPT, completion_tokens=len(text), total_tokens=NUM_PROMPT + len(text))
    right = GenerateAnswer(text=text, finish_reason="length", usage=usage, seed=3, bundle="b:1")
    return right.model_copy(update={"finish_reason": finish_reason, **changes})


def usage(prompt: int, completion: int, total: int) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=total)


@pytest.mark.parametrize(
    ("continuation", "sampling"),
    [
        (answer("to be"), Sampling(max_tokens=5, seed=3)),
        (answer("to be"), Sampling(max_tokens=5)),
        (answer("to be"), Sampling(max_tokens=5, stop=["or", "not"])),
        (answer("to be", "stop"), Sampling(max_tokens=7, stop=["or", "not"])),
        (answer("", "stop"), Sampling(max_tokens=1, stop=["\n"])),
    ],
)
def test_a_right_text_passes(continuation: Continuation, sampling: Sampling) -> None:
    assert check_continuation(continuation, sampling, NUM_PROMPT) is None


@pytest.mark.parametrize(
    ("continuation", "sampling", "failure"),
    [
        (answer("to be"), Sampling(max_tokens=5, seed=4), "seed: not the one asked for"),
        (answer("to be"), Sampling(max_tokens=4), "length: more characters than max_tokens"),
        (
            answer("to be"),
            Sampling(max_tokens=6),
            "finish_reason: length, but the text is shorter than max_tokens",
        ),
        (answer("to be"), Sampling(max_tokens=5, stop=[" b"]), "stop: the text goes on after a stop string"),
        (
            answer("to be", "stop"),
            Sampling(max_tokens=9),
            "finish_reason: stop, but no stop string fits into max_tokens",
        ),
        (
            answer("to be", "stop"),
            Sampling(max_tokens=6, stop=["or", "not"]),
            "finish_reason: stop, but no stop string fits into max_tokens",
        ),
        (answer("to be", usage=usage(7, 4, 11)), Sampling(max_tokens=5), "usage: not the length of the text"),
        (answer("to be", usage=usage(8, 5, 13)), Sampling(max_tokens=5), "usage: not the length of the prompt"),
        (answer("to be", usage=usage(7, 5, 13)), Sampling(max_tokens=5), "usage: the total is not the sum"),
    ],
)
def test_a_wrong_text_fails(continuation: Continuation, sampling: Sampling, failure: str) -> None:
    assert check_continuation(continuation, sampling, NUM_PROMPT) == failure


def test_a_text_in_steps_must_go_on_as_it_does_at_once() -> None:
    assert check_goes_on("to b", "to be") is None
    assert check_goes_on("to d", "to be") == "continuity: a text goes on otherwise in steps than at once"
    assert check_goes_on("to be or", "to be") is not None


def expecting(*characters: tuple[str, float], log_prob: float = -2.5) -> NextCharacters:
    return NextCharacters(next=list(characters), log_prob=log_prob)


def test_five_characters_in_falling_order_pass() -> None:
    assert check_next(expecting(("e", 0.5), ("o", 0.2), ("a", 0.2), ("i", 0.1), ("\n", 0.0))) is None


@pytest.mark.parametrize(
    ("expected", "failure"),
    [
        (expecting(("e", 0.5), ("o", 0.2)), "next: not 5 different characters"),
        (expecting(("e", 0.5), ("e", 0.2), ("a", 0.1), ("i", 0.1), ("u", 0.1)), "next: not 5 different characters"),
        (expecting(("he", 0.5), ("o", 0.2), ("a", 0.1), ("i", 0.1), ("u", 0.1)), "next: not 5 different characters"),
        (expecting(("e", 0.2), ("o", 0.5), ("a", 0.1), ("i", 0.1), ("u", 0.1)), "next: not the most probable first"),
        (expecting(("e", 0.5), ("o", 0.4), ("a", 0.1), ("i", 0.1), ("u", 0.1)), "next: not probabilities"),
        (expecting(("e", 0.5), ("o", 0.2), ("a", 0.1), ("i", 0.1), ("u", -0.1)), "next: not probabilities"),
        (
            expecting(("e", 0.5), ("o", 0.2), ("a", 0.1), ("i", 0.1), ("u", 0.1), log_prob=0.5),
            "log_prob: greater than 0",
        ),
    ],
)
def test_wrong_expectations_fail(expected: NextCharacters, failure: str) -> None:
    assert check_next(expected) == failure


def test_the_most_probable_character_must_come_at_temperature_zero() -> None:
    expected = expecting(("e", 0.5), ("o", 0.2), ("a", 0.1), ("i", 0.1), ("u", 0.1))
    assert check_expected(expected, "ever") is None
    assert check_expected(expected, "over") == "next: not what comes at temperature 0"


def test_a_stream_must_amount_to_the_answer_at_once() -> None:
    whole = answer("to be")
    assert check_stream(answer("to be"), whole) is None
    assert check_stream(answer("to b"), whole) == "stream: the pieces are not the text that was answered at once"
    assert check_stream(answer("to be", "stop"), whole) == (
        "stream: the end is not that of the text that was answered at once"
    )
