"""Texts answered as server-sent events: their pieces, then the end."""

from collections.abc import Sequence

from loadtest.answers import Continuation, GenerateAnswer, Piece, StepAnswer, StreamEnd
from loadtest.question import Question, WrongReply, json_body, read_form
from loadtest.sse import Event, parse_events

MAX_PIECE_CHARACTERS = 128


class TextStream(Question[GenerateAnswer]):
    """A question whose answer comes as events."""

    def parse(self, content: bytes) -> GenerateAnswer:
        return join_events(_events(content))


class StepStream(Question[StepAnswer[Continuation]]):
    """A step of a session whose answer comes as events."""

    def parse(self, content: bytes) -> StepAnswer[Continuation]:
        text, end = _text_and_end(_events(content))
        answer = read_form(self.form, end)
        if text != answer.outputs.text:
            raise WrongReply("stream: the pieces are not the text of the whole answer")
        return answer


def stream(inputs: dict[str, object]) -> TextStream:
    """Make a question for a streamed text. Locust's tables show the times until its first piece and until its end."""
    body = json_body({**inputs, "stream": True})
    first, whole = _rows("/generate")
    return TextStream(GenerateAnswer, "POST", "/generate", first, body, stream=True, whole_name=whole)


def stream_step(path: str, name: str, step: dict[str, object]) -> StepStream:
    """Make a question for a step whose text is streamed. Its rows in locust's tables have this name in common."""
    body = json_body({**step, "stream": True})
    first, whole = _rows(name)
    return StepStream(StepAnswer[Continuation], "POST", path, first, body, stream=True, whole_name=whole)


def _rows(name: str) -> tuple[str, str]:
    return f"{name} (stream, first piece)", f"{name} (stream, whole)"


def _events(content: bytes) -> list[Event]:
    return parse_events(content.decode(errors="replace"))


def join_events(events: Sequence[Event]) -> GenerateAnswer:
    """Join events to an answer.

    Raises:
        WrongReply: They are not pieces of a text followed by an end.
    """
    text, end = _text_and_end(events)
    return GenerateAnswer(text=text, **dict(read_form(StreamEnd, end)))


def _text_and_end(events: Sequence[Event]) -> tuple[str, str]:
    """Return the joined pieces, and the data of the last event."""
    if not events or events[-1].name != "done":
        raise WrongReply(f"stream: ends with {events[-1].name if events else 'nothing'}, not with done")
    if any(event.name != "text" for event in events[:-1]):
        raise WrongReply("stream: events other than text before the end")
    pieces = [read_form(Piece, event.data).text for event in events[:-1]]
    if any(len(piece) > MAX_PIECE_CHARACTERS for piece in pieces):
        raise WrongReply("stream: a long text came in one piece")
    return "".join(pieces), events[-1].data
