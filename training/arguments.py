"""Arguments of the command line: their types, for argparse, and how one is typed."""

import argparse
import math
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import torch


def option(flag: str, value: str) -> list[str]:
    """Return the words of an option. A value that begins with a hyphen would by itself be taken for another option."""
    return [f"{flag}={value}"] if value.startswith("-") else [flag, value]


def count(text: str) -> int:
    """Parse a whole number from 1.

    Raises:
        argparse.ArgumentTypeError: The text is not such a number.
    """
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, not {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """Parse a time in seconds.

    Raises:
        argparse.ArgumentTypeError: The text is no number above zero.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of seconds above zero, not {text!r}")
    return value


def encoding(text: str) -> str:
    """Check the name of a text encoding that Python knows.

    Raises:
        argparse.ArgumentTypeError: It is not one.
    """
    try:
        "".encode(text)
    except LookupError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an encoding; windows-1252 and utf-16 are examples"
        ) from error
    return text


def zone(text: str) -> str:
    """Check the name of a time zone.

    Raises:
        argparse.ArgumentTypeError: There is no zone of that name.
    """
    try:
        ZoneInfo(text)
    except (OSError, ValueError, ZoneInfoNotFoundError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time zone; Europe/Berlin and UTC are examples") from error
    return text


def device(text: str) -> torch.device:
    """Parse the name of a torch device, and check that it can be used.

    Raises:
        argparse.ArgumentTypeError: There is no such device here.
    """
    try:
        found = torch.device(text)
        torch.empty(0, device=found)
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise argparse.ArgumentTypeError(f"{text!r} is not available here: {reason}") from error
    return found
