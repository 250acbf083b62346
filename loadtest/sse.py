"""Server-sent events of the HTML standard (section 9.2), without `id` and `retry`, which the service does not send."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """One event: its name ("message" if none is given) and its data."""

    name: str
    data: str


def parse_events(stream: str) -> list[Event]:
    """Parse the events of a finished stream. An event without its blank line was cut off, and is dropped."""
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
