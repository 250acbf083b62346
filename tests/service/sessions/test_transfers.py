"""Sessions that begin with the state of another, here or on another deployment."""

import pytest

from service.errors import (
    BlobTampered,
    ExportDisabled,
    IdempotencyMismatch,
    InvalidInput,
    Malformed,
    NumericsChanged,
    SessionGone,
    SessionUnknown,
    StepConflict,
    VersionUnknown,
)
from service.forms.sessions import ForkRequest
from service.record.blob import seal
from service.stores.packing import pack
from tests.fakes.clock import Clock
from tests.fakes.process import EXPORT_KEY, Process, outputs
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio
OTHER_KEY = b"o" * 32


async def stepped(process: Process, *texts: str) -> str:
    session_id = await process.create()
    for text in texts:
        await process.text(session_id, text)
    return session_id


async def test_a_fork_goes_on_from_the_others_state_and_leaves_it_alone(process: Process) -> None:
    session_id = await stepped(process, "ab", "c+")
    fork = await process.transfers.fork("ann", session_id, ForkRequest())
    assert fork.session_id != session_id
    assert fork.step == 2
    assert outputs(await process.text(fork.session_id, "d", 2))["count"] == 5
    assert await process.count(session_id) == 3


async def test_chance_differs_from_the_fork_on(process: Process) -> None:
    session_id = await stepped(process, "ab")
    forks = [(await process.transfers.fork("ann", session_id, ForkRequest())).session_id for _ in range(2)]
    seeds = {outputs(await process.text(each, "d", 1))["seed"] for each in (session_id, *forks)}
    assert len(seeds) == 3


async def test_the_last_step_can_be_repeated_on_a_fork(process: Process) -> None:
    session_id = await process.create()
    answer = await process.text(session_id, "ab", 0)
    fork = await process.transfers.fork("ann", session_id, ForkRequest())
    repeated = await process.text(fork.session_id, "ab", 0)
    assert (repeated.session_id, repeated.outputs) == (fork.session_id, answer.outputs)


async def test_the_last_step_cannot_be_repeated_on_a_fork_where_its_answer_was_too_long_to_keep(
    process: Process,
) -> None:
    session_id = await process.create()
    answer = await process.text(session_id, "long", 0)
    assert (await process.text(session_id, "long", 0)).outputs == answer.outputs
    fork = await process.transfers.fork("ann", session_id, ForkRequest())
    with pytest.raises(StepConflict):
        await process.text(fork.session_id, "long", 0)
    assert outputs(await process.text(fork.session_id, "a", 1))["count"] == 5


async def test_a_fork_is_refused_where_its_step_is_not_the_next_or_it_is_not_yours(process: Process) -> None:
    session_id = await stepped(process, "ab")
    with pytest.raises(StepConflict) as refused:
        await process.transfers.fork("ann", session_id, ForkRequest(step=0))
    assert refused.value.expected_step == 1
    with pytest.raises(SessionUnknown):
        await process.transfers.fork("eve", session_id, ForkRequest())
    with pytest.raises(InvalidInput):
        await process.transfers.fork("ann", session_id, ForkRequest(ttl_seconds=101))
    assert (await process.transfers.fork("ann", session_id, ForkRequest(step=1, ttl_seconds=7))).step == 1


async def test_a_repeated_fork_finds_the_first_whatever_became_of_the_other(process: Process) -> None:
    session_id = await stepped(process, "ab")
    request = ForkRequest(step=1)
    first = await process.transfers.fork("ann", session_id, request, "key")
    await process.text(session_id, "c")
    assert await process.transfers.fork("ann", session_id, request, "key") == first
    await process.sessions.end("ann", session_id)
    assert await process.transfers.fork("ann", session_id, request, "key") == first
    with pytest.raises(IdempotencyMismatch):
        await process.transfers.fork("ann", session_id, ForkRequest(), "key")


async def test_a_fork_may_start_from_a_checkpoint(process: Process) -> None:
    session_id = await stepped(process, "ab")
    await process.transitions.save("ann", session_id, "here")
    await process.text(session_id, "cde")
    fork = await process.transfers.fork("ann", session_id, ForkRequest(checkpoint="here"))
    assert (fork.step, fork.checkpoints) == (3, [])
    assert outputs(await process.text(fork.session_id, "z"))["count"] == 3


async def test_a_fork_from_a_checkpoint_has_no_last_answer_to_repeat(process: Process) -> None:
    session_id = await stepped(process, "ab")
    await process.transitions.save("ann", session_id, "here")
    fork = await process.transfers.fork("ann", session_id, ForkRequest(checkpoint="here"))
    with pytest.raises(StepConflict):
        await process.text(fork.session_id, "ab", 1)


async def test_a_fork_is_as_old_as_itself_and_may_be_idle_as_long_as_is_allowed_now(store: FaultyStore) -> None:
    clock, lifetime = Clock(), {"max_session_lifetime_seconds": 50}
    async with (
        Process(store, clock, **lifetime) as process,
        Process(store, clock, max_session_ttl_seconds=20, **lifetime) as stricter,
    ):
        session_id = await process.create(ttl_seconds=100)
        await process.text(session_id, "a")
        clock.now += 45
        fork = await stricter.transfers.fork("ann", session_id, ForkRequest())
        assert (await store.stored(fork.session_id)).ttl_seconds == 20
        clock.now += 10
        assert outputs(await stricter.text(fork.session_id, "b"))["count"] == 2
        with pytest.raises(SessionGone):
            await process.text(session_id, "b")


async def test_a_fork_has_none_of_the_others_checkpoints(process: Process) -> None:
    session_id = await stepped(process, "ab")
    await process.transitions.save("ann", session_id, "here")
    assert (await process.transfers.fork("ann", session_id, ForkRequest())).checkpoints == []


async def test_a_fork_may_be_idle_as_long_as_the_other(process: Process) -> None:
    session_id = await process.create(ttl_seconds=20)
    fork = await process.transfers.fork("ann", session_id, ForkRequest())
    assert (await process.sessions.load("ann", fork.session_id)).idle_seconds == 20


async def exported(process: Process) -> tuple[str, bytes]:
    session_id = await process.create()
    await process.text(session_id, "ab+", 0)
    await process.transitions.save("ann", session_id, "here")
    await process.text(session_id, "c", 2)
    return session_id, await process.transfers.export("ann", session_id)


async def test_an_exported_session_goes_on_elsewhere_with_its_state_and_chance(process: Process) -> None:
    session_id, blob = await exported(process)
    async with Process(FaultyStore(), Clock()) as elsewhere:
        view = await elsewhere.transfers.import_session("eve", blob)
        assert view.session_id != session_id
        assert (view.step, view.bundle, view.checkpoints) == (3, "sum:0", [])
        with pytest.raises(SessionUnknown):
            await elsewhere.text(view.session_id, "d")
    async with Process(FaultyStore(), Clock()) as elsewhere:
        view = await elsewhere.transfers.import_session("ann", blob)
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
            await process.transfers.import_session("ann", bytes(altered))
    for cut in (0, 9, len(blob) // 2, len(blob) - 1):
        with pytest.raises(Malformed):
            await process.transfers.import_session("ann", blob[:cut])
    async with Process(FaultyStore(), export_key=OTHER_KEY) as elsewhere:
        with pytest.raises(BlobTampered):
            await elsewhere.transfers.import_session("ann", blob)
    assert len((await process.sessions.page("ann", "", 10)).sessions) == 1


async def test_what_a_former_key_has_signed_arrives(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    _, blob = await exported(process)
    monkeypatch.setenv("UNROLLED_FORMER_EXPORT_KEYS", EXPORT_KEY.decode())
    async with Process(FaultyStore(), export_key=OTHER_KEY) as renewed:
        assert (await renewed.transfers.import_session("ann", blob)).step > 0


async def test_without_a_key_nothing_leaves_or_arrives(process: Process, store: FaultyStore) -> None:
    session_id, blob = await exported(process)
    async with Process(store, process.clock, export_key=b"") as keyless:
        with pytest.raises(ExportDisabled):
            await keyless.transfers.export("ann", session_id)
        with pytest.raises(ExportDisabled):
            await keyless.transfers.import_session("ann", blob)


async def test_a_session_of_a_version_that_is_not_served_is_not_taken_in(process: Process) -> None:
    _, blob = await exported(process)
    async with Process(FaultyStore(), versions=["1"]) as elsewhere:
        with pytest.raises(VersionUnknown) as refused:
            await elsewhere.transfers.import_session("ann", blob)
    step = refused.value.members()["expected_step"]
    assert str(refused.value) == (
        f"bundle sum:0 is not served; of sum there are ['sum:1']. The session is on it and lost nothing: step {step} "
        "is next once the operator has put it back into the model store"
    )


async def test_what_holds_no_session_is_not_taken_in(process: Process, store: FaultyStore) -> None:
    session_id = await process.create()
    record = (await store.stored(session_id))._replace(body=b"\x09of another time")
    for payload in (b"", b"i" * 28 + b"no record", session_id.encode() + pack(record)):
        with pytest.raises(BlobTampered, match="holds no session"):
            await process.transfers.import_session("ann", seal(EXPORT_KEY, payload, "sum:0"))


async def test_a_key_takes_a_blob_in_once(process: Process) -> None:
    session_id, blob = await exported(process)
    views = [await process.transfers.import_session("ann", blob, "key") for _ in range(2)]
    assert views[0] == views[1]
    await process.text(session_id, "more")
    with pytest.raises(IdempotencyMismatch):
        await process.transfers.import_session("ann", await process.transfers.export("ann", session_id), "key")


async def test_a_longer_idle_time_than_is_allowed_here_is_cut(process: Process) -> None:
    session_id = await process.create(ttl_seconds=90)
    blob = await process.transfers.export("ann", session_id)
    async with Process(FaultyStore(), max_session_ttl_seconds=20) as elsewhere:
        view = await elsewhere.transfers.import_session("ann", blob)
        assert view.expires_at == "1970-01-01T00:17:00+00:00"


async def test_a_shorter_idle_time_than_is_allowed_here_is_kept(process: Process) -> None:
    session_id = await process.create(ttl_seconds=20)
    blob = await process.transfers.export("ann", session_id)
    taken_in = await process.transfers.import_session("ann", blob)
    assert (await process.sessions.load("ann", taken_in.session_id)).idle_seconds == 20


async def test_a_session_that_is_taken_in_is_as_old_as_its_arrival(process: Process) -> None:
    _, blob = await exported(process)
    process.clock.now += 5
    taken_in = await process.transfers.import_session("ann", blob)
    assert (await process.sessions.load("ann", taken_in.session_id)).body.created_at == int(process.clock())


async def test_a_session_of_other_numerics_goes_on_only_with_consent(store: FaultyStore) -> None:
    async with Process(store, numerics=b"there...") as there:
        _, blob = await exported(there)
    async with Process(FaultyStore(), numerics=b"here....") as here:
        view = await here.transfers.import_session("ann", blob)
        with pytest.raises(NumericsChanged):
            await here.text(view.session_id, "d")
        assert (await here.text(view.session_id, "d", allow_numerics_change=True)).is_numerics_changed
