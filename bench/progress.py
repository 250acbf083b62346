"""A bar for something that takes a known time and tells nothing meanwhile."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from tqdm import tqdm  # type: ignore[import-untyped]

T = TypeVar("T")
LOOK_SECONDS = 1.0


def watched(title: str, seconds: float, work: Callable[[], T]) -> T:
    """Show a bar of seconds while something works."""
    started = time.monotonic()
    with ThreadPoolExecutor(1) as threads, tqdm(total=round(seconds), desc=title, unit="s", leave=False) as bar:
        future = threads.submit(work)
        while wait([future], LOOK_SECONDS).not_done:
            bar.update(min(bar.total, round(time.monotonic() - started)) - bar.n)
        return future.result()
