"""Which files an LMDB store is. They may be moved, removed or replaced while processes have them open.

Those would go on with what they have opened, wherever it is, and others with what they find under the store's name: two
stores of the same sessions, each with steps that the other lacks. And a lock file that is not the same for all keeps
no process from writing while another does.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from service.stores.base import Unavailable

logger = logging.getLogger(__name__)

DATA, LOCK = "data.mdb", "lock.mdb"
SHARED_NAME = "store"
LOOK_SECONDS = 1.0


class StoreMoved(Unavailable):
    """Under the store's name there are other files than those that were opened, or none."""

    def __init__(self, directory: Path) -> None:
        super().__init__(
            f"the session store in {directory} was moved, removed or replaced while it was served: move it back (a "
            "copy is another store), or restart the service"
        )


class Identity:
    """The files of a store, as they were when they were opened first.

    Args:
        directory: The store's.
        shared: A directory of the service, in which its first process to open the store leaves a file for the others.
            If left out or gone, each process knows only what it has opened itself.
        clock: Seconds that only grow.
    """

    def __init__(
        self, directory: Path, shared: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._directory = directory
        self._shared_file = None if shared is None else shared / SHARED_NAME
        self._clock = clock
        self._opened = ""
        self._look_at = 0.0
        self._is_moved = False

    def check_before_opening(self) -> None:
        """Raise StoreMoved where a process of this service has opened other files. LMDB would make what is missing."""
        if (known := self._opened or self._read_shared()) and known != _found(self._directory):
            raise StoreMoved(self._directory)

    def opened(self) -> None:
        """Note the files, which have been opened.

        Raises:
            StoreMoved: Another process of this service has opened others.
        """
        found = _found(self._directory)
        if (self._opened or self._read_shared() or found) != found:
            raise StoreMoved(self._directory)
        self._opened = found
        if self._shared_file is not None:
            # It may be there already, or its directory may be gone.
            with suppress(OSError), self._shared_file.open("x") as file:
                file.write(found)

    @property
    def is_moved(self) -> bool:
        """Whether the files that were opened are no longer in their place, as of a second ago."""
        return self.look() if self._clock() >= self._look_at else self._is_moved

    def look(self) -> bool:
        """Whether they are no longer in their place now."""
        self._look_at = self._clock() + LOOK_SECONDS
        if self._opened:
            with suppress(OSError):  # which the store's own calls will tell of
                self._set_moved(_found(self._directory) != self._opened)
        return self._is_moved

    def check(self) -> None:
        """Raise StoreMoved where the files that were opened are no longer in their place."""
        if self.is_moved:
            raise StoreMoved(self._directory)

    def _set_moved(self, is_moved: bool) -> None:
        if is_moved != self._is_moved:
            if is_moved:
                logger.error("%s", StoreMoved(self._directory))
            else:
                logger.warning("the session store in %s is back in its place", self._directory)
        self._is_moved = is_moved

    def _read_shared(self) -> str:
        if self._shared_file is not None:
            with suppress(OSError):
                return self._shared_file.read_text()
        return ""


def _found(directory: Path) -> str:
    """The devices and numbers of a store's files, and which of them is missing."""
    return " ".join(number_of(directory / name) for name in (DATA, LOCK))


def number_of(path: Path) -> str:
    """The device and number of a file, or that it is missing."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    return f"{status.st_dev}:{status.st_ino}"
