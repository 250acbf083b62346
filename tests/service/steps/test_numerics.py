"""Sessions whose state was computed by something else."""

import pytest

from service.errors import NumericsChanged
from service.forms.sessions import ForkRequest, RollbackRequest
from service.steps.turn import Ask
from tests.fakes.clock import Clock
from tests.fakes.process import Process, outputs
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio
HERE, THERE = b"numerics", b"otherwis"


async def moved(store: FaultyStore, text: str = "abc") -> str:
    """A session that has taken a step elsewhere."""
    async with Process(store, Clock(), numerics=THERE) as elsewhere:
        session_id = await elsewhere.create()
        await elsewhere.text(session_id, text)
        return session_id


async def test_a_session_does_not_go_on_under_other_numerics_unasked(store: FaultyStore) -> None:
    session_id = await moved(store)
    async with Process(store, numerics=HERE) as process:
        for inputs in ({"text": "d"}, {"ids": [1]}):
            with pytest.raises(NumericsChanged) as refused:
                await process.steps.take(Ask("ann", session_id, inputs=inputs))
            assert refused.value.members() == {"session_numerics": THERE.hex(), "served_numerics": HERE.hex()}
        assert (await process.sessions.get("ann", session_id)).step == 1


async def test_it_goes_on_when_its_client_consents_and_is_told_once(store: FaultyStore) -> None:
    session_id = await moved(store)
    async with Process(store, numerics=HERE) as process:
        first = await process.text(session_id, "d", allow_numerics_change=True)
        assert first.is_numerics_changed
        assert outputs(first)["count"] == 4
        assert not (await process.text(session_id, "e")).is_numerics_changed


async def test_it_goes_on_where_a_setting_allows_it_and_is_told(store: FaultyStore) -> None:
    session_id = await moved(store)
    async with Process(store, numerics=HERE, allow_numerics_change=True) as process:
        assert (await process.ids(session_id, 1)).is_numerics_changed
        assert not (await process.ids(session_id, 1)).is_numerics_changed


async def test_a_kept_answer_is_repeated_under_any_numerics(store: FaultyStore) -> None:
    session_id = await moved(store)
    async with Process(store, numerics=HERE) as process:
        answer = await process.text(session_id, "abc", 0)
        assert (outputs(answer)["count"], answer.is_numerics_changed) == (3, False)


async def test_an_answer_that_is_computed_again_under_other_numerics_needs_consent_and_is_told(
    store: FaultyStore,
) -> None:
    session_id = await moved(store, "long")
    async with Process(store, numerics=HERE) as process:
        with pytest.raises(NumericsChanged):
            await process.text(session_id, "long", 0)
        answer = await process.text(session_id, "long", 0, allow_numerics_change=True)
        assert (answer.step, answer.is_numerics_changed) == (1, True)


async def test_a_fresh_session_has_no_numerics_to_change(store: FaultyStore) -> None:
    async with Process(store, Clock(), numerics=THERE) as elsewhere:
        session_id = await elsewhere.create()
    async with Process(store, numerics=HERE) as process:
        assert not (await process.text(session_id, "a")).is_numerics_changed


async def test_a_return_to_a_state_is_a_return_to_its_numerics(store: FaultyStore) -> None:
    session_id = await moved(store)
    async with Process(store, numerics=HERE) as process:
        await process.transitions.save("ann", session_id, "there")
        await process.text(session_id, "d", allow_numerics_change=True)
        await process.transitions.roll_back("ann", session_id, RollbackRequest(checkpoint="there"))
        with pytest.raises(NumericsChanged):
            await process.text(session_id, "d")
        fork = await process.transfers.fork("ann", session_id, ForkRequest())
        with pytest.raises(NumericsChanged):
            await process.text(fork.session_id, "d")
