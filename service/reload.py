"""Bundle versions while serving: every worker loads a new one, and keeps an old one while sessions live on it.

Which version should be current is a note in the session store, which all workers of all machines share. Each worker
reads the notes once a second, loads what it lacks, and notes what it has. A version becomes current only once all of
them have it, so that any of them can serve the sessions that begin on it. A reload is answered once its version is
current everywhere, and a restart finds every version that sessions live on.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any, Protocol

import orjson
from bentoml.exceptions import BentoMLException, NotFound

from service.bundle import store as bundle_store
from service.bundle.errors import BundleError
from service.bundle.manifest import Bundle
from service.catalog import Catalog
from service.concurrency.failures import FailureLog
from service.errors import DeadlineExceeded, InvalidInput, ModelUnknown, VersionSuperseded
from service.stores.base import Store, Unavailable
from service.stores.outage import or_logged

logger = logging.getLogger(__name__)

FOLLOW_SECONDS = 1.0
AWAIT_SECONDS = 0.2
FORGET_WORKER_SECONDS = 10.0
FORGET_NOTE_SECONDS = 3600.0
# How long to wait before a version that could not be opened is tried again. A try takes a second.
RETRY_SECONDS = 30.0
# How long an unused version stays loaded at least: by then all workers know that it is no longer current, so no worker
# opens a session on it. Questions that began on it must be answered, too.
LINGER_SECONDS = 60.0
_SERVED = "served:"
_WORKER = "worker:"


class ModelStore(Protocol):
    """Finds bundles, as `service.bundle.store` does."""

    def stored_bundle(self, tag: str) -> Bundle:
        """Return the bundle with a tag, or raise BentoMLException (there is none) or BundleError (it is damaged)."""

    def newest_tag(self, name: str) -> str:
        """Return the tag of a bundle's newest version, or raise BentoMLException or BundleError."""

    def stored_tags(self, tag: str) -> list[str]:
        """Return the tags of all versions beside one that are not younger than the newest, or raise the same errors."""


class Reloader:
    """Keeps a worker's catalog in line with the notes.

    Args:
        catalog: The models that this worker serves.
        store: Keeps the notes.
        worker_id: Identifies this worker among all that share the store.
        configured: The bundles that the service was started with.
        followed: Names of models whose newest version in the model store becomes current.
        model_store: Finds their bundles.
        answer_seconds: How long a question may take, and a reload.
        clock: Wall-clock seconds since 1970.
    """

    def __init__(
        self,
        catalog: Catalog,
        store: Store,
        worker_id: str,
        configured: Iterable[Bundle],
        followed: Iterable[str] = (),
        model_store: ModelStore = bundle_store,
        answer_seconds: float = LINGER_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._worker = f"{_WORKER}{worker_id}"
        self._configured = {bundle.manifest.name: bundle for bundle in configured}
        self._followed = frozenset(followed)
        self._model_store = model_store
        self._answer_seconds = answer_seconds
        self._clock = clock
        self._newest: dict[str, str] = {}
        self._logged: set[str] = set()
        self._retry_at: dict[str, float] = {}
        self._pending: set[str] = set()
        self._unused_since: dict[str, float] = {}
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Load the current versions and every other version that sessions live on.

        Raises:
            BundleGraphMismatch: A configured bundle cannot be served.
            Unavailable: The store cannot be reached.
        """
        loads = (asyncio.to_thread(self._catalog.load, bundle) for bundle in self._configured.values())
        for model in await asyncio.gather(*loads):
            self._catalog.add(model)
            self._catalog.make_current(model.bundle.tag)
        await self._delete_stale_notes()
        await self._follow_all()
        for name, bundle in self._configured.items():
            if (tag := self._catalog.current_tags[name]) != bundle.tag:
                logger.info("starting on %s, which was loaded instead of %s", tag, bundle.tag)

    async def follow(self) -> None:
        """Read the notes once. Load, make current and remove versions as they say.

        Raises:
            Unavailable: The store cannot be reached. Versions that were loaded stay.
        """
        async with self._lock:
            wanted = await self._wanted()
            live = await self._store.bundles()
            for tag in (*wanted.values(), *live):
                if self._retry_at.get(tag, 0.0) <= self._clock():
                    await self._ensure_loaded(tag, live.get(tag, 0))
            await self._note_worker()
            coming = {tag for name, tag in wanted.items() if self._catalog.current_tags.get(name) != tag}
            self._pending = coming & self._catalog.loaded_tags
            for tag in [tag for tag in self._pending if await self._is_loaded_everywhere(tag)]:
                self._catalog.make_current(tag)
                self._pending.discard(tag)
                await self._note_worker()
            await self._remove_unused(
                self._catalog.loaded_tags - set(self._catalog.current_tags.values()) - set(live) - coming
            )

    async def _note_worker(self) -> None:
        """Write this worker's note: which versions it has loaded, and which of them are current."""
        catalog = self._catalog
        note = {"at": self._clock(), "tags": catalog.current_tags, "loaded": sorted(catalog.loaded_tags)}
        await self._store.note(self._worker, orjson.dumps(note))

    async def _remove_unused(self, unused: AbstractSet[str]) -> None:
        """Remove the versions that have been unused for long enough."""
        now = self._clock()
        self._unused_since = {tag: self._unused_since.get(tag, now) for tag in unused}
        for tag, since in self._unused_since.items():
            if since + max(LINGER_SECONDS, self._answer_seconds) <= now:
                await self._catalog.remove(tag)

    async def follow_forever(self) -> None:
        """Follow the notes and the model store until cancelled: once a second, or sooner while workers are awaited."""
        failures = FailureLog("checking for new bundle versions failed; it will be tried again")
        while True:
            await asyncio.sleep(AWAIT_SECONDS if self._pending else FOLLOW_SECONDS)
            try:
                await or_logged(self._follow_all())
            except Exception as error:
                failures.log(error)

    async def heartbeat(self) -> None:
        """Note that this worker is alive, whatever it is loading. To be called every FOLLOW_SECONDS."""
        with suppress(Unavailable):  # which `follow_forever` logs
            await self._note_worker()

    async def leave(self) -> None:
        """Delete this worker's note, so that the others do not wait for it."""
        try:
            await self._store.note(self._worker, None)
        except Unavailable as error:
            logger.warning("cannot tell other workers that this one stops, so they may wait for it: %s", error)

    async def _delete_stale_notes(self) -> None:
        """Delete the notes of workers that have been silent for an hour."""
        long_ago = self._clock() - FORGET_NOTE_SECONDS
        for name, content in (await self._store.notes(_WORKER)).items():
            if orjson.loads(content)["at"] <= long_ago:
                await self._store.note(name, None)

    async def load(self, name: str, version: str = "latest") -> str:
        """Make a version from the model store current, and wait until every worker serves it.

        Returns:
            The tag of the version.

        Raises:
            ModelUnknown: The model store has no such version.
            InvalidInput: The version is damaged, cannot be served, or is the bundle of another model.
            VersionSuperseded: Another version of the model was loaded meanwhile.
            DeadlineExceeded: Some worker has not loaded it in the time that a question may take.
            Unavailable: The store cannot be reached.
        """
        deadline = asyncio.get_running_loop().time() + self._answer_seconds
        try:
            bundle = await asyncio.to_thread(self._model_store.stored_bundle, f"{name}:{version}")
            note = await self._note_of(bundle)
        except BentoMLException as error:
            raise ModelUnknown(f"the model store has no {name}:{version}") from error
        except BundleError as error:
            raise InvalidInput(str(error)) from error
        if bundle.manifest.name != name:
            raise InvalidInput(f"{name}:{version} is a bundle of {bundle.manifest.name!r}")
        async with self._lock:
            if not await self._ensure_loaded(bundle.tag):
                raise InvalidInput(f"{bundle.tag} cannot be served; the service's log says why")
        await self._write_note(name, note)
        await self.follow()
        while not await self._is_current_everywhere(name, bundle.tag):
            if (wanted := (await self._wanted()).get(name)) != bundle.tag:
                raise VersionSuperseded(
                    f"{wanted} becomes current in place of {bundle.tag}: it was loaded meanwhile, or is that of a "
                    "worker with another configuration"
                )
            if asyncio.get_running_loop().time() >= deadline:
                raise DeadlineExceeded(f"not every worker has {bundle.tag} yet; the others keep trying")
            await asyncio.sleep(AWAIT_SECONDS)
            await self.follow()
        return bundle.tag

    async def _note_of(self, bundle: Bundle) -> dict[str, Any]:
        """Return the note that makes a version current; see `_noted`."""
        name = bundle.manifest.name
        note: dict[str, Any] = {"tag": bundle.tag, "over": self._configured_tag(name)}
        if name in self._followed:
            note["stored"] = await asyncio.to_thread(self._model_store.stored_tags, bundle.tag)
        return note

    async def _write_note(self, name: str, note: Mapping[str, Any]) -> None:
        await self._store.note(f"{_SERVED}{name}", orjson.dumps(note))

    async def _noted(self) -> dict[str, dict[str, Any]]:
        """Return what was loaded last, by model.

        `tag` is that version, `over` the one that its worker was configured with, and `stored`, of followed models, the
        versions that the model store had then. Notes of earlier releases lack `stored`.
        """
        notes = await self._store.notes(_SERVED)
        return {name.removeprefix(_SERVED): orjson.loads(content) for name, content in notes.items()}

    def _configured_tag(self, name: str) -> str:
        return self._configured[name].tag if name in self._configured else ""

    async def _wanted(self) -> dict[str, str]:
        """Return the tags that should be current, by model: the last one loaded, or another one configured since."""
        wanted = {name: bundle.tag for name, bundle in self._configured.items()}
        for name, note in (await self._noted()).items():
            if name in self._followed or note["over"] == self._configured_tag(name):
                wanted[name] = note["tag"]
        return wanted

    async def _follow_all(self) -> None:
        await self._follow_model_store()
        await self.follow()

    async def _follow_model_store(self) -> None:
        for name in self._followed:
            latest = f"{name}:latest"
            try:
                newest = await asyncio.to_thread(self._model_store.newest_tag, name)
                if newest != self._newest.get(name) and await self._take_up(name, newest):
                    self._newest[name] = newest
            except (BentoMLException, BundleError) as error:  # which must not keep this worker from everything else
                self._log_once_unservable(latest, error)
            else:
                self._logged.discard(latest)

    async def _take_up(self, name: str, newest: str) -> bool:
        """Make the newest version current, unless the model store had it already when the current one was loaded.

        Returns:
            Whether that is settled. It is not if another version was loaded meanwhile.
        """
        configured = self._configured_tag(name)
        noted = (await self._noted()).get(name)
        note = noted or {"tag": configured, "over": configured}
        known = {note["tag"], note["over"], *note.get("stored", ())}
        if note["tag"] == self._newest.get(name):
            stored = await asyncio.to_thread(self._model_store.stored_tags, newest)
            if note["tag"] not in stored:  # it was the newest and is deleted, so the one before is wanted again
                known.clear()
        if newest not in known:
            bundle = await asyncio.to_thread(self._model_store.stored_bundle, newest)
            if bundle.tag not in known:  # a manifest's own tag, not the store's
                new = await self._note_of(bundle)
                if (await self._noted()).get(name) != noted:
                    return False
                logger.info("found new version %s in the model store", newest)
                await self._write_note(name, new)
        return True

    async def _ensure_loaded(self, tag: str, num_sessions: int = 0) -> bool:
        """Load a version, which has so many live sessions, if it is not loaded yet.

        Returns:
            Whether it is loaded. If not, that is logged once.
        """
        if tag in self._catalog.loaded_tags:
            return True
        try:
            bundle = await asyncio.to_thread(self._model_store.stored_bundle, tag)
            self._retry_at[tag] = self._clock() + RETRY_SECONDS
            self._catalog.add(await asyncio.to_thread(self._catalog.load, bundle))
        except Exception as error:  # onnxruntime's errors, a damaged bundle, or none of that tag
            self._log_once_unservable(tag, error, num_sessions)
            return False
        self._logged.discard(tag)
        self._retry_at.pop(tag, None)
        return True

    def _log_once_unservable(self, tag: str, error: Exception, num_sessions: int = 0) -> None:
        if tag in self._logged:
            return
        self._logged.add(tag)
        reason = "it is not in the model store" if isinstance(error, NotFound) else error
        waiting = (
            f". Steps of its live sessions ({num_sessions} now) are 412 until it is; the image or source tree that "
            'served it has it (docs/container.md, "Upgrade")'
        )
        logger.error("%s cannot be served: %s%s", tag, reason, waiting if num_sessions else "")

    async def _is_current_everywhere(self, name: str, tag: str) -> bool:
        """Whether a version is current for all workers."""
        return all(worker["tags"].get(name) == tag for worker in await self._workers())

    async def _is_loaded_everywhere(self, tag: str) -> bool:
        """Whether all workers have a version loaded."""
        return all(tag in worker["loaded"] for worker in await self._workers())

    async def _workers(self) -> list[dict[str, Any]]:
        """Return the notes of all workers that have written one within FORGET_WORKER_SECONDS."""
        workers = [orjson.loads(content) for content in (await self._store.notes(_WORKER)).values()]
        lately = self._clock() - FORGET_WORKER_SECONDS
        return [worker for worker in workers if worker["at"] > lately]
