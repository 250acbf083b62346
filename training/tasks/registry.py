"""The tasks by name."""

from importlib import import_module
from typing import Any

from training.tasks.task import Task

# Modules are imported when their task is asked for: one broken task leaves the others usable.
TASKS = {
    "sentiment": "training.tasks.sentiment:SentimentTask",
    "generation": "training.tasks.generation:GenerationTask",
    "forecasting": "training.tasks.forecasting:ForecastingTask",
    "chorales": "training.tasks.music:ChoralesTask",
    "folk": "training.tasks.music:FolkTask",
    "caption": "training.tasks.caption:CaptionTask",
    "translation": "training.tasks.translation:TranslationTask",
    "tagging": "training.tasks.tagging:TaggingTask",
    "entities": "training.tasks.entities:EntitiesTask",
    "sentiment-bidirectional": "training.tasks.bidirectional_sentiment:BidirectionalSentimentTask",
}


def task_type(name: str) -> type[Task[Any]]:
    """The class of a task."""
    module, _, attribute = TASKS[name].partition(":")
    found: type[Task[Any]] = getattr(import_module(module), attribute)
    return found
