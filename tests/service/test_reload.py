"""Bundle versions of two workers over one store."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import orjson
import pytest
from bentoml.exceptions import NotFound

from service.bundle.manifest import Bundle
from service.concurrency.background import BackgroundTasks
from service.errors import DeadlineExceeded, InvalidInput, ModelUnknown, ShuttingDown, VersionSuperseded, VersionUnknown
from service.reload import FORGET_NOTE_SECONDS, FORGET_WORKER_SECONDS, LINGER_SECONDS, RETRY_SECONDS
from service.stores.base import Unavailable
from service.stores.outage import QUIET_SECONDS, Outage
from tests.fakes.clock import Clock
from tests.fakes.graphs import sum_bundle
from tests.fakes.model import SumModel
from tests.fakes.process import until
from tests.fakes.reloading import BROKEN, Service, Worker

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks every millisecond instead of every second."""
    monkeypatch.setattr("service.reload.FOLLOW_SECONDS", 0.001)
    monkeypatch.setattr("service.reload.AWAIT_SECONDS", 0.001)


@asynccontextmanager
async def looking(*workers: Worker) -> AsyncIterator[None]:
    """Workers that follow the notes and their model stores."""
    tasks = BackgroundTasks()
    for worker in workers:
        tasks.spawn(worker.reloader.follow_forever())
    try:
        yield
    finally:
        await tasks.cancel()


async def rolled_back(service: Service) -> Worker:
    """A worker that took up version 2, and was then told to go back to version 1."""
    worker = await service.following("a")
    service.models.versions.append("2")
    async with looking(worker):
        await until(lambda: worker.current == "sum:2")
        assert await worker.reloader.load("sum", "1") == "sum:1"
    return worker


async def test_a_load_that_another_one_overtakes_says_so_at_once() -> None:
    worker = await Service("1", "2", "3").worker("a")
    async with asyncio.timeout(5):
        overtaken, loaded = await asyncio.gather(
            worker.reloader.load("sum", "2"), worker.reloader.load("sum", "3"), return_exceptions=True
        )
    assert isinstance(overtaken, VersionSuperseded)
    assert str(overtaken).startswith("sum:3 becomes current in place of sum:2: it was loaded meanwhile")
    assert loaded == worker.current == "sum:3"


async def test_a_worker_begins_with_what_is_configured() -> None:
    worker = await Service("1", "2").worker("a")
    assert worker.catalog.current_tags == {"sum": "sum:1"}
    assert worker.catalog["sum"].engine.is_serving is True


async def test_a_version_becomes_current_where_every_worker_has_it_and_its_load_is_answered_when_it_is() -> None:
    service = Service("1", "2")
    one, other = await service.worker("a"), await service.worker("b")
    loading = asyncio.create_task(one.reloader.load("sum"))
    await asyncio.sleep(0.2)
    assert (one.current, other.current, loading.done()) == ("sum:1", "sum:1", False)
    assert one.catalog.session_model_by_tag("sum:2").bundle.version == "2"
    await other.reloader.follow()
    assert await loading == "sum:2"
    assert one.current == other.current == "sum:2"


async def test_an_older_version_can_be_named() -> None:
    service = Service("1", "2", "3")
    worker = await service.worker("a", configured="3")
    assert await worker.reloader.load("sum", "1") == "sum:1"
    assert worker.current == "sum:1"
    assert await worker.reloader.load("sum") == "sum:3"


async def test_a_load_that_some_worker_does_not_follow_says_so_in_the_time_of_a_question() -> None:
    service = Service("1", "2")
    one, _ = await service.worker("a", answer_seconds=0.02), await service.worker("b")
    with pytest.raises(DeadlineExceeded, match="not every worker has sum:2"):
        await one.reloader.load("sum")


@pytest.mark.parametrize("is_polite", [True, False])
async def test_a_worker_that_is_gone_is_not_waited_for(is_polite: bool) -> None:
    service = Service("1", "2")
    one, gone = await service.worker("a"), await service.worker("b")
    if is_polite:
        await gone.reloader.leave()
    else:
        service.clock.now += FORGET_WORKER_SECONDS + 1
    async with asyncio.timeout(5):
        assert await one.reloader.load("sum") == "sum:2"


async def test_what_a_killed_worker_has_noted_is_taken_away_in_time() -> None:
    service = Service("1")
    await service.worker("a")
    service.clock.now += FORGET_NOTE_SECONDS - 1
    await service.worker("b")
    assert len(await service.store.notes("worker:")) == 2
    service.clock.now += 1
    await service.worker("c")
    assert sorted(await service.store.notes("worker:")) == ["worker:b", "worker:c"]


async def test_live_sessions_stay_on_their_version_which_goes_once_they_have() -> None:
    service = Service("1", "2")
    worker = await service.worker("a")
    await service.open_session("sum:1")
    await worker.reloader.load("sum")
    service.clock.now += 10 * LINGER_SECONDS
    await worker.reloader.follow()
    old = worker.catalog.session_model_by_tag("sum:1")
    assert old.engine.is_serving
    await service.end_session()
    await worker.reloader.follow()
    assert worker.catalog.loaded_tags == {"sum:1", "sum:2"}
    service.clock.now += LINGER_SECONDS
    await worker.reloader.follow()
    assert worker.catalog.loaded_tags == {"sum:2"}
    assert not old.engine.is_serving
    with pytest.raises(VersionUnknown):
        worker.catalog.session_model_by_tag("sum:1")
    with pytest.raises(ShuttingDown):
        old.engine.submit([])


async def test_a_version_that_is_used_again_stays() -> None:
    service = Service("1", "2")
    worker = await service.worker("a")
    await worker.reloader.load("sum")
    service.clock.now += LINGER_SECONDS - 1
    await service.open_session("sum:1")  # by a worker that had not heard yet
    await worker.reloader.follow()
    await service.end_session()
    service.clock.now += 2
    await worker.reloader.follow()
    assert worker.catalog.loaded_tags == {"sum:1", "sum:2"}


async def test_a_restart_finds_what_was_loaded_and_what_sessions_live_on() -> None:
    service = Service("1", "2", "3")
    before = await service.worker("a")
    await before.reloader.load("sum", "2")
    await service.open_session("sum:3")
    await before.reloader.leave()
    after = await service.worker("a")
    assert after.current == "sum:2"
    assert after.catalog.loaded_tags >= {"sum:2", "sum:3"}


async def test_a_restart_with_another_configuration_overrules_what_was_loaded_before() -> None:
    service = Service("1", "2", "3")
    before = await service.worker("a")
    await before.reloader.load("sum", "2")
    await before.reloader.leave()
    assert (await service.worker("a", configured="3")).current == "sum:3"


async def test_an_older_version_lasts_through_restarts_and_whoever_starts_on_it_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "service.reload")
    service = Service("1")
    before = await rolled_back(service)
    caplog.clear()
    replacement = await service.following("b")
    async with looking(before, replacement):
        await asyncio.sleep(0.02)
    assert (before.current, replacement.current) == ("sum:1", "sum:1")
    await before.reloader.leave()
    await replacement.reloader.leave()
    assert (await service.following("a")).current == "sum:1"
    assert caplog.messages == ["starting on sum:1, which was loaded instead of sum:2"] * 2


async def test_a_newer_version_is_taken_up_after_an_older_one_was_loaded_by_workers_of_every_age() -> None:
    service = Service("1")
    old = await rolled_back(service)
    young = await service.following("b")
    async with looking(old, young):
        service.models.versions.append("3")
        await until(lambda: old.current == young.current == "sum:3")
        await young.reloader.load("sum", "2")
    assert (await service.following("c")).current == old.current == young.current == "sum:2"


async def test_a_version_that_appeared_while_nothing_ran_is_newer_than_what_was_loaded() -> None:
    service = Service("1")
    await (await rolled_back(service)).reloader.leave()
    service.models.versions.append("3")
    for worker_id in ("a", "b"):
        assert (await service.following(worker_id)).current == "sum:3"


async def test_a_worker_that_starts_before_the_others_have_seen_a_new_version_takes_them_along() -> None:
    service = Service("1")
    old = await rolled_back(service)
    service.models.versions.append("3")
    young = await service.following("b")
    await old.reloader.follow()
    assert old.current == young.current == "sum:3"


async def test_a_version_that_a_worker_sees_late_does_not_undo_a_load() -> None:
    service = Service("1")
    late = await service.following("b")
    prompt = asyncio.create_task(rolled_back(service))
    while not prompt.done():
        await late.reloader.follow()
        await asyncio.sleep(0.001)
    async with looking(late, await prompt):
        await asyncio.sleep(0.02)
    assert late.current == (await prompt).current == "sum:1"


class SlowRead:
    """A model store's method that waits, once it is called, until it may go on."""

    def __init__(self, service: Service, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.go_on = asyncio.Event(), threading.Event()
        self._loop, self._read = asyncio.get_running_loop(), getattr(service.models, method)
        monkeypatch.setattr(service.models, method, self)
        self.undo = partial(monkeypatch.setattr, service.models, method, self._read)

    def __call__(self, tag: str) -> object:
        self._loop.call_soon_threadsafe(self.begun.set)
        self.go_on.wait(5)
        return self._read(tag)


@pytest.mark.parametrize("step", ["stored_bundle", "stored_tags"])
async def test_a_load_while_another_worker_reads_a_new_version_is_not_undone(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service("1")
    slow, quick = await service.following("a"), await service.following("b")
    service.models.versions.append("2")
    reading = SlowRead(service, step, monkeypatch)
    async with looking(slow):
        await reading.begun.wait()
        reading.undo()
        loading = asyncio.create_task(quick.reloader.load("sum", "1"))
        await until(lambda: loading.done())
        reading.go_on.set()
        await asyncio.sleep(0.02)
    assert (await loading, slow.current, (await service.following("c")).current) == ("sum:1", "sum:1", "sum:1")


async def test_a_load_by_a_machine_that_lacks_a_new_version_only_delays_the_worker_that_reads_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = Service("1")
    lagging = service.machine("1")
    slow, quick = await service.following("a"), await lagging.following("b")
    service.models.versions.append("2")
    reading = SlowRead(service, "stored_bundle", monkeypatch)
    async with looking(slow):
        await reading.begun.wait()
        assert await quick.reloader.load("sum", "1") == "sum:1"
        await quick.reloader.leave()
        reading.go_on.set()
        await until(lambda: slow.current == "sum:2")


async def test_a_load_that_takes_longer_than_a_question_may_is_answered_if_all_workers_have_it_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = Service("1", "2")
    worker = await service.worker("a", answer_seconds=0.01)
    load = worker.catalog.load

    def load_slowly(bundle: Bundle) -> SumModel:
        time.sleep(0.05)  # of which the deadline is over before anything is awaited
        return load(bundle)

    monkeypatch.setattr(worker.catalog, "load", load_slowly)
    assert await worker.reloader.load("sum") == "sum:2"


async def test_a_machine_whose_model_store_lags_behind_leaves_the_others_on_what_they_serve(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Service("0", "1")
    worker = await rolled_back(service)
    lagging = service.machine("0")
    other = await lagging.following("b")
    async with looking(worker, other):
        await asyncio.sleep(0.02)
        assert worker.current == "sum:1"
        assert caplog.messages == ["sum:1 cannot be served: it is not in the model store"]
        for version in ("1", "2"):
            lagging.models.versions.append(version)
            await asyncio.sleep(0.02)
        service.clock.now += RETRY_SECONDS
        await until(lambda: other.current == "sum:1")
    assert worker.current == "sum:1"


async def test_a_newest_version_that_is_deleted_gives_way_to_the_one_before_unless_another_was_loaded() -> None:
    service = Service("1")
    worker = await service.following("a")
    async with looking(worker):
        for version in ("2", "3"):
            service.models.versions.append(version)
            await until(lambda: worker.current == f"sum:{service.models.versions[-1]}")
        service.models.versions.remove("3")
        await until(lambda: worker.current == "sum:2")
        service.models.versions.append("4")
        await until(lambda: worker.current == "sum:4")
        await worker.reloader.load("sum", "1")
        service.models.versions.remove("4")
        await asyncio.sleep(0.02)
    assert worker.current == (await service.following("b")).current == "sum:1"


@pytest.mark.parametrize(
    ("tag", "over", "started_on"),
    [
        ("sum:1", "sum:3", "sum:1"),  # an older one by a worker that began on the newest
        ("sum:1", "sum:2", "sum:3"),  # that worker knew an older newest
        ("sum:2", "sum:1", "sum:3"),
        ("sum:3", "sum:1", "sum:3"),
    ],
)
async def test_what_an_earlier_release_has_noted_counts_as_it_did(tag: str, over: str, started_on: str) -> None:
    service = Service("1", "2", "3")
    await service.store.note("served:sum", orjson.dumps({"tag": tag, "over": over}))
    one, other = await service.following("a"), await service.following("b")
    async with looking(one, other):
        await asyncio.sleep(0.02)
    assert one.current == other.current == started_on


async def test_following_the_model_store_overrules_what_was_loaded_over_a_version_that_was_configured_by_name() -> None:
    service = Service("1", "2", "3")
    await (await service.worker("a")).reloader.load("sum", "2")
    await (await service.worker("a")).reloader.leave()
    assert (await service.following("a")).current == "sum:3"


async def test_a_version_that_another_worker_opened_sessions_on_is_loaded() -> None:
    service = Service("1", "2")
    one, other = await service.worker("a"), await service.worker("b")
    await one.reloader.load("sum", "1")
    await service.open_session("sum:2")
    await other.reloader.follow()
    assert other.catalog.session_model_by_tag("sum:2").engine.is_serving
    assert other.current == "sum:1"


async def test_what_the_model_store_lacks_is_unknown_and_what_is_damaged_is_refused() -> None:
    worker = await Service("1").worker("a")
    for name, version in (("sum", "7"), ("nosuch", "latest")):
        with pytest.raises(ModelUnknown):
            await worker.reloader.load(name, version)
    with pytest.raises(InvalidInput, match="damaged"):
        await worker.reloader.load("sum", "damaged")
    with pytest.raises(InvalidInput, match="bundle of 'sum'"):
        await worker.reloader.load("alias", "1")
    assert worker.current == "sum:1"


async def test_a_version_that_cannot_be_served_is_refused_at_once_and_nothing_changes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Service("1", BROKEN)
    one, other = await service.worker("a"), await service.worker("b")
    async with asyncio.timeout(5):
        with pytest.raises(InvalidInput, match="cannot be served"):
            await one.reloader.load("sum")
    await other.reloader.follow()
    assert one.current == other.current == "sum:1"
    assert BROKEN not in str(await service.store.notes(""))
    assert caplog.messages == [f"sum:{BROKEN} cannot be served: onnxruntime cannot open it"]
    assert await one.reloader.load("sum", "1") == "sum:1"


async def test_sessions_on_a_version_that_is_lost_do_not_keep_the_others_from_being_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Service("1", "2")
    worker = await service.worker("a")
    for session_id in ("one", "two"):
        await service.open_session("sum:lost", session_id)
    assert await worker.reloader.load("sum") == "sum:2"
    assert caplog.messages == [
        "sum:lost cannot be served: it is not in the model store. Steps of its live sessions (2 now) are 412 until it "
        'is; the image or source tree that served it has it (docs/container.md, "Upgrade")'
    ]
    with pytest.raises(VersionUnknown):
        worker.catalog.session_model_by_tag("sum:lost")
    service.models.versions.append("lost")
    await worker.reloader.follow()
    assert worker.catalog.session_model_by_tag("sum:lost").bundle.version == "lost"


async def test_a_version_that_cannot_be_opened_is_tried_again_after_a_while_or_when_it_is_asked_for() -> None:
    service = Service("1", BROKEN)
    await service.open_session(f"sum:{BROKEN}")
    worker = await service.worker("a")
    for _ in range(3):
        await worker.reloader.follow()
    assert worker.catalog.loads.count(f"sum:{BROKEN}") == 1
    service.clock.now += RETRY_SECONDS
    await worker.reloader.follow()
    assert worker.catalog.loads.count(f"sum:{BROKEN}") == 2
    with pytest.raises(InvalidInput):
        await worker.reloader.load("sum", BROKEN)
    assert worker.catalog.loads.count(f"sum:{BROKEN}") == 3


async def test_a_new_version_in_the_model_store_is_taken_up_where_that_is_wished() -> None:
    service = Service("1")
    following = await service.worker("a", followed=("sum",))
    other = await service.worker("b")
    looking = asyncio.create_task(following.reloader.follow_forever())
    await asyncio.sleep(0.01)
    assert following.current == "sum:1"
    service.models.versions.append("2")
    async with asyncio.timeout(5):
        while following.current != "sum:2":
            await asyncio.sleep(0.001)
            await other.reloader.follow()
    await other.reloader.load("sum", "1")  # chosen by name, and not overruled
    await asyncio.sleep(0.01)
    assert following.current == other.current == "sum:1"
    looking.cancel()


async def test_only_a_version_that_is_new_in_the_model_store_is_read() -> None:
    service = Service("1")
    following = await service.worker("a", followed=("sum",))
    looking = asyncio.create_task(following.reloader.follow_forever())
    await asyncio.sleep(0.02)
    assert service.models.reads == []
    service.models.versions.append("2")
    await until(lambda: following.current == "sum:2")
    await asyncio.sleep(0.02)
    assert service.models.reads == ["sum:2", "sum:2"]  # when it was found, and when it was loaded
    looking.cancel()


async def test_a_version_whose_manifest_was_touched_in_the_model_store_is_no_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = Service("1", "2")
    monkeypatch.setattr(service.models, "newest_tag", lambda _: "sum:of-the-store")
    monkeypatch.setattr(service.models, "stored_bundle", lambda _: sum_bundle("1"))
    worker = await service.worker("a", followed=("sum",))
    following = asyncio.create_task(worker.reloader.follow_forever())
    await until(lambda: worker.reloader._newest["sum"] == "sum:of-the-store")
    following.cancel()
    assert await service.store.notes("served:") == {}


@pytest.mark.parametrize("newest", ["damaged", "gone", "none"])
async def test_a_newest_version_that_is_damaged_or_gone_does_not_keep_a_worker_from_following_the_others(
    newest: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service("1", "2")
    following = await service.following("a")
    other = await service.worker("b")

    def newest_tag(_: str) -> str:
        if newest == "none":
            raise NotFound("no sum")
        return f"sum:{newest}"

    monkeypatch.setattr(service.models, "newest_tag", newest_tag)
    async with looking(following):
        await until(lambda: bool(caplog.messages))
        async with asyncio.timeout(5):
            assert await other.reloader.load("sum", "1") == "sum:1"
        assert following.current == "sum:1"
        await asyncio.sleep(0.02)
    assert [record.message.partition(" ")[0] for record in caplog.records if record.levelname == "ERROR"] == [
        "sum:latest"
    ]


async def test_a_store_that_is_down_changes_nothing() -> None:
    service = Service("1", "2")
    worker = await service.worker("a")

    async def down(*_: object) -> dict[str, bytes]:
        raise Unavailable("by a test")

    service.store.notes = down  # type: ignore[method-assign]
    looking = asyncio.create_task(worker.reloader.follow_forever())
    await asyncio.sleep(0.02)
    assert not looking.done()
    assert worker.current == "sum:1"
    looking.cancel()


async def test_a_store_that_is_down_is_logged_as_an_outage_however_often_a_worker_looks(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(100.0)
    monkeypatch.setattr("service.stores.outage._outage", Outage(clock))
    service = Service("1")
    worker = await service.worker("a")
    caplog.set_level(logging.INFO)
    caplog.clear()
    service.store.is_down = True
    async with looking(worker):
        await asyncio.sleep(0.05)
        assert caplog.messages == ["the session store cannot be used: by a test"]
        service.store.is_down = False
        clock.now += QUIET_SECONDS
        await until(lambda: len(caplog.messages) > 1)
    assert caplog.messages[1:] == ["the session store can be used again"]


async def test_a_worker_that_is_loading_for_long_is_waited_for_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service("1", "2")
    one, slow = await service.worker("a"), await service.worker("b")
    opens = threading.Event()
    load = slow.catalog.load

    def load_slowly(bundle: Bundle) -> SumModel:
        opens.wait(30)
        return load(bundle)

    monkeypatch.setattr(slow.catalog, "load", load_slowly)
    alive = BackgroundTasks()
    alive.repeat(0.001, slow.reloader.heartbeat)
    loading = asyncio.create_task(one.reloader.load("sum"))
    await until(lambda: "sum:2" in one.catalog.loaded_tags)
    following = asyncio.create_task(slow.reloader.follow())
    for _ in range(3):
        service.clock.now += FORGET_WORKER_SECONDS - 1
        await asyncio.sleep(0.05)
    assert (one.current, loading.done()) == ("sum:1", False)
    opens.set()
    await following
    await slow.reloader.follow()
    assert await loading == "sum:2"
    await alive.cancel()


async def test_a_worker_whose_store_is_down_goes_on_to_note_that_it_is_alive() -> None:
    service = Service("1")
    worker = await service.worker("a")
    alive = BackgroundTasks()
    alive.repeat(0.001, worker.reloader.heartbeat)
    service.store.is_down = True
    await asyncio.sleep(0.02)
    service.store.is_down = False
    service.clock.now += FORGET_WORKER_SECONDS + 1
    async with asyncio.timeout(5):
        noted = 0.0
        while noted != service.clock.now:
            await asyncio.sleep(0)
            noted = orjson.loads((await service.store.notes("worker:"))["worker:a"])["at"]
    await alive.cancel()


@pytest.mark.parametrize(("answer_seconds", "seconds"), [(300.0, 300.0), (1.0, LINGER_SECONDS)])
async def test_a_version_stays_as_long_as_a_question_on_it_may_take_and_until_all_workers_have_heard(
    answer_seconds: float, seconds: float
) -> None:
    service = Service("1", "2")
    worker = await service.worker("a", answer_seconds=answer_seconds)
    await worker.reloader.load("sum")
    service.clock.now += seconds - 1
    await worker.reloader.follow()
    assert "sum:1" in worker.catalog.loaded_tags
    service.clock.now += 1
    await worker.reloader.follow()
    assert "sum:1" not in worker.catalog.loaded_tags


async def test_a_model_that_nobody_is_configured_with_is_loaded_by_every_worker() -> None:
    service = Service("1")
    one, other = await service.worker("a"), await service.worker("b")
    async with looking(other):
        assert await one.reloader.load("another", "1") == "another:1"
    assert one.catalog.current_tags == other.catalog.current_tags == {"sum": "sum:1", "another": "another:1"}


async def test_a_failure_that_nobody_foresaw_is_logged_and_the_following_goes_on(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service("1")
    worker = await service.following("a")
    newest_tag = service.models.newest_tag

    def fail(_: str) -> str:
        raise RuntimeError("by a test")

    monkeypatch.setattr(service.models, "newest_tag", fail)
    async with looking(worker):
        await until(lambda: bool(caplog.messages))
        monkeypatch.setattr(service.models, "newest_tag", newest_tag)
        service.models.versions.append("2")
        await until(lambda: worker.current == "sum:2")
    assert caplog.messages[0].startswith("checking for new bundle versions failed")


async def test_a_newest_version_that_is_damaged_again_is_logged_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service("1")
    worker = await service.following("a")
    looks = ["damaged", "damaged", "1", "damaged", "damaged", "1"]
    monkeypatch.setattr(service.models, "newest_tag", lambda _: f"sum:{looks.pop(0) if looks else '1'}")
    async with looking(worker):
        await until(lambda: not looks)
    assert caplog.messages == ["sum:latest cannot be served: sum:damaged is damaged"] * 2


async def test_a_worker_that_stops_while_the_store_is_down_says_that_others_may_wait_for_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Service("1")
    worker = await service.worker("a")
    service.store.is_down = True
    await worker.reloader.leave()
    assert caplog.messages == ["cannot tell other workers that this one stops, so they may wait for it: by a test"]
