"""Models served without a service around them."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from service.catalog import Catalog
from service.concurrency.open_answers import OpenAnswers
from service.metrics import Metrics
from service.questions import Questions
from service.settings import BundleSettings, EngineSettings
from service.steps.answer_room import AnswerRoom
from service.tasks.task import ServedModel


def new_catalog(**engine: int) -> Catalog:
    """A catalog without models, for engines with those settings."""
    return Catalog(BundleSettings(), EngineSettings(**engine), Metrics())


def serve(catalog: Catalog, models: Iterable[ServedModel]) -> None:
    """Add models, each as the current version of its name."""
    for model in models:
        catalog.add(model)
        catalog.make_current(model.bundle.tag)


@asynccontextmanager
async def questions_to(catalog: Catalog, models: Iterable[ServedModel]) -> AsyncIterator[Questions]:
    """Questions that those models answer, as long as the context lasts."""
    serve(catalog, models)
    catalog.start()
    yield Questions(catalog, Metrics(), OpenAnswers(30), AnswerRoom(2**28, 30.0, lambda: 1))
    await catalog.stop()
