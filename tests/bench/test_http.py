import pytest

from bench.clients.connection import AnswerRefused
from bench.clients.http import answer_length, request

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize("answer", [ANSWER, CHUNKED])
def test_an_answer_is_whole_at_its_last_byte(answer: bytes) -> None:
    assert [answer_length(answer[:end]) for end in range(len(answer))] == [0] * len(answer)
    assert answer_length(answer) == len(answer)


@pytest.mark.parametrize("answer", [ANSWER, CHUNKED])
def test_the_next_answer_is_left_alone(answer: bytes) -> None:
    assert answer_length(answer + ANSWER) == len(answer)


def test_an_answer_without_a_length_is_refused() -> None:
    with pytest.raises(AnswerRefused):
        answer_length(b"HTTP/1.1 200 OK\r\n\r\nhello")


def test_a_request_tells_its_length() -> None:
    head, body = request("/steps", b"123", {"X-More": "yes"}).split(b"\r\n\r\n")
    assert head.startswith(b"POST /steps HTTP/1.1\r\n")
    assert b"Content-Length: 3" in head
    assert b"X-More: yes" in head
    assert body == b"123"
