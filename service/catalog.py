"""The models that are served: each bundle with its runtime, its engine and its task."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from service.bundle.errors import BundleError
from service.bundle.manifest import MANIFEST_FILE, Bundle
from service.bundle.store import import_bundle, stored_bundle
from service.engine import Engine
from service.metrics import Metrics
from service.runtime import Runtime
from service.settings import BundleSettings, EngineSettings
from service.tasks.forecasting import ForecastingModel
from service.tasks.generation import GenerationModel
from service.tasks.sentiment import SentimentModel
from service.tasks.task import ServedModel

logger = logging.getLogger(__name__)

SHIPPED = Path(__file__).parent.parent / "models"
TASKS: Mapping[str, type[ServedModel[Any]]] = {
    task.kind: task for task in (SentimentModel, GenerationModel, ForecastingModel)
}


class Catalog(Mapping[str, ServedModel[Any]]):
    """Served models by name. Engines are idle until `start`, which needs a running event loop."""

    def __init__(
        self, bundles: Iterable[Bundle], bundle_settings: BundleSettings, settings: EngineSettings, metrics: Metrics
    ) -> None:
        self._models: dict[str, ServedModel[Any]] = {}
        for bundle in bundles:
            runtime = Runtime(bundle, bundle_settings.provider)
            runtime.warm_up()
            engine = Engine(
                runtime,
                metrics.observer(bundle.tag),
                max_batch_rows=settings.max_batch_rows,
                max_queue_rows=settings.max_queue_rows,
                max_wait_seconds=settings.max_wait_seconds,
            )
            self._models[bundle.manifest.name] = TASKS[bundle.manifest.task.kind](bundle, engine)
            logger.info("serving %s on %s", bundle.tag, bundle_settings.provider)

    def start(self) -> None:
        """Start every engine."""
        for model in self._models.values():
            model.engine.start()

    async def stop(self) -> None:
        """Stop every engine after its run in flight."""
        for model in self._models.values():
            await model.engine.stop()

    @property
    def is_serving(self) -> bool:
        """Whether every engine takes up work."""
        return all(model.engine.is_serving for model in self._models.values())

    def __getitem__(self, name: str) -> ServedModel[Any]:
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)


def configured_bundles(settings: BundleSettings, shipped: Path = SHIPPED) -> list[Bundle]:
    """The bundles that are named by settings, else the shipped ones, which are imported into the model store.

    Raises:
        BundleError: A bundle is damaged, or there is none.
        bentoml.exceptions.NotFound: The model store lacks one that settings name.
    """
    if settings.tags:
        return [stored_bundle(tag) for tag in settings.tags]
    bundles = [import_bundle(manifest.parent) for manifest in sorted(shipped.glob(f"*/{MANIFEST_FILE}"))]
    if not bundles:
        raise BundleError(f"no bundle is shipped in {shipped}; name some of the model store's by UNROLLED_BUNDLES")
    return bundles
