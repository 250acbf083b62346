"""Bundles in the BentoML model store, where `bentoml models list` shows them."""

import shutil
from pathlib import Path

import bentoml
from bentoml.exceptions import BentoMLException, NotFound

from service.bundle.errors import BundleDamaged, BundleError, ManifestInvalid
from service.bundle.manifest import MANIFEST_FILE, Bundle, read_bundle


def import_bundle(path: Path) -> Bundle:
    """Copy a bundle into the model store, unless that version is there already, and return the stored one.

    Raises:
        BundleError: The directory has no valid bundle, or the stored one cannot be read.
    """
    bundle = read_bundle(path)
    try:
        _model(bundle.tag)
    except NotFound:
        _copy(bundle)
    return stored_bundle(bundle.tag)


def stored_bundle(tag: str) -> Bundle:
    """Return the bundle with a tag, `name:version` or `name:latest`, verified.

    Raises:
        bentoml.exceptions.NotFound: The store has no model with that tag.
        BundleError: The stored bundle is damaged, or this version of Unrolled cannot read it.
    """
    model = _model(tag)
    try:
        return read_bundle(Path(model.path))
    except BundleDamaged as error:
        raise BundleDamaged(f"{error}; `bentoml models delete {model.tag}` removes the damaged copy") from error
    except ManifestInvalid as error:
        raise ManifestInvalid(
            f"{error}; {model.tag} was written by another version of Unrolled, which can read it: do not delete it, "
            "since sessions may be on it"
        ) from error


def newest_tag(name: str) -> str:
    """Return the tag of a bundle's newest version, which is not verified.

    Raises:
        bentoml.exceptions.NotFound: The store has no version of it.
        BundleError: It cannot be read.
    """
    return str(_model(f"{name}:latest").tag)


def stored_tags(tag: str) -> list[str]:
    """Return the tags of all versions beside one, except those whose import is under way.

    Those are younger than the newest. If that cannot be read, no age counts.

    Raises:
        bentoml.exceptions.NotFound: The store has no model with that tag.
        BundleError: It cannot be read.
    """
    model = _model(tag)
    tags = sorted(f"{model.tag.name}:{version.name}" for version in Path(model.path).parent.iterdir())
    try:
        newest = _model(f"{model.tag.name}:latest")
    except (BentoMLException, BundleError):
        return tags
    return [each for each in tags if _is_as_old_as(newest, each)]


def _is_as_old_as(newest: bentoml.Model, tag: str) -> bool:
    """Whether the store has a version that is not younger. Half a copy, a damaged one, or some file is none."""
    try:
        model = _model(tag)
    except (BentoMLException, BundleError):
        return False
    return str(model.tag) == tag and model.creation_time.timestamp() <= newest.creation_time.timestamp()


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
