"""One machine takes over from another on the same Redis, as in a rolling update: sessions go on, bit for bit."""

import os
import signal

import numpy as np
import pytest

from tests.e2e.asking import http_client, open_session
from tests.e2e.server import STOP_SECONDS, Server, is_ready, until
from tests.e2e.surfaces import over_http, whole
from tests.service.stores.redis_server import NEEDS_REDIS, RedisServer

pytestmark = [pytest.mark.e2e, NEEDS_REDIS]
NUM_SESSIONS = 4
DRAIN_SECONDS = 6


def test_sessions_go_on_where_a_machine_that_drains_has_left_them(
    redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = {"UNROLLED_STORE": redis.url, "UNROLLED_DRAIN_SECONDS": str(DRAIN_SECONDS)}
    ids = np.random.default_rng(8).integers(0, 65, 30).tolist()
    with Server(tmp_path_factory.mktemp("old"), settings=settings) as old:
        with http_client(old.fast_url) as client:
            sessions = [open_session(client, "generation") for _ in range(NUM_SESSIONS)]
            first = [over_http(client, each, ids[:10], step=0).tobytes() for each in sessions]
        with (
            Server(tmp_path_factory.mktemp("new"), settings=settings) as new,
            http_client(new.fast_url) as client,
            http_client(old.fast_url) as leaving,
        ):
            over_http(leaving, sessions[0], ids[10:20], step=1)
            os.killpg(old.process.pid, signal.SIGTERM)
            until(lambda: not is_ready(old.fast_port), DRAIN_SECONDS, "the old one says that it is not ready")
            over_http(leaving, sessions[1], ids[10:20], step=1)
            over_http(client, sessions[2], ids[10:20], step=1)
            assert old.process.wait(timeout=STOP_SECONDS) == 0
            expected = whole(client, "generation", ids)
            assert first == [expected[:10].tobytes()] * NUM_SESSIONS
            for each in sessions:
                # The first three took this step on either machine: it is answered again, and not taken twice.
                assert over_http(client, each, ids[10:20], step=1).tobytes() == expected[10:20].tobytes()
                assert over_http(client, each, ids[20:], step=2).tobytes() == expected[20:].tobytes()
