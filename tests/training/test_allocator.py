"""Memory that one step frees and the next takes again."""

import platform
import subprocess
import sys

import pytest

STEPS_OF_64_MB = """
import ctypes
import resource
import torch
from training.allocator import keep_freed_memory

PR_SET_THP_DISABLE = 41  # where huge pages are always on, a fault maps 512 pages
ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, *map(ctypes.c_ulong, (1, 0, 0, 0)))
if {keep}:
    keep_freed_memory()

def step():
    torch.ones(2**24)

for _ in range(16):  # glibc finds a place that it goes on with after some six
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_later_steps_find_their_memory_in_place() -> None:
    assert _num_faults(keep=True) < 100 < 16_384 <= _num_faults(keep=False)


def _num_faults(*, keep: bool) -> int:
    """Count the pages that four steps fault in; their tensors have 16,384 each."""
    code = STEPS_OF_64_MB.format(keep=keep)
    command = [sys.executable, "-c", code]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603  our own words
