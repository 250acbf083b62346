"""The manifest of a bundle, and the check that a directory holds the bundle that it describes."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from service.bundle.errors import BundleDamaged, BundleError, ManifestInvalid
from service.bundle.manifest_model import FileName, ManifestModel, Sha256
from service.bundle.stage import ITEM_STAGE, Stage, StateSpec
from service.bundle.tasks import Task

FORMAT_VERSION = 1
MANIFEST_FILE = "manifest.json"
NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"  # of a bundle


class Figure(ManifestModel):
    """A measured quality: `value` of `metric` on `split`.

    Attributes:
        of: "checkpoint" is torch's; "graph" that of what this bundle serves, measured in torch with the rounded weights
            where it is float32, since its graphs are proved to give the same, and by the graphs where it is int8;
            "float32", in an int8 bundle, that of the float32 graphs that it was made from; "seeds" the mean of the
            checkpoints of several seeds.
        deviation: Of "seeds": the standard deviation.
        runs: Of "seeds": how many there are.
    """

    metric: str = Field(description="Name of the metric; the bundle's card explains it")
    split: str = Field(description="Split of the data that was measured, such as test")
    value: float = Field(description="Measured value")
    of: Literal["checkpoint", "seeds", "float32", "graph"] = Field(
        "checkpoint", description="What was measured; `graph` is what is served"
    )
    deviation: float | None = Field(
        None, exclude_if=lambda value: value is None, description="With `seeds`: standard deviation over the runs"
    )
    runs: int | None = Field(None, exclude_if=lambda value: value is None, description="With `seeds`: number of runs")


class TrainingData(ManifestModel):
    """A data set that the weights were trained on."""

    name: str = Field(description="Name of the data set")
    address: str = Field(description="Address that the data was downloaded from; empty if unknown")
    sha256: str = Field(description="SHA-256 of the downloaded file; empty if unknown")
    licence: str = Field(description="Licence of the data")
    citation: str = Field("", description="Paper to cite for the data")


class Manifest(ManifestModel):
    """A bundle's description of itself.

    Attributes:
        chosen_on: Split whose figures choose the epoch that a training keeps. None in bundles older than this field,
            and in those of weights that were trained elsewhere.
        numerics: Type of the numbers that the graphs multiply: float32, or int8 with static scales.
    """

    format_version: Literal[1]
    name: Annotated[str, StringConstraints(pattern=NAME)]
    cell: str
    task: Task
    stages: tuple[Stage, ...] = Field(min_length=1)
    state: tuple[StateSpec, ...]
    figures: tuple[Figure, ...] = ()
    data: tuple[TrainingData, ...] = ()
    licence: str
    command: str
    chosen_on: str | None = Field(None, exclude_if=lambda value: value is None)
    numerics: Literal["float32", "int8"] = "float32"
    files: dict[FileName, Sha256]

    def stage(self, name: str) -> Stage:
        """Return a stage by its name.

        Raises:
            KeyError: The model has no stage of that name.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(name)

    @property
    def is_streamable(self) -> bool:
        """Whether sequences may arrive in pieces: no stage reads backwards, and one consumes items."""
        forward = all(stage.direction == "forward" for stage in self.stages)
        return forward and any(stage.name == ITEM_STAGE for stage in self.stages)

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        known = {tensor.name for tensor in self.state}
        for stage in self.stages:
            unknown = (set(stage.reads) | set(stage.writes)) - known
            if unknown:
                raise ValueError(f"stage {stage.name!r} uses state that is not listed: {sorted(unknown)}")
            missing = set(stage.rungs.values()) - set(self.files)
            if missing:
                raise ValueError(f"stage {stage.name!r} uses files that are not listed: {sorted(missing)}")
        tokenizer = getattr(self.task, "tokenizer", None)
        if tokenizer is not None and tokenizer not in self.files:
            raise ValueError(f"the tokenizer {tokenizer!r} is not listed")
        return self


@dataclass(frozen=True)
class Bundle:
    """A verified bundle on disk. `version` is derived from the content, so equal versions are equal bundles."""

    path: Path
    manifest: Manifest
    version: str

    @property
    def tag(self) -> str:
        """Name and version, as in the BentoML model store: `sentiment:3f2a9c0d11e4`."""
        return f"{self.manifest.name}:{self.version}"

    @property
    def num_bytes(self) -> int:
        """Of all of its files, without the manifest."""
        return sum(self.file(name).stat().st_size for name in self.manifest.files)

    def file(self, name: str) -> Path:
        """Return the path of one of the bundle's files."""
        return self.path / name


def name_and_version(tag: str) -> tuple[str, str]:
    """Split a bundle's tag into its name and version."""
    name, _, version = tag.rpartition(":")
    return name, version


def read_bundle(path: Path) -> Bundle:
    """Read and verify the bundle in a directory.

    Raises:
        ManifestInvalid: The format version is not FORMAT_VERSION, or a field is wrong, missing or unknown.
        BundleDamaged: The manifest is missing or not JSON, or a file is missing or differs from its checksum.
        BundleError: The manifest cannot be read, for lack of permission or of file descriptors.
    """
    manifest_path = path / MANIFEST_FILE
    try:
        content = manifest_path.read_bytes()
    except FileNotFoundError as error:
        raise BundleDamaged(f"{path}: no {MANIFEST_FILE}") from error
    except OSError as error:
        raise BundleError(f"{path}: {MANIFEST_FILE} cannot be read now ({error.strerror})") from error
    manifest = _parse(path, content)
    for name, expected in manifest.files.items():
        _verify_file(path / name, expected)
    return Bundle(path=path, manifest=manifest, version=hashlib.sha256(content).hexdigest()[:12])


def sha256_of(path: Path) -> str:
    """Return the checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parse(path: Path, content: bytes) -> Manifest:
    try:
        document = json.loads(content)
        version = document["format_version"]
    except (ValueError, TypeError, KeyError) as error:
        raise BundleDamaged(f"{path}: {MANIFEST_FILE} is not a manifest ({error!r})") from error
    if version != FORMAT_VERSION:
        raise ManifestInvalid(f"{path}: format version {version!r}; this version of Unrolled reads {FORMAT_VERSION}")
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        mistakes = "; ".join(
            ": ".join([*filter(None, [".".join(map(str, each["loc"]))]), each["msg"].removeprefix("Value error, ")])
            for each in error.errors()
        )
        raise ManifestInvalid(f"{path}: {MANIFEST_FILE} is not valid: {mistakes}") from error


def _verify_file(path: Path, expected: str) -> None:
    if not path.is_file():
        raise BundleDamaged(f"{path}: missing")
    found = sha256_of(path)
    if found != expected:
        raise BundleDamaged(f"{path}: sha256 is {found}, the manifest says {expected}")
