"""The directory of a bundle, written as a whole or not at all."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from export.errors import BundleTooLarge, DestinationTaken
from service.bundle.manifest import MANIFEST_FILE, Manifest, read_bundle, sha256_of
from training.checkpoint import training_of
from training.data.source import is_own

MAX_BYTES = 8 * 2**20


def check_destination(destination: Path) -> None:
    """Check that nothing but a bundle would be replaced.

    Raises:
        DestinationTaken: The destination holds something that is not a bundle.
    """
    if destination.exists() and not (destination / MANIFEST_FILE).is_file():
        raise DestinationTaken(
            f"{destination} is not a bundle and was left as it is: give another --output or --name, or remove it"
        )


@contextmanager
def new_directory(destination: Path) -> Iterator[Path]:
    """Make a directory beside the destination, for `replace` to move there. If it is not moved, it is deleted."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{destination.name}-", dir=destination.parent) as parent:
        directory = Path(parent) / destination.name
        directory.mkdir()
        yield directory


def checksums(directory: Path) -> dict[str, str]:
    """Return the sha256 of each file except the manifest, by name."""
    return {path.name: sha256_of(path) for path in sorted(directory.iterdir()) if path.name != MANIFEST_FILE}


def write_manifest(directory: Path, draft: Manifest) -> None:
    """Write the manifest with the checksums of all files, then read the bundle as the service will.

    Args:
        directory: Directory of the bundle.
        draft: Its manifest, whose checksums are replaced.

    Raises:
        BundleTooLarge: The bundle was trained here on published data, so it may ship, but exceeds MAX_BYTES.
    """
    manifest = draft.model_copy(update={"files": checksums(directory)})
    (directory / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    read_bundle(directory)
    size = sum(path.stat().st_size for path in directory.iterdir())
    may_ship = training_of(manifest.command) and not any(is_own(data.address) for data in manifest.data)
    if size > MAX_BYTES and may_ship:
        raise BundleTooLarge(
            f"the bundle has {size} bytes, but {MAX_BYTES} are allowed: train a smaller model, or give fewer --rungs"
        )


def replace(directory: Path, destination: Path) -> None:
    """Move a new directory to the destination. If that fails, the former content stays."""
    former = directory.with_name("replaced")
    try:
        if destination.exists():
            destination.rename(former)
        directory.rename(destination)
    except BaseException:  # including Ctrl-C: the former bundle would be deleted with its temporary parent
        if former.exists() and not destination.exists():
            former.rename(destination)
        raise
