"""What runs the built image: docker or podman where one answers, else buildah with chroot isolation.

All of them give it a user of its own, a read-only root and this machine's network, where it listens on free ports of
127.0.0.1. `buildah run` has no option for the read-only root, so there it is a mount over the image's files.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

IMAGE = os.environ.get("IMAGE", "unrolled:latest")
USER = "10001:10001"
ENTRYPOINT = ("python3", "-m", "service")
DIRECTORIES = ("proc", "sys", "dev", "tmp")
FILES = ("etc/hosts", "etc/hostname", "etc/resolv.conf")  # buildah mounts its own


class Mount(NamedTuple):
    """A directory of this machine inside the container."""

    source: Path
    target: str
    is_read_only: bool = True

    def __str__(self) -> str:
        return f"{self.source}:{self.target}:{'ro' if self.is_read_only else 'rw'}"


class Engine(Protocol):
    """Runs the image; leaves no files of its own in it."""

    def command(self, settings: Mapping[str, str], mounts: Sequence[Mount], words: Sequence[str]) -> list[str]:
        """What to run so that the service gets these words; it lasts as long as the container does."""


class Docker:
    """Docker, or podman, which takes the same words."""

    def __init__(self, binary: str) -> None:
        self._binary = binary

    def command(self, settings: Mapping[str, str], mounts: Sequence[Mount], words: Sequence[str]) -> list[str]:
        options = ["--rm", "--network=host", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"]
        volumes = [f"--volume={mount}" for mount in mounts]
        return [self._binary, "run", *options, *_variables(settings), *volumes, IMAGE, *words]


class Buildah:
    """Buildah, on one container whose files are read-only from now on."""

    def __init__(self, container: str) -> None:
        self._container = container

    def command(self, settings: Mapping[str, str], mounts: Sequence[Mount], words: Sequence[str]) -> list[str]:
        options = ["--isolation=chroot", f"--user={USER}", "--mount=type=tmpfs,destination=/tmp"]
        volumes = [f"--volume={mount}" for mount in mounts]
        return ["buildah", "run", *options, *_variables(settings), *volumes, self._container, "--", *ENTRYPOINT, *words]


def _variables(settings: Mapping[str, str]) -> list[str]:
    return [f"--env={name}={value}" for name, value in settings.items()]


@contextmanager
def engine(targets: Sequence[str]) -> Iterator[Engine]:
    """The first engine that answers.

    Args:
        targets: Where mounts will be, which have to be there once the root is read-only.
    """
    for binary in ("docker", "podman"):
        if shutil.which(binary) and subprocess.run([binary, "info"], capture_output=True, check=False).returncode == 0:  # noqa: S603
            yield Docker(binary)
            return
    container = told("buildah", "from", "--pull-never", IMAGE)
    try:
        with _read_only(Path(told("buildah", "mount", container)), targets):
            yield Buildah(container)
    finally:
        told("buildah", "rm", container)


@contextmanager
def _read_only(root: Path, targets: Sequence[str]) -> Iterator[None]:
    """A container's files read-only, but for /run, where buildah makes a file and crashes where it cannot remove it."""
    for directory in (*DIRECTORIES, *targets):
        (root / directory.lstrip("/")).mkdir(parents=True, exist_ok=True)
    for file in FILES:
        (root / file).touch()
    told("mount", "--bind", str(root), str(root))
    try:
        told("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(root / "run"))
        told("mount", "-o", "remount,bind,ro", str(root))
        yield
    finally:
        told("umount", "--lazy", "--recursive", str(root))


def told(*command: str) -> str:
    """What a command writes."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603  words of this suite
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()
