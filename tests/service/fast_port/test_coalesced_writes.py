"""What goes out at once, and what goes out together."""

import asyncio
from typing import cast

import pytest

from service.fast_port.coalesced_writes import CoalescingTransport

pytestmark = pytest.mark.anyio


class FakeTransport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_over = False

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.written.append(data)

    def write_eof(self) -> None:
        """Keep that nothing follows."""
        self.written.append(b"EOF")

    def close(self) -> None:
        """Keep that it was closed."""
        self.written.append(b"closed")

    def is_closing(self) -> bool:
        """Whether the client has gone."""
        return self.is_over


@pytest.fixture
def target() -> FakeTransport:
    """What is below."""
    return FakeTransport()


@pytest.fixture
async def transport(target: FakeTransport) -> CoalescingTransport:
    """The transport on top of it."""
    return CoalescingTransport(cast(asyncio.Transport, target))


async def test_what_is_written_in_a_turn_goes_out_together_at_its_end(
    transport: CoalescingTransport, target: FakeTransport
) -> None:
    for part in (b"a", b"b"):
        transport.write(part)
    assert not target.written
    await asyncio.sleep(0)
    assert target.written == [b"ab"]


async def test_a_whole_answer_goes_out_at_once(transport: CoalescingTransport, target: FakeTransport) -> None:
    transport.write_at_once(b"a")
    assert target.written == [b"a"]


async def test_a_whole_answer_takes_along_what_was_written_before(
    transport: CoalescingTransport, target: FakeTransport
) -> None:
    transport.write(b"a")
    transport.write_at_once(b"b")
    assert target.written == [b"ab"]
    transport.write(b"c")
    await asyncio.sleep(0)
    assert target.written == [b"ab", b"c"]


async def test_nothing_is_written_to_who_has_gone(transport: CoalescingTransport, target: FakeTransport) -> None:
    transport.write(b"a")
    target.is_over = True
    await asyncio.sleep(0)
    assert not target.written


@pytest.mark.parametrize(("end", "ends"), [("write_eof", b"EOF"), ("close", b"closed")])
async def test_what_was_written_goes_out_before_the_end(
    transport: CoalescingTransport, target: FakeTransport, end: str, ends: bytes
) -> None:
    transport.write(b"a")
    getattr(transport, end)()
    await asyncio.sleep(0)
    assert target.written == [b"a", ends]
