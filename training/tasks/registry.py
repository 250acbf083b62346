"""The tasks, and what can be trained, by name."""

from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from training import settings
from training.tasks.task import Task

# Modules are imported when their task is asked for: one broken task leaves the others usable.
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
    """What one command trains.

    Attributes:
        task: Name of the task, whose settings file counts first.
        config: A settings file over that one, if any.
    """

    task: str
    config: Path | None = None


def trainings() -> dict[str, Training]:
    """A training for each task, and one for each settings file that is named `TASK-..` and lies over the task's own."""
    found = {task: Training(task) for task in TASKS}
    for config in sorted(settings.CONFIGS.glob("*.toml")):
        tasks = [task for task in TASKS if config.stem.startswith(f"{task}-")]
        if tasks:
            found.setdefault(config.stem, Training(max(tasks, key=len), config))
    return found


def task_type(name: str) -> type[Task[Any]]:
    """The class of a task."""
    module, _, attribute = TASKS[name].partition(":")
    found: type[Task[Any]] = getattr(import_module(module), attribute)
    return found
