"""The directory of a bundle: there whole or not at all."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from export.errors import BundleTooLarge, DestinationTaken
from service.bundle.manifest import MANIFEST_FILE, Manifest, read_bundle, sha256_of

MAX_BYTES = 8 * 2**20


def check_destination(destination: Path) -> None:
    """See that nothing but a bundle is replaced.

    Raises:
        DestinationTaken: The destination holds something that is no bundle.
    """
    if destination.exists() and not (destination / MANIFEST_FILE).is_file():
        raise DestinationTaken(f"{destination} is there and is no bundle; it is left as it is")


@contextmanager
def new_directory(destination: Path) -> Iterator[Path]:
    """A directory beside the destination, so that it can take its place by renaming; gone if that does not happen."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{destination.name}-", dir=destination.parent) as parent:
        directory = Path(parent) / destination.name
        directory.mkdir()
        yield directory


def checksums(directory: Path) -> dict[str, str]:
    """The sha256 of each file but the manifest."""
    return {path.name: sha256_of(path) for path in sorted(directory.iterdir()) if path.name != MANIFEST_FILE}


def finish(directory: Path, draft: Manifest) -> None:
    """Write the manifest of all files, and read the bundle as the service will.

    Raises:
        BundleTooLarge: The bundle exceeds MAX_BYTES.
    """
    manifest = draft.model_copy(update={"files": checksums(directory)})
    (directory / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    read_bundle(directory)
    size = sum(path.stat().st_size for path in directory.iterdir())
    if size > MAX_BYTES:
        raise BundleTooLarge(f"the bundle has {size} bytes, {MAX_BYTES} are allowed: take a smaller model")


def replace(directory: Path, destination: Path) -> None:
    """Let a new directory take the place of the destination."""
    if destination.exists():
        destination.rename(directory.with_name("replaced"))
    directory.rename(destination)
