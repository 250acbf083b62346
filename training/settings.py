"""Settings of a training run: pydantic models, TOML files, `--set key=value`. An unknown key is an error.

Every task derives its settings from `Settings`. This module has what all of them share.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

CONFIGS = Path(__file__).parent / "configs"


class SettingsError(Exception):
    """Settings cannot be used."""


class Section(BaseModel):
    """A group of settings: immutable, and strict about unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LoopSettings(Section):
    """Settings of the training loop, the same for all tasks."""

    epochs: int = Field(default=10, ge=1, description="passes over the training data")
    learning_rate: float = Field(default=1e-3, gt=0, description="highest learning rate, reached after the warm-up")
    final_learning_rate: float = Field(default=1e-4, ge=0, description="learning rate at the end of the cosine")
    warmup_fraction: float = Field(
        default=0.02, ge=0, lt=1, description="share of all steps in which the learning rate grows"
    )
    weight_decay: float = Field(default=0.0, ge=0, description="AdamW's weight decay, on matrices only")
    clip_grad_norm: float = Field(default=1.0, gt=0, description="largest norm of the gradient of all weights")
    ema_decay: float | None = Field(
        default=None, gt=0, lt=1, description="decay per step of the averaged weights, if any"
    )
    patience: int | None = Field(
        default=None, ge=1, description="epochs without a better dev figure after which to stop"
    )
    accelerator: str = Field(default="cpu", description="Lightning Fabric's accelerator: cpu, cuda or auto")
    devices: int = Field(
        default=1, ge=1, description="number of devices, one process each; they share the rows of a batch"
    )
    strategy: str = Field(default="auto", description="Lightning Fabric's strategy: auto or ddp")
    precision: Literal["auto", "32-true", "bf16-mixed"] = Field(
        default="32-true", description="precision of matrix products; auto: bf16-mixed where it is faster"
    )
    threads: int = Field(default=1, ge=1, description="number of torch threads on the CPU")


class Settings(Section):
    """Settings of one run. Tasks add their own sections."""

    seed: int = Field(default=1, ge=0, lt=2**32)
    loop: LoopSettings = LoopSettings()


AnySection = TypeVar("AnySection", bound=Section)
AnySettings = TypeVar("AnySettings", bound=Settings)


def load(
    settings_type: type[AnySettings],
    task: str,
    config: Path | None = None,
    overrides: Iterable[str] = (),
    chosen: Mapping[str, Any] | None = None,
) -> AnySettings:
    """Load the settings of a task from layers, each overriding the one before it.

    The layers are the task's TOML file, what the user's own data suggest, `config`, and the overrides.

    Args:
        settings_type: Model of the task's settings.
        task: Name of the file in training/configs.
        config: A further TOML file. Keys that it does not name keep the task's values.
        overrides: "key=value" with dotted keys and TOML values, for instance "loop.epochs=3".
        chosen: Nested values that the user's own file suggests.

    Raises:
        SettingsError: An unknown key, a value of the wrong type or range, a broken file.
    """
    values = _merge(read_toml(CONFIGS / f"{task}.toml"), chosen or {})
    if config is not None:
        values = _merge(values, read_toml(config))
    for override in overrides:
        values = _merge(values, _parse_override(override))
    return validate(settings_type, values)


def overridden(settings: AnySettings, overrides: Iterable[str]) -> AnySettings:
    """Return settings with overrides; see `load`.

    Raises:
        SettingsError: An unknown key, or a value of the wrong type or range.
    """
    values = settings.model_dump(mode="json")
    for override in overrides:
        values = _merge(values, _parse_override(override))
    return validate(type(settings), values)


def validate(settings_type: type[AnySection], values: Mapping[str, Any]) -> AnySection:
    """Check values against their model.

    Raises:
        SettingsError: Names every mistake, one per line.
    """
    try:
        return settings_type.model_validate(values)
    except ValidationError as error:
        raise SettingsError("\n".join(_describe(mistake, settings_type) for mistake in error.errors())) from error


def describe(settings: BaseModel, prefix: str = "") -> Iterator[str]:
    """Yield one line per setting: its dotted key, its value and what it means."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from describe(value, f"{prefix}{name}.")
        else:
            yield f"{prefix + name + '=' + str(value):36} {field.description or ''}".rstrip()


def _describe(mistake: Any, settings_type: type[BaseModel]) -> str:  # noqa: ANN401  # pydantic's ErrorDetails
    key = ".".join(str(part) for part in mistake["loc"])
    if mistake["type"] != "extra_forbidden":
        return f"setting {key}: {mistake['msg'].removeprefix('Value error, ')}"
    return f"unknown setting {key}; known here: {', '.join(_known_keys(settings_type, mistake['loc'][:-1]))}"


def _known_keys(settings_type: type[BaseModel], section: Iterable[str]) -> list[str]:
    model = settings_type
    for name in section:
        annotation = model.model_fields[name].annotation
        parts = (annotation, *get_args(annotation))  # an optional section is a union with None
        model = next(part for part in parts if isinstance(part, type) and issubclass(part, BaseModel))
    return list(model.model_fields)


def read_toml(path: Path) -> dict[str, Any]:
    """Read the values of a TOML file.

    Raises:
        SettingsError: It is missing, cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"missing settings file {path}") from error
    except OSError as error:
        raise SettingsError(f"cannot read settings file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error


def _parse_override(override: str) -> dict[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise SettingsError(f"--set takes key=value, not {override!r}")
    values: Any = _parse_value(text)
    for part in reversed(key.strip().split(".")):
        values = {part: values}
    return dict(values)


def _parse_value(text: str) -> Any:  # noqa: ANN401  # whatever TOML knows
    if text.strip() in {"none", "null"}:
        return None  # TOML has no word for it
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def _merge(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, change in changes.items():
        both = isinstance(change, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], change) if both else change
    return merged
