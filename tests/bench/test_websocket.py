import pytest
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from bench.clients.websocket import frame, frame_length, payload

LENGTHS = [0, 125, 126, 65_535, 65_536]


@pytest.mark.parametrize("length", LENGTHS)
def test_a_frame_is_what_a_server_reads(length: int) -> None:
    reader = StreamReader()
    reader.feed_data(frame(b"x" * length))
    parsing = Frame.parse(reader.read_exact, mask=True)
    with pytest.raises(StopIteration) as stopped:
        next(parsing)
    parsed: Frame = stopped.value.value
    assert (parsed.opcode, parsed.data, parsed.fin) == (Opcode.TEXT, b"x" * length, True)
    assert not reader.buffer


@pytest.mark.parametrize("length", LENGTHS)
def test_a_servers_frame_is_whole_at_its_last_byte(length: int) -> None:
    sent = Frame(Opcode.TEXT, b"y" * length).serialize(mask=False)
    assert [frame_length(sent[:end]) for end in range(min(len(sent), 20))] == [0] * min(len(sent), 20)
    assert frame_length(sent[:-1]) == 0
    assert frame_length(sent + b"more") == len(sent)
    assert payload(sent) == b"y" * length
