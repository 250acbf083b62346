"""Progress bars for work that takes a while and shows no progress itself."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm  # type: ignore[import-untyped]

T = TypeVar("T")
LOOK_SECONDS = 1.0


def watched(title: str, seconds: float, work: Callable[[], T]) -> T:
    """Show a progress bar of seconds while `work` runs."""
    started = time.monotonic()
    with (
        ThreadPoolExecutor(1) as threads,
        tqdm(total=round(seconds), desc=title, unit="s", leave=False, disable=None) as bar,
    ):
        future = threads.submit(work)
        while wait([future], LOOK_SECONDS).not_done:
            bar.update(min(bar.total, round(time.monotonic() - started)) - bar.n)
        return future.result()


@contextmanager
def waiting(title: str) -> Iterator[None]:
    """Show what is being waited for."""
    with tqdm(desc=title, bar_format="{desc} ...", leave=False, disable=None):
        yield
