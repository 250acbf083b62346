"""Bundles in the BentoML model store, where `bentoml models list` shows them."""

import shutil
from contextlib import suppress
from pathlib import Path

import bentoml
from bentoml.exceptions import BentoMLException, NotFound

from service.bundle.errors import BundleDamaged, BundleError
from service.bundle.manifest import MANIFEST_FILE, Bundle, read_bundle


def import_bundle(path: Path) -> Bundle:
    """Copy a bundle into the model store, unless that version is there already, and return the stored one.

    Raises:
        BundleError: The directory has no valid bundle.
    """
    bundle = read_bundle(path)
    try:
        bentoml.models.get(bundle.tag)
    except NotFound:
        _copy(bundle)
    return stored_bundle(bundle.tag)


def stored_bundle(tag: str) -> Bundle:
    """Return the bundle with a tag, `name:version` or `name:latest`, verified.

    Raises:
        bentoml.exceptions.NotFound: The store has no model with that tag.
        BundleError: The stored bundle is damaged.
    """
    model = _model(tag)
    try:
        return read_bundle(Path(model.path))
    except BundleDamaged as error:
        raise BundleDamaged(f"{error}; `bentoml models delete {model.tag}` removes the damaged copy") from error


def newest_tag(name: str) -> str:
    """Return the tag of a bundle's newest version, which is not verified.

    Raises:
        bentoml.exceptions.NotFound: The store has no version of it.
        BundleError: It cannot be read.
    """
    return str(_model(f"{name}:latest").tag)


def stored_tags(name: str) -> list[str]:
    """Return the tags of a bundle's newest version and all older ones, so not of one whose import is under way.

    Raises:
        bentoml.exceptions.NotFound: The store has no version of it.
        BundleError: The newest cannot be read.
    """
    newest = _model(f"{name}:latest")
    tags = set()
    for version in Path(newest.path).parent.iterdir():
        with suppress(BentoMLException, BundleError):  # half a copy, a damaged one, or some file
            model = _model(f"{name}:{version.name}")
            if model.creation_time <= newest.creation_time:
                tags.add(str(model.tag))
    return sorted(tags)


def _model(tag: str) -> bentoml.Model:
    try:
        return bentoml.models.get(tag)
    except BentoMLException:
        raise
    except Exception as error:  # BentoML lets those of its parsers and of the file system through
        raise BundleDamaged(f"{tag} in the model store cannot be read: {error}") from error


def _copy(bundle: Bundle) -> None:
    manifest = bundle.manifest
    with bentoml.models.create(
        bundle.tag,
        labels={"task": manifest.task.kind, "cell": manifest.cell},
        metadata={f"{figure.split}_{figure.metric}": figure.value for figure in manifest.figures},
    ) as model:
        for name in (MANIFEST_FILE, *manifest.files):
            shutil.copy2(bundle.file(name), model.path_of(name))
