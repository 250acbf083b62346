"""Server-sent events are read as the HTML standard says."""

import pytest

from loadtest.sse import Event, parse_events


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        ("", []),
        ("event: text\ndata: a\n\n", [Event("text", "a")]),
        ("event: text\ndata: a\n\nevent: done\ndata: b\n\n", [Event("text", "a"), Event("done", "b")]),
        ("data: a\n\n", [Event("message", "a")]),
        ("event: text\ndata: a\n\ndata: b\n\n", [Event("text", "a"), Event("message", "b")]),
        ("data: a\ndata: b\n\n", [Event("message", "a\nb")]),
        ("data:a\n\ndata:  a \n\n", [Event("message", "a"), Event("message", " a ")]),
        ("data\n\n", [Event("message", "")]),
        (": a comment\n\ndata: a\n\n", [Event("message", "a")]),
        ("event: text\n\ndata: a\n\n", [Event("message", "a")]),
        ("id: 7\nretry: 7\nx: y\ndata: a: b\n\n", [Event("message", "a: b")]),
        ("event: text\r\ndata: a\r\n\r\n", [Event("text", "a")]),
        ("event: text\rdata: a\r\r", [Event("text", "a")]),
        ("\ufeffdata: a\n\n", [Event("message", "a")]),
        ("data: a\u2028b\n\n", [Event("message", "a\u2028b")]),
    ],
)
def test_events_are_read(stream: str, events: list[Event]) -> None:
    assert parse_events(stream) == events


@pytest.mark.parametrize("rest", ["event: done", "event: done\n", "event: done\ndata: b", "event: done\ndata: b\n"])
def test_an_event_that_was_cut_off_is_none(rest: str) -> None:
    assert parse_events("event: text\ndata: a\n\n" + rest) == [Event("text", "a")]
