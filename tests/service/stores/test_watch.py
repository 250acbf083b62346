"""What an operator is told of a store while it serves."""

import pytest

from service.metrics import Metrics
from service.stores.base import Inspection, Unavailable
from service.stores.watch import StoreWatch
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio


class TellingStore(FaultyStore):
    """Tells what a test has it tell."""

    def __init__(self) -> None:
        super().__init__()
        self.inspection = Inspection()

    async def inspect(self) -> Inspection:
        self._check()
        return self.inspection


async def test_a_weakness_is_told_when_it_begins_and_a_loss_each_time(caplog: pytest.LogCaptureFixture) -> None:
    store, metrics = TellingStore(), Metrics()
    watch = StoreWatch(store, metrics)
    await watch.check()
    store.inspection = Inspection(["it may lose"])
    await watch.check_quietly()
    await watch.check_quietly()
    store.inspection = Inspection(["it may lose"], ["it has lost"], 7)
    await watch.check_quietly()
    await watch.check_quietly()
    assert caplog.messages == ["the session store: it may lose", *["the session store: it has lost"] * 2]
    assert metrics.registry.get_sample_value("rnn_store_evicted_keys") == 7


async def test_a_weakness_that_was_mended_and_comes_back_is_told_again(caplog: pytest.LogCaptureFixture) -> None:
    store = TellingStore()
    watch = StoreWatch(store, Metrics())
    for weaknesses in (["it may lose"], [], ["it may lose"]):
        store.inspection = Inspection(weaknesses)
        await watch.check_quietly()
    assert len(caplog.messages) == 2


async def test_a_store_that_is_down_is_looked_at_again(caplog: pytest.LogCaptureFixture) -> None:
    store = TellingStore()
    watch = StoreWatch(store, Metrics())
    store.is_down = True
    await watch.check_quietly()
    with pytest.raises(Unavailable):
        await watch.check()
    store.is_down, store.inspection = False, Inspection(["it may lose"])
    await watch.check_quietly()
    assert caplog.messages == ["the session store: it may lose"]
