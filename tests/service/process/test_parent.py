"""Workers and the first process, which may be gone before they are there."""

import os
import signal
import subprocess
import sys

import pytest

WORKER = """
from service.process.parent import die_with_parent
die_with_parent()
print('serves')
"""


def test_who_is_started_by_the_first_process_serves() -> None:
    first = "from service.process.parent import mark_as_parent; mark_as_parent(); import subprocess, sys; "
    script = f"{first}print(subprocess.check_output([sys.executable, '-c', {WORKER!r}], text=True))"
    told = subprocess.check_output([sys.executable, "-c", script], text=True)  # noqa: S603  words of this test
    assert told.strip() == "serves"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a parent's end")
@pytest.mark.parametrize(
    ("first", "status", "told"),
    [
        (str(os.getpid()), 0, "serves"),
        (None, 0, "serves"),
        ("999999999", -signal.SIGKILL, ""),
    ],
)
def test_a_worker_whose_parent_is_gone_already_ends(first: str | None, status: int, told: str) -> None:
    variables = {name: value for name, value in os.environ.items() if name != "FIRST_PROCESS_OF_UNROLLED"}
    if first is not None:
        variables["FIRST_PROCESS_OF_UNROLLED"] = first
    ended = subprocess.run(  # noqa: S603  words of this test
        [sys.executable, "-c", WORKER], env=variables, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout.strip()) == (status, told)
