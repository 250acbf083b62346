"""A process writes its log without waiting for whoever reads it. Pipes that nobody reads are full soon."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from service.process.output import NonBlockingOutput

LINES = [b"%06d\n" % number for number in range(40_000)]  # more than any pipe holds
MISSING = re.compile(rb"unrolled: (\d+) lines of the log are missing here: nobody read it for too long\n")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe: its end to read from, its end to write to."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):  # closed by the test
            os.close(end)


def read(end: int, size: int) -> bytes:
    """So many bytes of a pipe."""
    content = b""
    while len(content) < size:
        content += os.read(end, size - len(content))
    return content


def fill(end: int) -> int:
    """Fill a pipe; how many bytes it took."""
    own, num = os.open(f"/proc/self/fd/{end}", os.O_WRONLY | os.O_NONBLOCK), 0
    with suppress(BlockingIOError):
        while True:
            num += os.write(own, b"x" * select.PIPE_BUF)
    os.close(own)
    return num


def test_lines_are_handed_on_in_order(pipe: tuple[int, int]) -> None:
    output = NonBlockingOutput(pipe[1])
    for line in LINES:
        output.write(line)
    assert read(pipe[0], sum(map(len, LINES))) == b"".join(LINES)
    assert output.mark().wait(60)


def test_lines_of_several_processes_do_not_mix() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # which tells writes apart
    with ours, theirs:
        output, num_left = NonBlockingOutput(theirs.fileno()), len(LINES)
        for line in LINES:
            output.write(line)
        while num_left:
            written = ours.recv(10 * select.PIPE_BUF)
            assert len(written) <= select.PIPE_BUF  # more is not written in one piece, pipe(7)
            assert written.endswith(b"\n")
            num_left -= written.count(b"\n")


def test_lines_that_nobody_reads_are_dropped_and_counted_where_they_are_missing(pipe: tuple[int, int]) -> None:
    output = NonBlockingOutput(pipe[1], max_waiting_bytes=1000)
    num_full = fill(pipe[1])
    for line in LINES:
        output.write(line)
    read(pipe[0], num_full)
    assert output.mark().wait(60)
    output.write(b"later\n")
    assert output.mark().wait(60)
    content = os.read(pipe[0], 10_000)
    before, num_missing, after = MISSING.split(content)
    assert before == b"".join(LINES[: len(before) // len(LINES[0])])
    assert len(before) == 994
    assert int(num_missing) == len(LINES) - len(before) // len(LINES[0])
    assert after == b"later\n"


def test_a_line_that_is_written_in_two_parts_is_dropped_whole(pipe: tuple[int, int]) -> None:
    output = NonBlockingOutput(pipe[1], max_waiting_bytes=100)
    num_full = fill(pipe[1])
    output.write(b"a" * 60 + b"\n")
    for part in (b"b" * 60, b"b", b"\nnext\n"):  # as print() writes them
        output.write(part)
    read(pipe[0], num_full)
    assert output.mark().wait(60)
    output.write(b"later\n")
    assert output.mark().wait(60)
    content = os.read(pipe[0], 10_000)
    assert b"b" not in content.replace(b"unrolled", b"").replace(b"nobody", b"")
    assert int(MISSING.split(content)[1]) == 1
    assert content.endswith(b"later\n")
    assert b"next\n" in content


def test_a_line_that_is_longer_than_all_that_may_wait_is_handed_on_if_somebody_reads(pipe: tuple[int, int]) -> None:
    output = NonBlockingOutput(pipe[1], max_waiting_bytes=100)
    output.write(b"c" * 1000 + b"\n")
    assert output.mark().wait(60)
    assert os.read(pipe[0], 10_000) == b"c" * 1000 + b"\n"


def test_lines_that_come_before_the_gap_is_told_come_after_it(pipe: tuple[int, int]) -> None:
    output = NonBlockingOutput(pipe[1], max_waiting_bytes=select.PIPE_BUF + 200)
    num_full = fill(pipe[1])
    for _ in range(2):
        output.write(b"z" * (select.PIPE_BUF - 1) + b"\n")
    mark = output.mark()
    output.write(b"small\n")
    read(pipe[0], num_full)
    assert mark.wait(60)
    assert output.mark().wait(60)
    assert MISSING.split(os.read(pipe[0], 10_000))[1:] == [b"1", b"small\n"]


@pytest.mark.parametrize("is_gone", [True, False], ids=["gone", "back"])
def test_a_reader_that_is_gone_or_a_pipe_that_is_not_to_block_does_no_harm(
    pipe: tuple[int, int], is_gone: bool
) -> None:
    output = NonBlockingOutput(pipe[1])
    os.set_blocking(pipe[1], False)
    num_full = fill(pipe[1])
    output.write(b"first\n")
    if is_gone:
        os.close(pipe[0])
    else:
        read(pipe[0], num_full)
    assert output.mark().wait(60)
    if not is_gone:
        assert os.read(pipe[0], 100) == b"first\n"


def test_a_handler_of_a_signal_may_write_amid_a_write(pipe: tuple[int, int]) -> None:
    output = NonBlockingOutput(pipe[1], max_waiting_bytes=1000)
    before = signal.signal(signal.SIGALRM, lambda *_: output.write(b"alarm\n"))
    signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
    try:
        for line in LINES:
            output.write(line)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    mark, content = output.mark(), b""
    while not mark.is_set():
        content += os.read(pipe[0], select.PIPE_BUF) if select.select([pipe[0]], [], [], 0.01)[0] else b""
    assert content.startswith(LINES[0])


BEGIN = """
import logging, os, sys
logging.basicConfig(format="%(message)s", stream=sys.stdout)
from service.process.output import install_nonblocking_output, flush_on_sigterm
install_nonblocking_output()
"""
ENDS = {
    "by itself": ("", 0),
    "by an exception": ("raise OSError('of a test')", 1),
    "by SIGTERM": ("flush_on_sigterm(); os.kill(os.getpid(), 15)", -signal.SIGTERM),
    "by its decision": ("from service.process.output import flush_output; flush_output(); os._exit(3)", 3),
}
WRITES = "for number in range(20_000): logging.warning('%06d', number)\nprint('é\\ud800 end', file=sys.stderr)\n"


def begin(script: str) -> subprocess.Popen[bytes]:
    """A process with outlets, and pipes to them that nobody reads yet."""
    words = [sys.executable, "-c", BEGIN + script]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # noqa: S603  words of this test


@pytest.mark.parametrize(("end", "status"), ENDS.values(), ids=ENDS)
def test_a_process_that_ends_hands_on_what_it_has_written(end: str, status: int) -> None:
    with begin(WRITES + end) as process:
        printed, errors = process.communicate(timeout=60)
    assert printed == b"".join(LINES[:20_000])
    assert errors.startswith("é\\ud800 end\n".encode())
    assert errors.endswith(b"OSError: of a test\n") == (status == 1)
    assert process.returncode == status


@pytest.mark.parametrize(("end", "status"), ENDS.values(), ids=ENDS)
def test_a_process_ends_though_nobody_reads_what_it_writes(end: str, status: int) -> None:
    more = "for number in range(12_000): logging.warning('%06d', number); print(number, file=sys.stderr)\n"
    with begin(more + end) as process:
        assert process.wait(timeout=60) == status
