"""Workers that reload bundle versions, with a model store of sums that are not on any disk."""

from bentoml.exceptions import NotFound

from service.bundle.errors import BundleDamaged
from service.bundle.manifest import Bundle
from service.catalog import Catalog
from service.engine.engine import Engine
from service.metrics import Metrics
from service.reload import LINGER_SECONDS, Reloader
from service.settings import BundleSettings, EngineSettings
from service.stores.base import Record, Swap
from tests.fakes.clock import Clock
from tests.fakes.graphs import RecordingObserver, SumGraphs, sum_bundle
from tests.fakes.model import SumModel
from tests.fakes.stores import FaultyStore

BROKEN = "broken"


class ModelStore:
    """Bundles by tag, as BentoML's model store finds them."""

    def __init__(self, *versions: str) -> None:
        self.versions = list(versions)
        self.reads: list[str] = []

    def newest_tag(self, name: str) -> str:
        return f"{name}:{self.versions[-1]}"

    def stored_tags(self, tag: str) -> list[str]:
        return [f"{tag.partition(':')[0]}:{version}" for version in self.versions]

    def stored_bundle(self, tag: str) -> Bundle:
        self.reads.append(tag)
        name, _, version = tag.partition(":")
        version = self.versions[-1] if version == "latest" else version
        if version == "damaged":
            raise BundleDamaged(f"{tag} is damaged")
        if name not in ("sum", "alias", "another") or version not in self.versions:
            raise NotFound(f"no {tag}")
        return sum_bundle(version, name="sum" if name == "alias" else name)


class SumCatalog(Catalog):
    """A catalog of sums, which loads no graph."""

    def __init__(self) -> None:
        super().__init__(BundleSettings(), EngineSettings(), Metrics())
        self.loads: list[str] = []

    def load(self, bundle: Bundle) -> SumModel:
        self.loads.append(bundle.tag)
        if bundle.version == BROKEN:
            raise RuntimeError("onnxruntime cannot open it")
        return SumModel(bundle, Engine(SumGraphs(bundle), RecordingObserver()))


class Service:
    """Workers over one store and one model store."""

    def __init__(self, *versions: str) -> None:
        self.store = FaultyStore()
        self.clock = Clock()
        self.models = ModelStore(*versions)

    def machine(self, *versions: str) -> "Service":
        """Another machine, with a model store of its own, that shares the store."""
        other = Service(*versions)
        other.store, other.clock = self.store, self.clock
        return other

    async def following(self, worker_id: str) -> "Worker":
        """A worker that starts now and is configured with the newest version."""
        return await self.worker(worker_id, configured=self.models.versions[-1], followed=("sum",))

    async def worker(
        self,
        worker_id: str,
        configured: str = "1",
        followed: tuple[str, ...] = (),
        answer_seconds: float = LINGER_SECONDS,
    ) -> "Worker":
        worker = Worker(self, worker_id, configured, followed, answer_seconds)
        await worker.reloader.open()
        worker.catalog.start()
        return worker

    async def open_session(self, tag: str, session_id: str = "one") -> None:
        record = Record(session_id, "ann", tag, 0, int(self.clock.now), 60, "", b"state")
        assert await self.store.swap([Swap(record, None)]) == [True]

    async def end_session(self, session_id: str = "one") -> None:
        await self.store.delete([session_id])


class Worker:
    """A catalog and its reloader."""

    def __init__(
        self, service: Service, worker_id: str, configured: str, followed: tuple[str, ...], answer_seconds: float
    ) -> None:
        self.catalog = SumCatalog()
        self.reloader = Reloader(
            self.catalog,
            service.store,
            worker_id,
            [sum_bundle(configured)],
            followed,
            service.models,
            answer_seconds,
            service.clock,
        )

    @property
    def current(self) -> str:
        return self.catalog.current_tags["sum"]
