"""The first promise on the shipped model: whatever the cut and the company, the same bits."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.catalog import Catalog
from service.core import Core
from service.engine.engine import Engine
from service.engine.runtime import Runtime
from service.engine.state import Array, RowLayout
from service.forms.sessions import SessionRequest
from service.metrics import Metrics
from service.process.wall_clock import WallClock
from service.record.body import encode
from service.settings import Settings
from service.steps.cohorts import MIN_COHORT_TURNS
from service.steps.turn import Ask
from service.stores.base import Record, Swap, SwapGroup
from service.stores.limits import Limits
from service.stores.measured import MeasuredStore
from service.stores.memory import MemoryStore
from service.tasks.generation import GenerationModel
from tests.fakes.clock import Clock

pytestmark = pytest.mark.anyio
NUM_IDS = 65
SEQUENCES = st.lists(st.integers(0, NUM_IDS - 1), min_size=1, max_size=70)
CUTS = st.lists(st.integers(1, 40), max_size=6)
PROPERTY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Service:
    """Steps of sessions on one real bundle."""

    def __init__(self, runtime: Runtime, max_batch_rows: int, max_cached_sessions: int = 0) -> None:
        metrics, limits = Metrics(), Settings()
        self.store = MemoryStore(Limits())
        self.catalog = Catalog(limits.bundles, limits.engine, metrics)
        tag = runtime.bundle.tag
        self.catalog.add(GenerationModel(runtime.bundle, Engine(runtime, metrics.observer(tag), max_batch_rows)))
        self.catalog.make_current(tag)
        spawn, clock = Coroutine.close, Clock()  # nothing expires
        wall_clock = WallClock(clock, clock)
        core = Core(
            MeasuredStore(self.store, metrics), self.catalog, limits, metrics, spawn, max_cached_sessions, wall_clock
        )
        self.steps, self.sessions, self.openings = core.steps, core.sessions, core.openings

    async def create(self) -> str:
        view = await self.openings.create("ann", SessionRequest(model="generation"))
        return view.session_id

    async def logits(self, session_id: str, ids: Sequence[int], returns: str = "logits") -> Array:
        answer = await self.steps.take(Ask("ann", session_id, values=np.array(ids), returns=returns))
        assert answer.values is not None
        return answer.values

    async def pieces(self, pieces: Sequence[Sequence[int]]) -> Array:
        """The logits of a fresh session that reads these pieces."""
        session_id = await self.create()
        return np.concatenate([await self.logits(session_id, piece) for piece in pieces])


@asynccontextmanager
async def serving(runtime: Runtime, max_batch_rows: int = 8, max_cached_sessions: int = 0) -> AsyncIterator[Service]:
    service = Service(runtime, max_batch_rows, max_cached_sessions)
    service.catalog.start()
    try:
        yield service
    finally:
        await service.catalog.stop()


def alone(runtime: Runtime, ids: Sequence[int]) -> Array:
    """The logits of a sequence, item by item on the one-step graph, without engine or service."""
    manifest = runtime.bundle.manifest
    layout = RowLayout(manifest.state)
    row, out = layout.initial, []
    stage = manifest.stage("encode")
    characters = list(manifest.task.characters)  # type: ignore[union-attr]
    for item in [*(characters.index(character) for character in manifest.task.start), *ids]:  # type: ignore[union-attr]
        batch = layout.batch([row])
        names = ["logits", *(f"{name}_next" for name in stage.writes)]
        logits, *states = runtime.run("encode", 1, {"x": np.array([[item]]), **batch.tensors(stage.reads)}, names)
        (row,) = batch.replaced(dict(zip(stage.writes, states, strict=True)))
        out.append(logits[0, 0])
    return np.array(out[len(manifest.task.start) :])  # type: ignore[union-attr]


def cut(ids: Sequence[int], cuts: Sequence[int]) -> list[Sequence[int]]:
    borders = sorted({0, len(ids), *(border for border in itertools.accumulate(cuts) if border < len(ids))})
    return [ids[a:b] for a, b in itertools.pairwise(borders)]


def bits(values: Array) -> bytes:
    assert values.dtype == np.float32
    return np.ascontiguousarray(values).tobytes()


@given(ids=SEQUENCES, cuts=CUTS)
@PROPERTY
async def test_any_cut_of_a_sequence_gives_the_bits_of_single_steps(
    generation: Runtime, ids: list[int], cuts: list[int]
) -> None:
    async with serving(generation) as service:
        assert bits(await service.pieces(cut(ids, cuts))) == bits(alone(generation, ids))


@given(work=st.lists(st.tuples(SEQUENCES, CUTS), min_size=2, max_size=20), max_batch_rows=st.sampled_from([3, 16, 64]))
@settings(PROPERTY, max_examples=30)
async def test_any_company_leaves_a_sequence_its_bits(
    generation: Runtime, work: list[tuple[list[int], list[int]]], max_batch_rows: int
) -> None:
    async with serving(generation, max_batch_rows) as service:
        together = await asyncio.gather(*(service.pieces(cut(ids, cuts)) for ids, cuts in work))
    for (ids, _), logits in zip(work, together, strict=True):
        assert bits(logits) == bits(alone(generation, ids))


@given(ids=SEQUENCES)
@settings(PROPERTY, max_examples=5)
async def test_an_argmax_is_that_of_the_logits(generation: Runtime, ids: list[int]) -> None:
    async with serving(generation) as service:
        argmax = await service.logits(await service.create(), ids, "argmax")
    np.testing.assert_array_equal(argmax, alone(generation, ids).argmax(axis=-1))


async def test_many_single_steps_of_many_sessions_have_the_bits_of_each_alone(generation: Runtime) -> None:
    sequences = [[(7 * n + 3 * t) % NUM_IDS for t in range(4)] for n in range(50)]
    async with serving(generation, max_batch_rows=64) as service:
        ids = [await service.create() for _ in sequences]
        steps = []
        for t in range(4):
            asked = (service.logits(each, sequence[t : t + 1]) for each, sequence in zip(ids, sequences, strict=True))
            steps.append(await asyncio.gather(*asked))
    for n in (0, 1, 17, 49):
        assert bits(np.concatenate([step[n] for step in steps])) == bits(alone(generation, sequences[n]))


NUM_SESSIONS = 20
ROUNDS = st.lists(
    st.tuples(st.sets(st.integers(0, NUM_SESSIONS - 1), min_size=MIN_COHORT_TURNS), st.sampled_from([1, 1, 3, 8, 45])),
    min_size=2,
    max_size=5,
)


@given(rounds=ROUNDS, max_batch_rows=st.sampled_from([10, 16, 64]), seed=st.integers(0, 2**32 - 1))
@settings(PROPERTY, max_examples=10)
async def test_sessions_that_step_together_leave_the_answers_and_the_records_of_those_that_step_alone(
    generation: Runtime, rounds: list[tuple[set[int], int]], max_batch_rows: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    everybody = set(range(NUM_SESSIONS))
    async with serving(generation, max_batch_rows, NUM_SESSIONS) as service, serving(generation, 1) as apart:
        with counted_groups(service) as num_grouped:
            ids = [await service.create() for _ in everybody]
            records = [record for record in await service.store.load(ids) if isinstance(record, Record)]
            assert await apart.store.swap([Swap(record, None) for record in records]) == [True] * NUM_SESSIONS
            for members, num_items in [(everybody, 2), *rounds, (everybody, 1)]:
                work = [(ids[n], random.integers(0, NUM_IDS, num_items)) for n in sorted(members)]
                together = await asyncio.gather(*(service.logits(*each, "argmax") for each in work))
                alone = [await apart.logits(*each, "argmax") for each in work]
                np.testing.assert_array_equal(together, alone)
                assert await service.store.load(ids) == await apart.store.load(ids)
        assert sum(num_grouped) >= NUM_SESSIONS


@contextmanager
def counted_groups(service: Service) -> Iterator[list[int]]:
    """How many sessions each group of records has had."""
    counts: list[int] = []
    advance = service.store.advance

    async def counted(groups: Sequence[SwapGroup]) -> list[list[bool]]:
        counts.extend(len(group.steps) for group in groups)
        return await advance(groups)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.store, "advance", counted)
        yield counts


async def test_a_session_full_of_nan_changes_no_bit_of_its_neighbours(generation: Runtime) -> None:
    sequence = list(range(40))
    async with serving(generation) as service:
        poisoned, *sound = [await service.create() for _ in range(5)]
        loaded = await service.sessions.load("ann", poisoned)
        nan = np.full(len(loaded.body.state.row) // 4, np.nan, np.float32).tobytes()
        await overwrite(service, poisoned, nan)
        logits = await asyncio.gather(*(service.logits(session_id, sequence) for session_id in (poisoned, *sound)))
    assert np.isnan(logits[0]).all()
    expected = bits(alone(generation, sequence))
    assert [bits(each) for each in logits[1:]] == [expected] * 4


async def overwrite(service: Service, session_id: str, row: bytes) -> None:
    """Put a row into a session's record, past every rule."""
    loaded = await service.sessions.load("ann", session_id)
    body = loaded.body._replace(state=loaded.body.state._replace(rows=(row,)))
    record = loaded.record._replace(step=1, body=encode(body))
    assert await service.store.swap([Swap(record, 0)]) == [True]
