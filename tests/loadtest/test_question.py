"""How replies are read, and which are no answers."""

import json

import pytest

from loadtest.answers import EmptyAnswer, Piece, Problem, SentimentAnswer
from loadtest.question import JSON, PROBLEM_JSON, Question, Reply, WrongReply, post

QUESTION = post(Piece, "/path", {"number": 7}, "note")
PROBLEM = {"type": "urn:problem:queue-full", "title": "Queue full", "status": 503, "detail": "try again later"}
GONE = {**PROBLEM, "type": "urn:problem:session-gone", "status": 410, "reason": "evicted"}


def failure_of(question: Question[Piece] | Question[EmptyAnswer] | Question[SentimentAnswer], reply: Reply) -> str:
    with pytest.raises(WrongReply) as raised:
        question.read(reply)
    return str(raised.value)


def test_a_question_is_posted_as_json_under_its_own_name() -> None:
    assert (QUESTION.method, QUESTION.path, QUESTION.name) == ("POST", "/path", "/path (note)")
    assert json.loads(QUESTION.body or b"") == {"number": 7}


def test_a_right_reply_is_an_answer() -> None:
    assert QUESTION.read(Reply(200, "Application/JSON; charset=utf-8", b'{"text": "A", "new": 1}')) == Piece(text="A")


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (Reply(500, "text/plain", b"Internal Server Error"), "status: expected 200, got 500"),
        (Reply(503, PROBLEM_JSON, json.dumps(PROBLEM).encode()), "status: expected 200, got 503 queue-full"),
        (
            Reply(410, PROBLEM_JSON, json.dumps(GONE).encode()),
            "status: expected 200, got 410 session-gone (evicted)",
        ),
        (
            Reply(500, PROBLEM_JSON, json.dumps({**PROBLEM, "type": "about:blank"}).encode()),
            "status: expected 200, got 500",
        ),
        (Reply(201, JSON, b'{"text": "A"}'), "status: expected 200, got 201"),
        (Reply(200, "text/html", b'{"text": "A"}'), "content type: expected application/json, got text/html"),
        (Reply(200, "", b""), "content type: expected application/json, got none"),
        (Reply(200, JSON, b""), "form: text: missing"),
        (Reply(200, JSON, b'{"text"'), "form: body: json_invalid"),
        (Reply(200, JSON, b'{"text": 7}'), "form: text: string_type"),
        (Reply(200, JSON, b"[]"), "form: body: model_type"),
    ],
)
def test_a_wrong_reply_is_no_answer(reply: Reply, failure: str) -> None:
    assert failure_of(QUESTION, reply) == failure


def test_a_refusal_is_the_right_answer_where_one_is_due() -> None:
    question = Question(Problem, "GET", "/path", "/path", status=503)
    answer = question.read(Reply(503, PROBLEM_JSON, json.dumps(PROBLEM).encode()))
    assert (answer.code, answer.detail) == ("queue-full", "try again later")


def test_a_refusal_must_be_a_problem_document() -> None:
    question = Question(EmptyAnswer, "GET", "/path", "/path", status=404)
    assert failure_of(question, Reply(404, JSON, b"{}")) == (
        "content type: expected application/problem+json, got application/json"
    )


def test_a_reply_without_content_is_an_answer_only_where_none_is_due() -> None:
    ending = Question(EmptyAnswer, "DELETE", "/path", "/path", status=204)
    assert ending.read(Reply(204, "", b"")) == EmptyAnswer()
    assert failure_of(ending, Reply(200, JSON, b"{}")) == "status: expected 204, got 200"


@pytest.mark.parametrize("score", ["NaN", "Infinity", "null", '"0.5"'])
def test_a_number_that_is_none_fails_under_one_kind_wherever_it_is(score: str) -> None:
    results = ", ".join(f'{{"probabilities": {{"positive": {value}}}}}' for value in ("0.5", score))
    body = f'{{"results": [{results}], "bundle": "b:1"}}'.encode()
    failure = failure_of(post(SentimentAnswer, "/sentiment", {}), Reply(200, JSON, body))
    assert failure.startswith("form: results.*.probabilities.positive: ")
