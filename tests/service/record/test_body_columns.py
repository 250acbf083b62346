"""The beginnings of many bodies at once: the bytes that the encoding of each body alone has."""

from hypothesis import given
from hypothesis import strategies as st

from service.record.body import HEAD_BYTES, SECRET_AT, Body, encode, extra_of
from service.record.body_columns import HEAD, next_heads
from service.record.sequence_state import SequenceState

R = 12


def of(length: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=length, max_size=length)


def bodies(digest_length: int) -> st.SearchStrategy[Body]:
    """Bodies before a step: one row and the answer of the last step, and an extra of one length."""
    row = st.builds(SequenceState, st.tuples(of(R)), st.just(("",)), st.just(b""), st.integers(0, 2**63))
    digests = st.text("0123456789abcdef", min_size=digest_length, max_size=digest_length)
    content = st.tuples(st.integers(1, 2**32 - 1), of(16), row, of(8), of(16), st.binary(max_size=30), digests)
    return content.map(lambda parts: Body(*parts[:-1], request_digest=parts[-1]))


@st.composite
def steps(draw: st.DrawFn) -> tuple[list[Body], list[bytes], list[bytes], list[bytes]]:
    """Some bodies with the digests, the answers and the rows of a step, all answers as long."""
    before = draw(st.lists(bodies(draw(st.sampled_from([0, 32]))), min_size=1, max_size=9))
    num, length = len(before), draw(st.integers(0, 30))
    digests, answers, rows = (draw(st.lists(of(n), min_size=num, max_size=num)) for n in (16, length, R))
    return before, digests, answers, rows


@given(steps(), st.integers(1, 1024))
def test_heads_and_rows_are_the_bytes_of_each_body(
    step: tuple[list[Body], list[bytes], list[bytes], list[bytes]], num_items: int
) -> None:
    before, digests, answers, rows = step
    encoded = [encode(body)[:HEAD_BYTES] for body in before]
    assert [head[SECRET_AT] for head in encoded] == [body.secret for body in before]
    heads = next_heads(encoded, num_items, digests, answers, [extra_of(body) for body in before])
    for body, head, digest, answer, row in zip(before, heads, digests, answers, rows, strict=True):
        after = body._replace(state=body.state.advanced(row, num_items), digest=digest, answer=answer)
        assert head.tobytes() + row == encode(after)


def test_a_head_is_as_long_as_that_of_a_body() -> None:
    assert HEAD.itemsize == HEAD_BYTES
