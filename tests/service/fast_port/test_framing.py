"""Cutting whole messages out changes nothing of what websockets reads in a client's bytes."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from service.fast_port.framing import BINARY, OTHER, TEXT, Framing, frame

MAX_BYTES = 70_000
LENGTHS = st.sampled_from([0, 1, 2, 125, 126, 127, 300, 65_535, 65_536, MAX_BYTES, MAX_BYTES + 1])
Read = tuple[int, bool, bytes]


def content(length: int) -> bytes:
    return (bytes(range(251)) * (length // 251 + 1))[:length]


DATA = st.builds(
    lambda opcode, length, fin, mask: Frame(opcode, content(length), fin).serialize(mask=mask),
    st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.CONT]),
    LENGTHS,
    st.booleans(),
    st.sampled_from([True] * 9 + [False]),
)
WHOLE = st.builds(
    lambda opcode, length: Frame(opcode, content(length)).serialize(mask=True),
    st.sampled_from([Opcode.TEXT, Opcode.BINARY]),
    LENGTHS,
)
RESERVED = b"\xc1" + Frame(Opcode.TEXT, content(9)).serialize(mask=True)[1:]
PING = Frame(Opcode.PING, b"abc").serialize(mask=True)
CLOSE = Frame(Opcode.CLOSE, b"").serialize(mask=True)
HEADS = bytes(14)  # of frames without a payload: what comes before them is no head of which a part is missing
FRAGMENTS = b"".join(
    Frame(opcode, b"part", fin).serialize(mask=True)
    for opcode, fin in ((Opcode.TEXT, False), (Opcode.CONT, False), (Opcode.CONT, True))
)
FIXED = st.sampled_from([PING, FRAGMENTS, CLOSE, RESERVED])
STREAMS = st.lists(WHOLE | DATA | FIXED | st.binary(max_size=20), max_size=6)


def opened() -> ServerProtocol:
    """A server's side behind its handshake."""
    client, server = ClientProtocol(parse_uri("ws://localhost/")), ServerProtocol(max_size=MAX_BYTES)
    client.send_request(client.connect())
    server.receive_data(b"".join(client.data_to_send()))
    (request,) = server.events_received()
    server.send_response(server.accept(request))  # type: ignore[arg-type]  # the first event is the request
    return server


def frames_of(server: ServerProtocol) -> list[Read]:
    events = server.events_received()
    return [(event.opcode, event.fin, bytes(event.data)) for event in events if isinstance(event, Frame)]


def read(parts: list[bytes]) -> tuple[list[Read], State, type]:
    """What is read where whole messages go past the server's side, how it is left, and what it found wrong."""
    framing, server = Framing(MAX_BYTES), opened()
    found: list[Read] = []
    for opcode, cut in itertools.chain.from_iterable(map(framing.cut, parts)):
        if opcode == OTHER:
            server.receive_data(cut)
            found += frames_of(server)
        elif server.state is State.OPEN:
            found.append((opcode, True, cut))
    return found, server.state, type(server.parser_exc)


@settings(max_examples=300)
@given(STREAMS, st.lists(st.integers(0, 10**6), max_size=6))
def test_messages_are_those_of_websockets_however_their_bytes_are_cut(sent: list[bytes], at: list[int]) -> None:
    stream = b"".join(sent) + HEADS
    borders = [0, *sorted(place % (len(stream) + 1) for place in at), len(stream)]
    server = opened()
    server.receive_data(stream)
    expected = frames_of(server), server.state, type(server.parser_exc)
    assert read([stream[start:stop] for start, stop in itertools.pairwise(borders)]) == expected


def test_bytes_may_come_one_by_one() -> None:
    sent = [Frame(Opcode.TEXT, content(300)).serialize(mask=True), FRAGMENTS, PING, CLOSE]
    stream = b"".join(sent)
    found, state, wrong = read([bytes([byte]) for byte in stream])
    assert [opcode for opcode, _, _ in found] == [TEXT, TEXT, Opcode.CONT, Opcode.CONT, Opcode.PING, Opcode.CLOSE]
    assert (found[0][2], state, wrong) == (content(300), State.CLOSING, type(None))


def test_what_is_held_of_a_frame_is_handed_on_when_it_is_given_up() -> None:
    framing = Framing(MAX_BYTES)
    whole = Frame(Opcode.TEXT, content(300)).serialize(mask=True)
    assert list(framing.cut(whole + whole[:3])) == [(TEXT, content(300))]
    assert (framing.rest(), framing.rest()) == (whole[:3], b"")


def test_a_message_without_a_mask_is_left_to_websockets_which_refuses_it() -> None:
    bare = Frame(Opcode.TEXT, content(300)).serialize(mask=False)
    assert list(Framing(MAX_BYTES).cut(bare)) == [(OTHER, bare)]


def test_a_whole_message_after_one_in_fragments_is_cut_out_again() -> None:
    whole = Frame(Opcode.TEXT, content(300)).serialize(mask=True)
    framing = Framing(MAX_BYTES)
    assert b"".join(cut for opcode, cut in framing.cut(FRAGMENTS) if opcode == OTHER) == FRAGMENTS
    assert list(framing.cut(whole)) == [(TEXT, content(300))]


def test_a_whole_message_does_not_reach_the_state_machine() -> None:
    masked = Frame(Opcode.BINARY, content(1000)).serialize(mask=True)
    assert list(Framing(MAX_BYTES).cut(masked * 3)) == [(BINARY, content(1000))] * 3


@given(st.sampled_from([Opcode.TEXT, Opcode.BINARY]), LENGTHS)
def test_a_frame_is_written_as_websockets_writes_it(opcode: Opcode, length: int) -> None:
    assert frame(opcode, content(length)) == Frame(opcode, content(length)).serialize(mask=False)
