"""The same bits, however a sequence is cut, over whichever surface and by whichever worker, alone or in company."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.record.body import decode, encode
from service.stores.base import Record, Swap
from service.stores.limits import Limits
from service.stores.lmdb.store import LmdbStore
from tests.e2e.asking import Json, ask, open_session
from tests.e2e.server import Server
from tests.e2e.silent import SilentClient
from tests.e2e.stream import StreamClient, open_stream
from tests.e2e.surfaces import (
    Ids,
    Logits,
    among_many,
    in_binary,
    over_http,
    over_stream,
    over_stream_in_binary,
    taken,
    whole,
)

pytestmark = pytest.mark.e2e
MODELS = {"sentiment": 1000, "generation": 65, "generation-mingru": 65}
OTHER_NUMERICS = b"\xab" * 8


@pytest.fixture(scope="module", autouse=True)
def _in_bad_company(silent: SilentClient) -> None:
    """Somebody who reads nothing is connected all the while."""
    assert not silent.is_dropped


@pytest.fixture(scope="module")
def stream(server: Server) -> Iterator[StreamClient]:
    with open_stream(server.stream_url) as opened:
        yield opened


@st.composite
def cut_sequences(draw: st.DrawFn) -> tuple[str, list[int], list[tuple[int, int]]]:
    """A model, a sequence for it, and where it is cut."""
    model = draw(st.sampled_from(sorted(MODELS)))
    ids = draw(st.lists(st.integers(0, MODELS[model] - 1), min_size=1, max_size=80))
    cuts = draw(st.lists(st.integers(0, len(ids)), max_size=6))
    borders = sorted({0, *cuts, len(ids)})
    return model, ids, list(pairwise(borders))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=cut_sequences(), data=st.data())
def test_any_cut_over_any_surfaces_and_workers_gives_the_bits_of_the_whole(
    cut: tuple[str, list[int], list[tuple[int, int]]],
    data: st.DataObject,
    client: httpx.Client,
    pair: list[httpx.Client],
    stream: StreamClient,
) -> None:
    model, ids, borders = cut
    company = st.lists(st.lists(st.integers(0, 64), min_size=1, max_size=40), max_size=5)
    surfaces: list[Callable[[str, Ids], Logits]] = [
        partial(over_stream, stream),
        partial(over_stream_in_binary, stream),
    ]
    for each in (client, *pair):
        surfaces += [
            partial(over_http, each),
            partial(in_binary, each, num_others=data.draw(st.integers(0, 4))),
            partial(among_many, each, company=data.draw(company)),
        ]
    steps = [(data.draw(st.sampled_from(surfaces)), ids[start:end]) for start, end in borders]
    assert taken(steps, client, model).tobytes() == whole(client, model, ids).tobytes()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("size", [1, 2, 4, 8, 16, 32, 64])
def test_one_by_one_by_rungs_and_at_once_are_the_same(pair: list[httpx.Client], model: str, size: int) -> None:
    ids = np.random.default_rng(size).integers(0, 65, 64).tolist()
    steps = [(partial(over_http, pair[n % 2]), ids[n * size :][:size]) for n in range(64 // size)]
    assert taken(steps, pair[0], model).tobytes() == whole(pair[1], model, ids).tobytes()


@pytest.mark.parametrize("model", MODELS)
def test_sixty_four_at_a_time_are_each_as_alone(client: httpx.Client, fast: httpx.Client, model: str) -> None:
    sequences = np.random.default_rng(64).integers(0, 65, (64, 21)).tolist()
    together = [open_session(client, model) for _ in sequences]
    items = [
        {"session_id": each, "inputs": {"ids": ids}, "return": "logits"}
        for each, ids in zip(together, sequences, strict=True)
    ]
    answers = ask(fast, "/steps", {"items": items})["items"]
    for answer, ids in zip(answers, sequences, strict=True):
        logits = np.array(answer["outputs"]["logits"], np.float32)
        assert logits.tobytes() == whole(client, model, ids).tobytes()


def test_what_other_numerics_computed_goes_on_with_consent_only_and_is_told(
    server: Server, client: httpx.Client, pair: list[httpx.Client], stream: StreamClient
) -> None:
    session_ids = [open_session(client, "sentiment") for _ in range(4)]
    for session_id in session_ids:
        over_http(client, session_id, [1, 2])
    asyncio.run(tamper(server, session_ids))
    path = f"/sessions/{session_ids[0]}/steps"
    body: Json = {"inputs": {"ids": [3]}, "step": 1}
    for asked in (client, *pair):
        refused = asked.post(path, json=body)
        assert (refused.status_code, refused.json()["type"]) == (412, "urn:unrolled:problem:numerics-changed")
        assert refused.json()["session_numerics"] == OTHER_NUMERICS.hex() != refused.json()["served_numerics"]
    consent = {"allow_numerics_change": True}
    for session_id, steps in zip(session_ids, surfaces_of(client, stream), strict=True):
        assert steps(session_id, {})["status"] == 412
        told = steps(session_id, consent)
        assert (told["status"], told["numerics_changed"]) == (200, True)
        after = steps(session_id, {})
        assert after["status"] == 200
        assert "numerics_changed" not in after


def surfaces_of(client: httpx.Client, stream: StreamClient) -> list[Callable[[str, Json], Json]]:
    """One step each over HTTP, many, binary and the stream; what is told of it."""
    inputs: Json = {"ids": [3]}

    def one(session_id: str, consent: Json) -> Json:
        response = client.post(f"/sessions/{session_id}/steps", json={"inputs": inputs, **consent})
        return {**response.json(), "status": response.status_code}

    def many(session_id: str, consent: Json) -> Json:
        item = {"session_id": session_id, "inputs": inputs, **consent}
        answer: Json = ask(client, "/steps", {"items": [item]})["items"][0]
        return answer

    def streamed(session_id: str, consent: Json) -> Json:
        return stream.ask(session_id, inputs, **consent)

    def binary(session_id: str, consent: Json) -> Json:
        head, _ = stream.ask_binary([{"session_id": session_id}], np.array([[3]]), **consent)
        answer: Json = head["items"][0]
        return answer

    return [one, many, streamed, binary]


async def tamper(server: Server, session_ids: list[str]) -> None:
    """Make sessions look as if a machine of other numerics had stepped them."""
    store = LmdbStore(server.home / "sessions", Limits())
    records = [record for record in await store.load(session_ids) if isinstance(record, Record)]
    altered = [
        record._replace(body=encode(decode(record.body)._replace(numerics=OTHER_NUMERICS))) for record in records
    ]
    assert await store.swap([Swap(record, record.step) for record in altered]) == [True] * len(session_ids)
    await store.close()
