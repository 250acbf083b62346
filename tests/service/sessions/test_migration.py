"""Sessions that move to another version, and those that are carried to another deployment."""

import asyncio

import pytest

from service.errors import (
    BlobTampered,
    DeadlineExceeded,
    ExportDisabled,
    IdempotencyMismatch,
    Malformed,
    NotMigratable,
    NumericsChanged,
    SessionUnknown,
    ShuttingDown,
    StepConflict,
    VersionUnknown,
)
from service.forms.sessions import ForkRequest, MigrateRequest, RollbackRequest
from service.record.blob import seal
from service.steps.turn import Answer
from service.stores.base import Swap
from service.stores.packing import pack
from tests.fakes.process import EXPORT_KEY, Clock, Process, outputs
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio
OTHER_KEY = b"o" * 32


async def kept(process: Process) -> str:
    """A session on version 0 that has read text and ids, and keeps them."""
    process.catalog.make_current("sum:0")
    session_id = await process.create(keep_inputs=True)
    await process.text(session_id, "ab+")
    await process.ids(session_id, 5, 7, returns="none")
    await process.text(session_id, "c")
    process.catalog.make_current("sum:1")
    return session_id


async def test_a_session_moves_by_reading_all_its_inputs_again(store: FaultyStore) -> None:
    async with Process(store, versions=["0", "1"]) as process:
        session_id = await kept(process)
        before = (await process.sessions.load("ann", session_id)).body.state
        answer = await process.travel.migrate("ann", session_id, MigrateRequest(step=3))
        assert answer == Answer(session_id, 4, b'{"migrate":null}')
        assert await process.travel.migrate("ann", session_id, MigrateRequest(step=3)) == answer
        assert (await process.sessions.get("ann", session_id)).bundle == "sum:1"
        assert (await process.sessions.load("ann", session_id)).body.state == before
        assert len(process.graphs["1"].runs) > 0
        assert outputs(await process.text(session_id, "d", 4))["count"] == 17


async def test_a_fork_moves_by_reading_the_inputs_of_the_other_with_the_others_chance(store: FaultyStore) -> None:
    async with Process(store, versions=["0", "1"], max_kept_input_bytes=1000) as process:
        session_id = await kept(process)
        before = (await process.sessions.load("ann", session_id)).body.state
        fork = (await process.travel.fork("ann", session_id, ForkRequest())).session_id
        seeds = len(process.model.seeds)
        await process.travel.migrate("ann", session_id, MigrateRequest())
        of_the_first = process.model.seeds[seeds:]
        await process.travel.migrate("ann", fork, MigrateRequest())
        assert process.model.seeds[seeds:] == of_the_first * 2
        assert (await process.sessions.load("ann", fork)).body.state == before
        assert (await process.sessions.get("ann", fork)).bundle == "sum:1"


async def test_what_was_rolled_back_is_not_read_again(store: FaultyStore) -> None:
    async with Process(store, versions=["0", "1"]) as process:
        process.catalog.make_current("sum:0")
        session_id = await process.create(keep_inputs=True)
        await process.text(session_id, "ab")
        await process.travel.save("ann", session_id, "here")
        await process.text(session_id, "cde")
        await process.travel.roll_back("ann", session_id, RollbackRequest(checkpoint="here"))
        await process.text(session_id, "f")
        await process.travel.migrate("ann", session_id, MigrateRequest(bundle="sum:1"))
        assert await process.count(session_id) == 3


async def test_a_session_that_keeps_no_inputs_cannot_move(store: FaultyStore) -> None:
    async with Process(store, versions=["0", "1"]) as process:
        process.catalog.make_current("sum:0")
        session_id = await process.create()
        with pytest.raises(NotMigratable, match="keep_inputs"):
            await process.travel.migrate("ann", session_id, MigrateRequest(bundle="sum:1"))
        outgrown = await process.create(keep_inputs=True)
        await process.text(outgrown, "x" * 200)
        with pytest.raises(NotMigratable, match="outgrew"):
            await process.travel.migrate("ann", outgrown, MigrateRequest(bundle="sum:1"))
        assert (await process.sessions.get("ann", outgrown)).step == 1


async def test_a_session_moves_to_a_version_of_its_own_bundle_only(store: FaultyStore) -> None:
    async with Process(store, versions=["0", "1"]) as process:
        session_id = await kept(process)
        with pytest.raises(NotMigratable, match="no version of that"):
            await process.travel.migrate("ann", session_id, MigrateRequest(bundle="product:1"))
        with pytest.raises(VersionUnknown):
            await process.travel.migrate("ann", session_id, MigrateRequest(bundle="sum:7"))
        with pytest.raises(StepConflict):
            await process.travel.migrate("ann", session_id, MigrateRequest(bundle="sum:1", step=1))


async def test_inputs_that_the_version_cannot_read_keep_the_session_where_it_is(store: FaultyStore) -> None:
    async with Process(store, versions=["0", "1"]) as process:
        session_id = await kept(process)
        process.model.check_tensors = refuse  # type: ignore[method-assign]
        with pytest.raises(NotMigratable, match="cannot read"):
            await process.travel.migrate("ann", session_id, MigrateRequest())
        assert (await process.sessions.get("ann", session_id)).bundle == "sum:0"


async def test_inputs_that_take_too_long_to_read_keep_the_session_where_it_is(store: FaultyStore) -> None:
    async with Process(store, versions=["0", "1"], timeout_seconds=0.1) as process:
        process.catalog.make_current("sum:0")
        session_id = await process.create(keep_inputs=True)
        process.model.go.set()
        await process.text(session_id, "wait")
        with pytest.raises(DeadlineExceeded):
            async with asyncio.timeout(5):
                await process.travel.migrate("ann", session_id, MigrateRequest(bundle="sum:1"))
        assert (await process.sessions.get("ann", session_id)).step == 1


async def test_inputs_that_are_read_again_since_others_are_first_have_one_limit(
    store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Process(store, versions=["0", "1"], timeout_seconds=10) as process:
        session_id = await kept(process)
        seconds, num_lost = [100.0], 0

        async def lose(_: Swap) -> bool:
            nonlocal num_lost
            num_lost += 1
            seconds[0] += 6
            return False

        monkeypatch.setattr(process.sessions, "write", lose)
        monkeypatch.setattr("time.perf_counter", lambda: seconds[0])
        with pytest.raises(DeadlineExceeded, match="within 10 seconds"):
            await process.travel.migrate("ann", session_id, MigrateRequest())
        assert num_lost == 2


async def test_a_version_that_is_busy_is_no_fault_of_the_inputs(store: FaultyStore) -> None:
    async with Process(store, versions=["0", "1"]) as process:
        session_id = await kept(process)
        await process.model.engine.stop()
        with pytest.raises(ShuttingDown):
            await process.travel.migrate("ann", session_id, MigrateRequest())


def refuse(_: object) -> None:
    raise NotMigratable("no such id")


async def exported(process: Process) -> tuple[str, bytes]:
    session_id = await process.create()
    await process.text(session_id, "ab+", 0)
    await process.travel.save("ann", session_id, "here")
    await process.text(session_id, "c", 2)
    return session_id, await process.travel.export("ann", session_id)


async def test_an_exported_session_goes_on_elsewhere_with_its_state_and_chance(process: Process) -> None:
    session_id, blob = await exported(process)
    async with Process(FaultyStore(), Clock()) as elsewhere:
        view = await elsewhere.travel.take_in("eve", blob)
        assert view.session_id != session_id
        assert (view.step, view.bundle, view.checkpoints) == (3, "sum:0", [])
        with pytest.raises(SessionUnknown):
            await elsewhere.text(view.session_id, "d")
    async with Process(FaultyStore(), Clock()) as elsewhere:
        view = await elsewhere.travel.take_in("ann", blob)
        repeated = await elsewhere.text(view.session_id, "c", 2)
        assert repeated.outputs == (await process.text(session_id, "c", 2)).outputs
        here, there = await process.text(session_id, "d"), await elsewhere.text(view.session_id, "d")
        assert here.outputs == there.outputs


async def test_an_export_names_no_owner(process: Process) -> None:
    _, blob = await exported(process)
    assert b"ann" not in blob


async def test_a_blob_that_was_altered_anywhere_or_signed_otherwise_opens_nothing(process: Process) -> None:
    _, blob = await exported(process)
    for position in range(0, len(blob), 7):
        altered = bytearray(blob)
        altered[position] ^= 1
        with pytest.raises((BlobTampered, Malformed)):
            await process.travel.take_in("ann", bytes(altered))
    for cut in (0, 9, len(blob) // 2, len(blob) - 1):
        with pytest.raises(Malformed):
            await process.travel.take_in("ann", blob[:cut])
    async with Process(FaultyStore(), export_key=OTHER_KEY) as elsewhere:
        with pytest.raises(BlobTampered):
            await elsewhere.travel.take_in("ann", blob)
    assert len((await process.sessions.page("ann", "", 10)).sessions) == 1


async def test_without_a_key_nothing_leaves_or_arrives(process: Process, store: FaultyStore) -> None:
    session_id, blob = await exported(process)
    async with Process(store, process.clock, export_key=b"") as keyless:
        with pytest.raises(ExportDisabled):
            await keyless.travel.export("ann", session_id)
        with pytest.raises(ExportDisabled):
            await keyless.travel.take_in("ann", blob)


async def test_a_session_of_a_version_that_is_not_served_is_not_taken_in(process: Process) -> None:
    _, blob = await exported(process)
    async with Process(FaultyStore(), versions=["1"]) as elsewhere:
        with pytest.raises(VersionUnknown):
            await elsewhere.travel.take_in("ann", blob)


async def test_what_holds_no_session_is_not_taken_in(process: Process, store: FaultyStore) -> None:
    session_id = await process.create()
    record = (await store.stored(session_id))._replace(body=b"\x09of another time")
    for payload in (b"", b"i" * 28 + b"no record", session_id.encode() + pack(record)):
        with pytest.raises(BlobTampered, match="holds no session"):
            await process.travel.take_in("ann", seal(EXPORT_KEY, payload, "sum:0"))


async def test_a_key_takes_a_blob_in_once(process: Process) -> None:
    session_id, blob = await exported(process)
    views = [await process.travel.take_in("ann", blob, "key") for _ in range(2)]
    assert views[0] == views[1]
    await process.text(session_id, "more")
    with pytest.raises(IdempotencyMismatch):
        await process.travel.take_in("ann", await process.travel.export("ann", session_id), "key")


async def test_a_longer_idle_time_than_is_allowed_here_is_cut(process: Process) -> None:
    session_id = await process.create(ttl_seconds=90)
    blob = await process.travel.export("ann", session_id)
    async with Process(FaultyStore(), max_session_ttl_seconds=20) as elsewhere:
        view = await elsewhere.travel.take_in("ann", blob)
        assert view.expires_at == "1970-01-01T00:17:00+00:00"


async def test_a_session_of_other_numerics_goes_on_only_with_consent(store: FaultyStore) -> None:
    async with Process(store, numerics=b"there...") as there:
        _, blob = await exported(there)
    async with Process(FaultyStore(), numerics=b"here....") as here:
        view = await here.travel.take_in("ann", blob)
        with pytest.raises(NumericsChanged):
            await here.text(view.session_id, "d")
        assert (await here.text(view.session_id, "d", allow_numerics_change=True)).is_numerics_changed
