"""Types of arguments on the command line, for argparse."""

import argparse

import torch


def count(text: str) -> int:
    """How many of something, one at least.

    Raises:
        argparse.ArgumentTypeError: It is no such number.
    """
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, not {text!r}")
    return int(text)


def device(text: str) -> torch.device:
    """A device of torch that is there.

    Raises:
        argparse.ArgumentTypeError: It is not.
    """
    try:
        found = torch.device(text)
        torch.empty(0, device=found)
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise argparse.ArgumentTypeError(f"{text!r} cannot be had here: {reason}") from error
    return found
