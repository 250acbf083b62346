"""The limit of open files, in processes of their own."""

import resource
import subprocess
import sys

import pytest

SCRIPT = """
import logging, resource
from service.process.open_files import raise_limit
logging.basicConfig(format="%(message)s")
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
raise_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def raised(soft: int, hard: int) -> tuple[str, str]:
    """The limits afterwards, and what was logged."""
    words = [sys.executable, "-c", SCRIPT.format(soft=soft, hard=hard)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)  # noqa: S603  words of this test
    return done.stdout.strip(), done.stderr.strip()


def test_a_limit_is_raised_as_far_as_it_may_be() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert raised(256, hard) == (f"{hard} {hard}", "")


def test_a_low_one_that_cannot_be_raised_is_told() -> None:
    limits, told = raised(100, 128)
    assert limits == "128 128"
    assert told == (
        "a process may open only 128 files and connections, and clients beyond that are disconnected: "
        "raise `ulimit -n` to 4096 or more"
    )


@pytest.mark.parametrize(
    ("limit", "first_short", "first"), [(64, 49, 56), (256, 208, 224), (1024, 944, 960), (4096, 4016, 4032)]
)
def test_some_descriptors_are_kept_from_clients(limit: int, first_short: int, first: int) -> None:
    names = ("first_short_descriptor", "first_reserved_descriptor")
    calls = ", ".join(f"{name}()" for name in names)
    script = f"from service.process.open_files import {', '.join(names)}\nprint({calls})"
    words = [sys.executable, "-c", SCRIPT.format(soft=limit, hard=limit) + script]
    printed = subprocess.check_output(words, text=True, stderr=subprocess.DEVNULL)  # noqa: S603  words of this test
    assert printed.splitlines()[-1] == f"{first_short} {first}"
