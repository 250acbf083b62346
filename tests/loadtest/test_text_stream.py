"""A streamed text and the streams that are none."""

import json

import pytest

from loadtest.answers import Continuation, GenerateAnswer, StepAnswer, Usage
from loadtest.question import EVENT_STREAM, JSON, Reply, WrongReply
from loadtest.sse import Event
from loadtest.text_stream import join_events, stream, stream_step

USAGE = {"prompt_tokens": 2, "completion_tokens": 5, "total_tokens": 7}
END = {"finish_reason": "length", "usage": USAGE, "seed": 3, "bundle": "b:1"}
DONE = Event("done", json.dumps(END))
WHOLE = GenerateAnswer(text="to be", finish_reason="length", usage=Usage(**USAGE), seed=3, bundle="b:1")


def text(piece: str) -> Event:
    return Event("text", json.dumps({"text": piece}))


def test_pieces_and_an_end_are_an_answer() -> None:
    assert join_events([text("to "), text("be"), DONE]) == WHOLE


def test_an_end_without_pieces_is_an_empty_text() -> None:
    assert join_events([DONE]) == WHOLE.model_copy(update={"text": ""})


@pytest.mark.parametrize(
    ("events", "failure"),
    [
        ([], "stream: ends with nothing, not with done"),
        ([text("to be")], "stream: ends with text, not with done"),
        ([text("to "), Event("error", "{}")], "stream: ends with error, not with done"),
        ([text("to "), DONE, text("be"), DONE], "stream: events other than text before the end"),
        ([Event("message", '{"text": "to"}'), DONE], "stream: events other than text before the end"),
        ([Event("text", '{"piece": "to"}'), DONE], "form: text: missing"),
        ([Event("text", "to"), DONE], "form: body: json_invalid"),
        ([text("to be"), Event("done", "{}")], "form: finish_reason: missing"),
        ([text("x" * 1000), DONE], "stream: a long text came in one piece"),
    ],
)
def test_other_events_are_no_answer(events: list[Event], failure: str) -> None:
    with pytest.raises(WrongReply) as raised:
        join_events(events)
    assert str(raised.value) == failure


def test_a_reply_is_read_event_by_event() -> None:
    content = b'event: text\ndata: {"text":"to be"}\n\nevent: done\ndata: ' + DONE.data.encode() + b"\n\n"
    assert stream({"prompt": "A"}).read(Reply(200, f"{EVENT_STREAM}; charset=utf-8", content)) == WHOLE


def test_a_reply_at_once_is_not_a_stream() -> None:
    with pytest.raises(WrongReply, match="content type: expected text/event-stream, got application/json"):
        stream({"prompt": "A"}).read(Reply(200, JSON, WHOLE.model_dump_json().encode()))


def test_a_stream_is_asked_for_beside_the_other_inputs() -> None:
    assert json.loads(stream({"prompt": "A", "seed": 3}).body or b"") == {"prompt": "A", "seed": 3, "stream": True}


def test_both_times_of_a_stream_have_a_row() -> None:
    question = stream({"prompt": "A"})
    assert (question.name, question.whole_name) == ("/generate (stream, first piece)", "/generate (stream, whole)")


STEP_END = {"session_id": "s", "step": 3, "outputs": {"text": "to be", **END}}
STEP = stream_step("/sessions/s/steps", "/sessions/{id}/steps", {"step": 2, "inputs": {"generate": {}}})


def step_reply(*pieces: str) -> Reply:
    events = [*map(text, pieces), Event("done", json.dumps(STEP_END))]
    content = "".join(f"event: {event.name}\ndata: {event.data}\n\n" for event in events)
    return Reply(200, EVENT_STREAM, content.encode())


def test_a_streamed_step_is_read_event_by_event() -> None:
    outputs = Continuation(text="to be", finish_reason="length", usage=Usage(**USAGE), seed=3)
    assert STEP.read(step_reply("to ", "be")) == StepAnswer(session_id="s", step=3, outputs=outputs)
    assert json.loads(STEP.body or b"") == {"step": 2, "inputs": {"generate": {}}, "stream": True}


def test_the_pieces_of_a_streamed_step_must_be_its_text() -> None:
    with pytest.raises(WrongReply, match="stream: the pieces are not the text of the whole answer"):
        STEP.read(step_reply("to "))
