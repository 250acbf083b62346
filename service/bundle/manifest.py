"""The manifest of a bundle, and the proof that a directory holds the bundle that it describes."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from service.bundle.errors import BundleDamaged, BundleFormatUnknown

FORMAT_VERSION = 1
MANIFEST_FILE = "manifest.json"
ITEM_STAGE = "encode"  # consumes the items of sessions
MAX_RUNG = 64
COVERING_BY_NAME = ("decode", "forecast")

DType = Literal["float32", "float64", "int64"]
Axis = int | Literal["N", "T"]
Fit = Literal["exact", "covering"]
Direction = Literal["forward", "backward"]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Part(BaseModel):
    """A piece of the manifest: immutable, and strict about keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TensorSpec(Part):
    """A named tensor of a graph. In `shape`, "N" is the batch axis and "T" the rung's size."""

    name: str
    dtype: DType
    shape: tuple[Axis, ...]

    @property
    def batch_axis(self) -> int:
        """Position of N in the shape."""
        return self.shape.index("N")

    @model_validator(mode="after")
    def _one_batch_axis(self) -> Self:
        if self.shape.count("N") != 1:
            raise ValueError(f"tensor {self.name!r} must have exactly one axis 'N'")
        return self


class StateSpec(TensorSpec):
    """A recurrent tensor: the graph reads it as `name` and writes it as `<name>_next`."""

    initial: float

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one session's row: the shape without its batch axis."""
        return tuple(axis for axis in self.shape if isinstance(axis, int))


class Stage(Part):
    """One step of serving a model: a ladder of graphs that differ in their size T only.

    Attributes:
        name: For instance "encode", which consumes the items of sessions.
        direction: A forward stage streams; a backward one needs the whole input.
        fit: Lengths are cut into rungs exactly, or taken by the shortest rung that covers them.
        rungs: File of each rung by its size T.
        inputs: Inputs besides the state.
        outputs: Outputs besides the next state.
        reads: Names of the state tensors that are inputs.
        writes: Names of the state tensors whose next value is an output.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
    direction: Direction = "forward"
    fit: Fit = "exact"
    rungs: dict[int, FileName] = Field(min_length=1)
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]

    @model_validator(mode="before")
    @classmethod
    def _fit_of_older_bundles(cls, document: Any) -> Any:  # noqa: ANN401  # whatever stands there
        """Bundles from before there was a `fit` say it by the stage's name."""
        if isinstance(document, dict) and "fit" not in document and document.get("name") in COVERING_BY_NAME:
            return {**document, "fit": "covering"}
        return document

    @model_validator(mode="after")
    def _rungs_within_limits(self) -> Self:
        wrong = [size for size in self.rungs if not 1 <= size <= MAX_RUNG]
        if wrong:
            raise ValueError(f"rungs of stage {self.name!r} must be 1 to {MAX_RUNG}, not {wrong}")
        return self


class SentimentTask(Part):
    """Text in, a label after each word out."""

    kind: Literal["sentiment"] = "sentiment"
    labels: tuple[str, ...]
    tokenizer: FileName = "tokenizer.json"


class GenerationTask(Part):
    """Characters in, characters out; `start` is read before the first character of every text."""

    kind: Literal["generation"] = "generation"
    characters: tuple[str, ...]
    start: str
    tokenizer: FileName = "tokenizer.json"


class KnownChannel(Part):
    """A channel whose typical level and scale (mean absolute deviation) the model is told, by the channel's name."""

    name: str
    center: float
    unit: float = Field(ge=0)


class ForecastingTask(Part):
    """Readings in, a mean and quantiles for each later reading out.

    Attributes:
        segment: Readings that are one item.
        season: Readings after which a pattern returns; not stated by bundles from before it was free.
        interval: Step of time between two readings, as people say it.
        quantiles: Levels that the graphs answer.
        max_horizon: Readings ahead at most.
        channels: Those that it was trained on and knows again by their names; it takes any others too.
    """

    kind: Literal["forecasting"] = "forecasting"
    segment: int = Field(ge=1)
    season: int | None = Field(default=None, ge=1)
    interval: str = ""
    quantiles: tuple[float, ...]
    max_horizon: int = Field(ge=1)
    channels: tuple[KnownChannel, ...] = ()


class MusicTask(Part):
    """Frames of notes in, frames out; tokens are the pitches from `lowest` to `highest`, then the end of a frame.

    Attributes:
        lowest: MIDI number of token 0.
        highest: MIDI number of the last pitch.
        frames_per_beat: Frames of a quarter note.
        frames_per_bar: Frames of the usual bar.
    """

    kind: Literal["music"] = "music"
    lowest: int = Field(ge=0, le=127)
    highest: int = Field(ge=0, le=127)
    frames_per_beat: int = Field(ge=1)
    frames_per_bar: int = Field(ge=1)


class TaggingTask(Part):
    """Words in, a tag for each out.

    Attributes:
        tags: The tags, in the order of the logits.
        scheme: Each tag stands for itself, or they are BIO tags, which mark entities of several words.
        characters: What words are spelt with; the id 0 is any other character, and these have 1, 2, ...
        longest_word: Of a longer word, only so many characters are read: half at its beginning, half at its end.
    """

    kind: Literal["tagging"] = "tagging"
    tags: tuple[str, ...] = Field(min_length=1)
    scheme: Literal["words", "bio"]
    characters: tuple[str, ...]
    longest_word: int = Field(ge=2, multiple_of=2)
    tokenizer: FileName = "tokenizer.json"


class TranslationTask(Part):
    """A text in, its translation out.

    Attributes:
        source: Language that is read, as ISO 639-1 has it.
        target: Language that is written.
        start: The piece that is read before the first one of a translation.
        end: The piece that ends one.
        length_penalty: Exponent of the length that a translation's log-probability is divided by.
    """

    kind: Literal["translation"] = "translation"
    source: str
    target: str
    start: int
    end: int
    length_penalty: float = Field(ge=0)
    tokenizer: FileName = "tokenizer.json"


class CaptionTask(Part):
    """An image in, a sentence out.

    Attributes:
        words: By token; the first ends a sentence, and is read before its first word.
        size: Rows and columns of an image.
        largest: Value of a pixel that is all ink; paper is 0.
    """

    kind: Literal["caption"] = "caption"
    words: tuple[str, ...] = Field(min_length=2)
    size: int = Field(ge=1)
    largest: float = Field(gt=0)


Task = Annotated[
    SentimentTask | GenerationTask | ForecastingTask | MusicTask | TaggingTask | TranslationTask | CaptionTask,
    Field(discriminator="kind"),
]


class Figure(Part):
    """A measured quality: `value` of `metric` on `split`.

    Attributes:
        of: "checkpoint" is torch's; "graph" that of what this bundle serves; "float32", in an int8 bundle, that of the
            float32 graphs that it was made from; "seeds" the mean of the checkpoints of several seeds.
        deviation: Of "seeds": the standard deviation.
        runs: Of "seeds": how many there are.
    """

    metric: str
    split: str
    value: float
    of: Literal["checkpoint", "seeds", "float32", "graph"] = "checkpoint"
    deviation: float | None = Field(None, exclude_if=lambda value: value is None)
    runs: int | None = Field(None, exclude_if=lambda value: value is None)


class TrainingData(Part):
    """A data set that the weights were trained on."""

    name: str
    address: str
    sha256: str
    licence: str
    citation: str = ""


class Manifest(Part):
    """What a bundle says of itself.

    Attributes:
        numerics: What the graphs multiply: float32 numbers, or int8 ones with static scales.
    """

    format_version: Literal[1]
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
    cell: str
    task: Task
    stages: tuple[Stage, ...] = Field(min_length=1)
    state: tuple[StateSpec, ...]
    figures: tuple[Figure, ...] = ()
    data: tuple[TrainingData, ...] = ()
    licence: str
    command: str
    numerics: Literal["float32", "int8"] = "float32"
    files: dict[FileName, Sha256]

    def stage(self, name: str) -> Stage:
        """The stage of that name; KeyError where the model has none."""
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

    def file(self, name: str) -> Path:
        """Path of one of the bundle's files."""
        return self.path / name


def read_bundle(path: Path) -> Bundle:
    """Read and verify the bundle in a directory.

    Raises:
        BundleFormatUnknown: The format version is not FORMAT_VERSION.
        BundleDamaged: The manifest is missing or invalid, or a file is missing or differs from its checksum.
    """
    manifest_path = path / MANIFEST_FILE
    try:
        content = manifest_path.read_bytes()
    except OSError as error:
        raise BundleDamaged(f"{path}: no readable {MANIFEST_FILE} ({error.strerror})") from error
    manifest = _parse(path, content)
    for name, expected in manifest.files.items():
        _verify_file(path / name, expected)
    return Bundle(path=path, manifest=manifest, version=hashlib.sha256(content).hexdigest()[:12])


def sha256_of(path: Path) -> str:
    """Checksum of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parse(path: Path, content: bytes) -> Manifest:
    try:
        document = json.loads(content)
        version = document["format_version"]
    except (ValueError, TypeError, KeyError) as error:
        raise BundleDamaged(f"{path}: {MANIFEST_FILE} is not a manifest ({error!r})") from error
    if version != FORMAT_VERSION:
        raise BundleFormatUnknown(
            f"{path}: format version {version!r}; this version of Unrolled reads {FORMAT_VERSION}"
        )
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise BundleDamaged(f"{path}: {MANIFEST_FILE} is not valid: {error}") from error


def _verify_file(path: Path, expected: str) -> None:
    if not path.is_file():
        raise BundleDamaged(f"{path}: missing")
    found = sha256_of(path)
    if found != expected:
        raise BundleDamaged(f"{path}: sha256 is {found}, the manifest says {expected}")
