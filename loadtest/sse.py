"""Server-sent events of the HTML standard (section 9.2), without `id` and `retry`, which nothing here sends."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """One event: its name ("message" where none is given) and its data."""

    name: str
    data: str


def parse_events(stream: str) -> list[Event]:
    """The events of a stream that is over. One that lacks its blank line was cut off, so it is no event."""
    return list(_events(stream.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")))


def _events(stream: str) -> Iterator[Event]:
    name, data = "", list[str]()
    for line in stream.split("\n")[:-1]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif not line:
            if data:
                yield Event(name or "message", "\n".join(data))
            name, data = "", []
