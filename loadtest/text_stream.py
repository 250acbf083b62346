"""Texts answered as server-sent events: their pieces, then the end."""

from collections.abc import Sequence

from loadtest.answers import GenerateAnswer, Piece, StreamEnd
from loadtest.question import Question, WrongReply, json_body, read_form
from loadtest.sse import Event, parse_events

MAX_PIECE_CHARACTERS = 128


class TextStream(Question[GenerateAnswer]):
    """A question whose answer comes as events."""

    def parse(self, content: bytes) -> GenerateAnswer:
        return join_events(parse_events(content.decode(errors="replace")))


def stream(inputs: dict[str, object]) -> TextStream:
    """Make a question for a streamed text. Locust's tables show the time until its first piece."""
    body = json_body({**inputs, "stream": True})
    return TextStream(GenerateAnswer, "POST", "/generate", "/generate (stream, first piece)", body, stream=True)


def join_events(events: Sequence[Event]) -> GenerateAnswer:
    """Join events to an answer.

    Raises:
        WrongReply: They are not pieces of a text followed by an end.
    """
    if not events or events[-1].name != "done":
        raise WrongReply(f"stream: ends with {events[-1].name if events else 'nothing'}, not with done")
    if any(event.name != "text" for event in events[:-1]):
        raise WrongReply("stream: events other than text before the end")
    pieces = [read_form(Piece, event.data).text for event in events[:-1]]
    if any(len(piece) > MAX_PIECE_CHARACTERS for piece in pieces):
        raise WrongReply("stream: a long text came in one piece")
    return GenerateAnswer(text="".join(pieces), **dict(read_form(StreamEnd, events[-1].data)))
