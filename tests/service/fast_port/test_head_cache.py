"""Heads that are known by their bytes: only where a request comes whole and alone."""

import pytest

from service.api.steps.single_steps import Caller
from service.fast_port.head_cache import MAX_CACHED_HEAD_BYTES, MAX_HEADS, Head, HeadCache

CALLER = Caller("ann", None)


def head_of(session_id: str, length: int, more: str = "") -> bytes:
    return f"POST /sessions/{session_id}/steps HTTP/1.1\r\ncontent-length: {length}\r\n{more}\r\n".encode()


HEAD = head_of("a", 5)


@pytest.fixture
def known() -> HeadCache:
    heads = HeadCache()
    heads.add(HEAD + b"12345", "a", CALLER, 5)
    return heads


def test_a_head_is_found_again_with_any_body(known: HeadCache) -> None:
    assert known.find(HEAD + b"abcde") == Head("a", CALLER, len(HEAD), 5)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n\r\n",
        HEAD,
        HEAD + b"1234",
        HEAD + b"123456",
        HEAD + b"12345" + HEAD + b"12345",
        b"\r\n" + HEAD + b"12345",
        HEAD[:-2] + b"expect: 100-continue\r\n\r\n12345",
        head_of("b", 5) + b"12345",
        head_of("a", 6) + b"12345",
    ],
)
def test_what_is_not_that_request_whole_and_alone_is_not_known(known: HeadCache, content: bytes) -> None:
    assert known.find(content) is None


@pytest.mark.parametrize(
    ("content", "num_body_bytes"),
    [
        (b"", 5),
        (HEAD + b"1234", 5),
        (HEAD + b"12345" + HEAD + b"12345", 5),
        (b"\r\n\r\n" + HEAD + b"12345", 5),
        (head_of("a", 5, f"x: {'x' * MAX_CACHED_HEAD_BYTES}\r\n") + b"12345", 5),
    ],
)
def test_nothing_is_learnt_of_what_is_not_one_short_request(content: bytes, num_body_bytes: int) -> None:
    heads = HeadCache()
    heads.add(content, "a", CALLER, num_body_bytes)
    assert heads.find(content) is None
    assert heads.find(HEAD + b"12345") is None


def test_as_many_heads_as_may_be_are_known_together(known: HeadCache) -> None:
    heads = [head_of("a", 5), *(head_of(f"s{number}", 5) for number in range(1, MAX_HEADS))]
    for head in heads[1:]:
        known.add(head + b"12345", "s", CALLER, 5)
    assert None not in [known.find(head + b"12345") for head in heads]


def test_a_connection_remembers_a_few(known: HeadCache) -> None:
    for number in range(MAX_HEADS):
        head = head_of(f"s{number}", 5)
        known.add(head + b"12345", f"s{number}", CALLER, 5)
    assert known.find(HEAD + b"12345") is None
    found = known.find(head_of(f"s{MAX_HEADS - 1}", 5) + b"12345")
    assert found is not None
    assert found.session_id == f"s{MAX_HEADS - 1}"
