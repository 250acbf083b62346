"""A trained model on disk: weights, settings, tokenizer and measured figures in one directory.

model.safetensors   weights
config.json         task, settings, seed, the command that trained it; the origin of weights that were trained elsewhere
tokenizer.json      text tasks only, Hugging Face `tokenizers`
figures.json        {"dev": {"accuracy": ..}, ..}, written by `python -m training evaluate`
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from tokenizers import Tokenizer
from torch import nn

from training import settings as settings_files
from training.data.source import DataSource
from training.origin import Origin
from training.settings import Settings, SettingsError
from training.tasks import registry
from training.tasks.task import Task, TextTask

WEIGHTS, CONFIG, TOKENIZER, FIGURES = "model.safetensors", "config.json", "tokenizer.json", "figures.json"
BEST = "best"  # the directory of a run's checkpoint
HAS_ORIGIN = "generation"  # the task whose checkpoints may come from elsewhere

Figures = dict[str, dict[str, float]]


class CheckpointError(Exception):
    """A directory cannot be used as a checkpoint."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    Args:
        definition: The task, with the settings of the run.
        model: The model with the trained weights, in evaluation mode, on the CPU.
        figures: Measured figures by split and name. Empty before the first evaluation.
        command: The command line that trained it.
        path: The directory.
        origin: Where weights come from that were trained elsewhere.
    """

    definition: Task[Any] = field(repr=False)
    model: nn.Module
    figures: Figures
    command: str
    path: Path
    origin: Origin | None = None

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.definition.name

    @property
    def training(self) -> str:
        """Name of the training: that of its task, or of a settings file that overrides the task's. Empty if none."""
        return training_of(self.command)

    @property
    def settings(self) -> Settings:
        """All settings of the run."""
        settings: Settings = self.definition.settings
        return settings

    @property
    def sources(self) -> tuple[DataSource, ...]:
        """The data sets that it was trained on."""
        return self.definition.sources if self.origin is None else self.origin.data

    def check_measurable(self) -> None:
        """Check that figures would be of data that the weights are for.

        Raises:
            CheckpointError: The weights were trained elsewhere, and the settings name no text of the user's own.
        """
        if self.origin is not None and not any(source.is_own for source in self.definition.sources):
            raise CheckpointError(
                f"{self.path / CONFIG} names no text to measure these weights on: name one as settings.text, with its "
                "path and sha256"
            )

    @property
    def tokenizer_path(self) -> Path | None:
        """File of the tokenizer. None if the task is not a `TextTask`."""
        return self.path / TOKENIZER if isinstance(self.definition, TextTask) else None


def training_of(command: str) -> str:
    """Return NAME from a command line `.. -m training NAME ..`. Empty if it is another: it trained elsewhere.

    NAME is a task, or TASK-name, whether or not a settings file has that name now.
    """
    try:
        words = shlex.split(command)
    except ValueError:  # a quotation that does not end
        return ""
    follows = zip(words, words[1:], words[2:], strict=False)
    names = (name for option, module, name in follows if (option, module) == ("-m", "training"))
    name = next(names, "")
    is_training = any(name == task or name.startswith(f"{task}-") for task in registry.TASKS)
    return name if is_training and "/" not in name else ""


def save(directory: Path, task: Task[Any], model: nn.Module, command: str) -> None:
    """Write a checkpoint, each file atomically. The figures of former weights are removed."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / FIGURES).unlink(missing_ok=True)
    config = {
        "task": task.name,
        "seed": task.settings.seed,
        "command": command,
        "settings": task.settings.model_dump(mode="json"),
    }
    replace_file(directory / CONFIG, (json.dumps(config, indent=2) + "\n").encode())
    if task.tokenizer is not None:
        replace_file(directory / TOKENIZER, task.tokenizer.to_str().encode())
    replace_file(directory / WEIGHTS, _packed(model))  # last: weights mean to `holds` that the checkpoint is complete


def holds(directory: Path, model: nn.Module) -> bool:
    """Whether a directory has a complete checkpoint with exactly these weights, bit for bit."""
    file = directory / WEIGHTS
    return file.is_file() and file.read_bytes() == _packed(model)


def _packed(model: nn.Module) -> bytes:
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    return bytes(safetensors.torch.save(weights))


def load(path: Path | str) -> Checkpoint:
    """Open a checkpoint. No data set is read.

    Raises:
        CheckpointError: A file is missing, unusable, or does not fit the others.
    """
    path = Path(path)
    config = _read_config(path)
    origin = _read_origin(config, path)
    task = _build_task(config, path)
    model = task.build_model()
    try:
        model.load_state_dict(safetensors.torch.load_file(path / WEIGHTS))
    except (FileNotFoundError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path / WEIGHTS}: {error}") from error
    except RuntimeError as error:
        described = f"the {type(model).__name__} that {CONFIG} describes, as `task` and `settings`"
        raise CheckpointError(f"{path / WEIGHTS} does not fit {described}: {error}") from error
    return Checkpoint(task, model.eval(), read_figures(path), config["command"], path, origin)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config: Any = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        advice = f"; {path / BEST} is one" if (path / BEST / CONFIG).is_file() else ""
        raise CheckpointError(f"{path} is not a checkpoint: it has no {CONFIG}{advice}") from error
    except OSError as error:
        reason = error.strerror
        raise CheckpointError(
            f"{path} is not a checkpoint, a directory such as runs/sentiment/best: {reason}"
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{path / CONFIG} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path / CONFIG} is not a JSON object")
    missing = {"task", "settings", "command"} - config.keys()
    if missing or config["task"] not in registry.TASKS:
        raise CheckpointError(f"{path / CONFIG}: missing {sorted(missing)} or unknown task {config.get('task')!r}")
    if not isinstance(config["command"], str):
        raise CheckpointError(f"{path / CONFIG}: the command must be the line that trained the model")
    return config


def _read_origin(config: Mapping[str, Any], path: Path) -> Origin | None:
    if "origin" not in config:
        return None
    if config["task"] != HAS_ORIGIN:
        raise CheckpointError(f"{path / CONFIG}: only checkpoints of {HAS_ORIGIN} can have an origin")
    if training_of(config["command"]):
        raise CheckpointError(f"{path / CONFIG}: weights that {config['command']!r} trained have no other origin")
    try:
        return settings_files.validate(Origin, config["origin"])
    except SettingsError as error:
        raise CheckpointError(f"{path / CONFIG}, origin: {error}") from error


def _build_task(config: Mapping[str, Any], path: Path) -> Task[Any]:
    task_type = registry.task_type(config["task"])
    tokenizer = _read_tokenizer(path / TOKENIZER) if issubclass(task_type, TextTask) else None
    try:
        settings = settings_files.validate(task_type.settings_type, config["settings"])
    except SettingsError as error:
        raise CheckpointError(f"{path / CONFIG}: {error}") from error
    return task_type(settings, tokenizer)


def _read_tokenizer(file: Path) -> Tokenizer:
    # It is not rebuilt from the data, since a different tokenizer would number the words differently.
    if not file.is_file():
        raise CheckpointError(f"{file.parent} is an incomplete checkpoint: it has no {file.name}")
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise CheckpointError(f"{file} is not a tokenizer: {error}") from error


def read_figures(path: Path) -> Figures:
    """Read the measured figures of a checkpoint. Empty before the first evaluation.

    Raises:
        CheckpointError: The file is damaged.
    """
    file = path / FIGURES
    try:
        figures: Figures = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise CheckpointError(f"{file} is not JSON: {error}. Remove it, and measure the checkpoint again") from error
    return figures


def write_figures(path: Path, split: str, figures: Mapping[str, float]) -> None:
    """Add the figures of a split to those of a checkpoint."""
    measured = read_figures(path) | {split: dict(figures)}
    replace_file(path / FIGURES, (json.dumps(measured, indent=2) + "\n").encode())


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file atomically: readers see all of the old or all of the new content, even after an interruption.

    Raises:
        OSError: The file, which is named, cannot be written. It keeps its old content.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
