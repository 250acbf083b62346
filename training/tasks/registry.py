"""The tasks by name, and the trainings that the command line offers."""

from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from training import settings
from training.tasks.task import Task

# A task's module is imported at first use, so that a broken one leaves the others usable.
TASKS = {
    "sentiment": "training.tasks.sentiment:SentimentTask",
    "generation": "training.tasks.generation:GenerationTask",
    "forecasting": "training.tasks.forecasting:ForecastingTask",
    "forecasting-window": "training.tasks.window_forecasting:WindowForecastingTask",
    "chorales": "training.tasks.music:ChoralesTask",
    "folk": "training.tasks.music:FolkTask",
    "caption": "training.tasks.caption:CaptionTask",
    "translation": "training.tasks.translation:TranslationTask",
    "tagging": "training.tasks.tagging:TaggingTask",
    "entities": "training.tasks.entities:EntitiesTask",
    "sentiment-bidirectional": "training.tasks.bidirectional_sentiment:BidirectionalSentimentTask",
}


class Training(NamedTuple):
    """A task with its settings files.

    Attributes:
        task: Name of the task. Its settings file, training/configs/TASK.toml, is read first.
        config: A settings file whose keys override those of the task's own, if any.
    """

    task: str
    config: Path | None = None


def trainings() -> dict[str, Training]:
    """Return the trainings by name: one per task, and one per settings file training/configs/TASK-*.toml."""
    found = {task: Training(task) for task in TASKS}
    for config in sorted(settings.CONFIGS.glob("*.toml")):
        tasks = [task for task in TASKS if config.stem.startswith(f"{task}-")]
        if tasks:
            found.setdefault(config.stem, Training(max(tasks, key=len), config))
    return found


def task_type(name: str) -> type[Task[Any]]:
    """Return the class of a task."""
    module, _, attribute = TASKS[name].partition(":")
    found: type[Task[Any]] = getattr(import_module(module), attribute)
    return found
