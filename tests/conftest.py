"""What every test may use."""

import os
import signal
from collections.abc import Iterator

import pytest

# Small networks train several times slower on several threads. The services under test do not inherit this.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Coroutine tests run on asyncio, as the service does."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _prepared_graphs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Prepared graphs are the tests' own, and made once for all of them."""
    os.environ["UNROLLED_PREPARED_GRAPHS"] = str(tmp_path_factory.mktemp("graphs"))


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_interrupts() -> Iterator[None]:
    """SIGINT as at a terminal, where tests press Ctrl-C: a shell starts its background jobs with SIGINT ignored."""
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, inherited)
