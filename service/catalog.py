"""The models that are served: each bundle version with its runtime, its engine and its task.

New sessions begin on a model's current version. Other versions stay as long as sessions live on them.
"""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from service.bundle.errors import BundleError, BundleGraphMismatch
from service.bundle.manifest import MANIFEST_FILE, Bundle, name_and_version
from service.bundle.prepared_graphs import PreparedGraphs
from service.bundle.store import import_bundle, stored_bundle
from service.device.batch import DeviceBatchBuilder
from service.device.device import batch_sizes, cuda
from service.device.runtime import DeviceRuntime
from service.engine.engine import Engine, Graphs
from service.engine.job import BatchBuilder
from service.engine.numerics import fingerprint
from service.engine.runtime import Runtime
from service.errors import ModelUnknown, NotStreamable, VersionUnknown
from service.metrics import Metrics
from service.process.allocator import return_freed_memory
from service.settings import BundleSettings, EngineSettings
from service.tasks.caption import CaptionModel
from service.tasks.forecasting import ForecastingModel
from service.tasks.generation import GenerationModel
from service.tasks.music import MusicModel
from service.tasks.sentiment import StreamingSentimentModel, WholeTextSentimentModel
from service.tasks.tagging import StreamingTaggingModel, WholeTaggingModel
from service.tasks.task import SequenceModel, ServedModel, TensorModel
from service.tasks.translation import TranslationModel

logger = logging.getLogger(__name__)

SHIPPED = Path(__file__).parent.parent / "models"
MODELS: tuple[type[ServedModel], ...] = (
    StreamingSentimentModel,
    WholeTextSentimentModel,
    GenerationModel,
    ForecastingModel,
    MusicModel,
    TranslationModel,
    StreamingTaggingModel,
    WholeTaggingModel,
    CaptionModel,
)


class Catalog(Mapping[str, ServedModel]):
    """Current models by name. Engines are idle until `start`, which needs a running event loop.

    Attributes:
        numerics: The fingerprint of this process's numerics, 8 bytes; see `service.engine.numerics`.
    """

    def __init__(self, bundle_settings: BundleSettings, settings: EngineSettings, metrics: Metrics) -> None:
        self._provider = bundle_settings.provider
        self._device_cache_bytes = bundle_settings.device_cache_bytes
        self._settings = settings
        self._metrics = metrics
        self._current: dict[str, ServedModel] = {}
        self._by_tag: dict[str, ServedModel] = {}
        self.max_num_logits = 0
        self._is_started = False
        self.numerics = fingerprint(self._provider)
        directory = bundle_settings.prepared_graphs_directory
        self._prepared = (
            None if directory is None else PreparedGraphs(directory / self.numerics.hex(), return_freed_memory)
        )

    def load(self, bundle: Bundle) -> ServedModel:
        """Open a bundle's graphs. Takes a second or so, and may be called from any thread.

        Raises:
            BundleGraphMismatch: Its stages are not those of its task.
        """
        graphs, builder = self._open(bundle)
        engine = Engine(
            graphs,
            self._metrics.observer(bundle.tag),
            max_batch_rows=self._settings.max_batch_rows,
            max_queue_rows=self._settings.max_queue_rows,
            max_wait_seconds=self._settings.max_wait_seconds,
            builder=builder,
        )
        return _model_type(bundle)(bundle, engine)

    def _open(self, bundle: Bundle) -> tuple[Graphs, BatchBuilder]:
        if self._provider == "cuda":
            sizes = batch_sizes(self._settings.max_batch_rows)
            on_device = DeviceRuntime(bundle, cuda(), sizes, self._device_cache_bytes)
            return on_device, DeviceBatchBuilder(on_device)
        runtime = Runtime(bundle, prepared=self._prepared)
        if self._settings.open_rungs == "all":
            runtime.open_all()
        runtime.warm_up()
        return runtime, BatchBuilder(bundle)

    def add(self, model: ServedModel) -> None:
        """Serve a version to the sessions that live on it."""
        if self._is_started:
            model.engine.start()
        self._by_tag[model.bundle.tag] = model
        if isinstance(model, TensorModel):
            self.max_num_logits = max(self.max_num_logits, model.num_logits)

    def make_current(self, tag: str) -> None:
        """Send new sessions and whole questions to a version that was added."""
        model = self._by_tag[tag]
        former = self._current.get(model.name, model)
        self._current[model.name] = model
        if former is not model:
            logger.info("new sessions and questions go to %s, no longer to %s", tag, former.bundle.tag)

    async def remove(self, tag: str) -> None:
        """Stop serving a version that is not current and that no session lives on."""
        model = self._by_tag.pop(tag)
        await model.engine.stop()
        self._metrics.forget(tag)
        logger.info("no longer serving %s", tag)

    def current(self, name: str) -> SequenceModel[Any]:
        """Return the version of a model that new sessions begin on.

        Raises:
            ModelUnknown: No such model is served.
            NotStreamable: There are no sessions on it.
        """
        model = self._current.get(name)
        if isinstance(model, SequenceModel):
            return model
        if model is None:
            names = sorted(name for name, served in self._current.items() if isinstance(served, SequenceModel))
            raise ModelUnknown(f"no model {name!r} is served; there are sessions on {names}")
        raise NotStreamable.of_model(name)

    def by_tag(self, tag: str) -> SequenceModel[Any]:
        """Return the model of a bundle version, for the sessions on it.

        Raises:
            VersionUnknown: It is not served.
            NotStreamable: There are no sessions on it.
        """
        model = self._by_tag.get(tag)
        if isinstance(model, SequenceModel):
            return model
        if model is None:
            name, _ = name_and_version(tag)
            served = sorted(each.bundle.tag for each in self._by_tag.values() if each.name == name)
            raise VersionUnknown(f"bundle {tag} is not served; of {name} there are {served}")
        raise NotStreamable.of_model(model.name)

    def version(self, name: str, version: str = "") -> ServedModel:
        """Return the current version of a model, or the one that is named.

        Raises:
            ModelUnknown: It is not served.
        """
        versions = self.versions(name)
        if not versions:
            raise ModelUnknown(f"no model {name!r} is served; there are {sorted(self)}")
        if version and version not in versions:
            raise ModelUnknown(f"version {version!r} of model {name!r} is not served; there are {versions}")
        return self._by_tag[f"{name}:{version or versions[0]}"]

    def versions(self, name: str) -> list[str]:
        """Return the served versions of a model, the current one first. Empty if there is no such model."""
        if name not in self:
            return []
        current = self[name].bundle.version
        served = {model.bundle.version for model in self._by_tag.values() if model.name == name}
        return [current, *sorted(served - {current})]

    @property
    def tags(self) -> dict[str, str]:
        """The current version of each model, by name."""
        return {name: model.bundle.tag for name, model in self._current.items()}

    @property
    def loaded_tags(self) -> frozenset[str]:
        """Tags of all loaded versions."""
        return frozenset(self._by_tag)

    def start(self) -> None:
        """Start every engine."""
        self._is_started = True
        for model in self._by_tag.values():
            model.engine.start()

    async def stop(self) -> None:
        """Stop every engine after its runs in flight."""
        self._is_started = False
        for model in self._by_tag.values():
            await model.engine.stop()

    @property
    def is_serving(self) -> bool:
        """Whether every engine accepts work."""
        return all(model.engine.is_serving for model in self._by_tag.values())

    @property
    def is_idle(self) -> bool:
        """Whether no row of a session or of a whole question waits or runs."""
        return all(model.engine.is_idle for model in self._by_tag.values())

    def __getitem__(self, name: str) -> ServedModel:
        return self._current[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._current)

    def __len__(self) -> int:
        return len(self._current)


def _model_type(bundle: Bundle) -> type[ServedModel]:
    """Return the model class for a bundle's task, with sessions if the bundle's stages allow them."""
    kind, is_streamable = bundle.manifest.task.kind, bundle.manifest.is_streamable
    for model in MODELS:
        if model.kind == kind and issubclass(model, SequenceModel) is is_streamable:
            return model
    how = "item by item" if is_streamable else "whole inputs only"
    raise BundleGraphMismatch(f"{bundle.tag} reads {how}, which no model for {kind} does")


def configured_bundles(settings: BundleSettings, shipped: Path = SHIPPED) -> list[Bundle]:
    """Return the bundles that the settings name, else the shipped ones after importing them into the model store.

    Raises:
        BundleError: A bundle is damaged, or there is none.
        bentoml.exceptions.NotFound: The model store lacks one that the settings name.
    """
    if settings.tags:
        return [stored_bundle(tag) for tag in settings.tags]
    bundles = [import_bundle(manifest.parent) for manifest in sorted(shipped.glob(f"*/{MANIFEST_FILE}"))]
    if not bundles:
        raise BundleError(
            f"no bundle is shipped in {shipped}: an installed package has none, only the project's directory; import "
            "some with `python -m service import DIRECTORY`, and name them in UNROLLED_BUNDLES"
        )
    return bundles
