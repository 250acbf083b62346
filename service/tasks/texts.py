"""Texts of a request, each read as a model reads it."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from service.concurrency.waiting import off_loop
from service.errors import InvalidInput, Location

R = TypeVar("R")


async def read_each(read: Callable[[str, Location], R], texts: Sequence[str], locations: Sequence[Location]) -> list[R]:
    """Return what `read` makes of each text, given where it is in the request.

    Raises:
        InvalidInput: `read` has refused some of the texts. It has the mistakes of all of them.
    """
    return await off_loop(sum(map(len, texts)), lambda: _read_each(read, texts, locations))


def _read_each(read: Callable[[str, Location], R], texts: Sequence[str], locations: Sequence[Location]) -> list[R]:
    results: list[R] = []
    mistakes: list[tuple[Location, str]] = []
    for text, location in zip(texts, locations, strict=True):
        try:
            results.append(read(text, location))
        except InvalidInput as error:
            mistakes += error.errors
    if mistakes:
        raise InvalidInput.of_mistakes(mistakes)
    return results
