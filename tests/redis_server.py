"""Real Redis servers on free ports, for tests: one alone, or a cluster of three. They die with the tests."""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import pytest

from service.process.parent import die_with_parent
from tests.ports import free_port
from tests.waiting import until

IS_INSTALLED = shutil.which("redis-server") is not None and shutil.which("redis-cli") is not None
NOT_INSTALLED = "redis-server and redis-cli are not installed"
NEEDS_REDIS = pytest.mark.skipif(not IS_INSTALLED, reason=NOT_INSTALLED)
REPOSITORY = Path(__file__).parents[1]
CLUSTER_SIZE = 3
START_SECONDS = 30
LOG_BYTES = 1 << 20
READY = b"Ready to accept connections"
ALLOWED = ("--enable-debug-command", "local")
_shared = ExitStack()


class RedisServer:
    """A server that can be stopped, frozen, killed and started again on its port and its files.

    Args:
        directory: Where it keeps its files.
        options: Words of its command line.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        self.port = free_port()
        self._directory = directory
        self._options = options
        self.start()

    @property
    def url(self) -> str:
        """Where the store finds it."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        command = [
            "redis-server",
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            *ALLOWED,
            *self._options,
        ]
        with TemporaryFile() as log:  # a pipe that nobody reads on would stop the server when it is full
            self._process = subprocess.Popen(  # noqa: S603 - words of this suite
                command, cwd=self._directory, stdout=log, preexec_fn=die_with_parent
            )

            def printed() -> bytes:
                return os.pread(log.fileno(), LOG_BYTES, 0)

            until(lambda: READY in printed() or self._process.poll() is not None, START_SECONDS, "Redis is up")
            if READY not in printed():
                raise RuntimeError(printed().decode())

    def cli(self, *words: str) -> str:
        """What redis-cli prints. An answer that is an error raises CalledProcessError."""
        command = ["redis-cli", "-e", "-p", str(self.port), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603

    def freeze(self) -> None:
        """Stop it as a debugger would: its connections stay, and nothing answers."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash would."""
        with self._process as process:
            process.kill()


@contextmanager
def redis_server(directory: Path, *options: str) -> Iterator[RedisServer]:
    """A server as long as the context lasts."""
    server = RedisServer(directory, *options)
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def redis_cluster(directory: Path) -> Iterator[list[RedisServer]]:
    """Three servers that share the shards."""
    with ExitStack() as stack:
        servers = []
        for n in range(CLUSTER_SIZE):
            (directory / str(n)).mkdir()
            options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
            servers.append(stack.enter_context(redis_server(directory / str(n), *options)))
        addresses = [f"127.0.0.1:{server.port}" for server in servers]
        servers[0].cli("--cluster", "create", *addresses, "--cluster-yes")
        await_cluster(*servers)
        yield servers


def await_cluster(*servers: RedisServer) -> None:
    """Wait until each of them finds the cluster whole."""
    until(
        lambda: all("cluster_state:ok" in each.cli("CLUSTER", "INFO") for each in servers), 60, "the cluster is whole"
    )


def provided_server() -> RedisServer:
    """A server without keys that all tests use; they leave it as it was but for its keys."""
    server = _shared_server()
    server.cli("FLUSHALL")
    return server


def provided_cluster() -> list[RedisServer]:
    """A cluster without keys that all tests use; they leave it working."""
    servers = _shared_cluster()
    for server in servers:
        server.cli("FLUSHALL")
    return servers


def restricted_url(*servers: RedisServer) -> str:
    """Where the store finds a server, or a cluster of several, as a user with just the documented rights."""
    alone, clustered, _ = documented_users()
    for server in servers:
        server.cli(*alone)
        if len(servers) > 1:
            server.cli(*clustered)
    return f"redis://unrolled:password@127.0.0.1:{servers[0].port}"


def documented_users() -> list[list[str]]:
    """The documented commands that set up a user: for one server, and what more a cluster and a database take."""
    lines = (REPOSITORY / "docs" / "sessions.md").read_text().splitlines()
    return [
        shlex.split(line, comments=True)[1:] for line in lines if line.startswith("redis-cli ACL SETUSER unrolled ")
    ]


def stop_shared() -> None:
    """Stop what tests have shared."""
    _shared.close()
    _shared_server.cache_clear()
    _shared_cluster.cache_clear()


@cache
def _shared_server() -> RedisServer:
    return _shared.enter_context(redis_server(_shared_directory()))


@cache
def _shared_cluster() -> list[RedisServer]:
    return _shared.enter_context(redis_cluster(_shared_directory()))


def _shared_directory() -> Path:
    if not IS_INSTALLED:
        pytest.skip(NOT_INSTALLED)
    return Path(_shared.enter_context(TemporaryDirectory(prefix="unrolled-redis-")))
