"""The command line: health, bundles, copies of the session store; tests/service/keys/ has its keys."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import lmdb
import pytest

from service.__main__ import main
from service.record.ids import new_session_id
from service.settings import SessionSettings
from service.stores.base import CHECKPOINT, Record, Swap
from service.stores.connect import open_store
from tests.paths import MODELS

RECORD = Record("s" * 22, "ada", "sentiment:1f", 3, 1000, 60, body=b"state")


async def stored(settings: SessionSettings) -> object:
    store = open_store(settings)
    (record,) = await store.load([RECORD.session_id])
    await store.close()
    return record


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SessionSettings:
    """A store of its own, named by the environment."""
    monkeypatch.setenv("UNROLLED_STORE", f"lmdb://{tmp_path / 'store'}")
    return SessionSettings()


@pytest.mark.anyio
async def test_what_was_backed_up_can_be_restored(
    settings: SessionSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(settings)
    assert await store.swap([Swap(RECORD, None)]) == [True]
    await store.close()
    main(["backup", str(tmp_path / "copy")])
    num_bytes = (tmp_path / "copy/data.mdb").stat().st_size
    assert capsys.readouterr().err == (
        f"backed up the session store in {tmp_path / 'store'} to {tmp_path / 'copy'}, {num_bytes} bytes\n"
    )
    (tmp_path / "store").rename(tmp_path / "lost")
    main(["restore", str(tmp_path / "copy")])
    assert await stored(settings) == RECORD


@pytest.mark.parametrize("words", [[], ["health"], ["backup"], ["restore"]])
def test_the_help_says_whose_settings_count(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*words, "--help"])
    assert "UNROLLED_ settings of this shell" in capsys.readouterr().out


@pytest.mark.anyio
async def test_a_restore_says_how_many_sessions_have_expired_since(
    settings: SessionSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = int(time.time())
    store = open_store(settings)
    used = [*[now - 7200] * 150, *[now] * 3]
    records = [
        RECORD._replace(session_id=new_session_id(now), used_at=used_at, ttl_seconds=3600, ended=ended)
        for used_at, ended in [*((each, "") for each in used), (now - 7200, "ended"), (now - 7200, CHECKPOINT)]
    ]
    assert all(await store.swap([Swap(record, None) for record in records]))
    await store.close()
    main(["backup", str(tmp_path / "copy")])
    (tmp_path / "store").rename(tmp_path / "lost")
    main(["restore", str(tmp_path / "copy")])
    assert "\n150 of its 153 sessions have expired by now\n" in capsys.readouterr().err


def cut_counts(environment: lmdb.Environment) -> None:
    counts = environment.open_db(b"counts")
    with environment.begin(write=True) as txn:
        for name, content in list(txn.cursor(counts)):
            txn.put(name, content[:-1], db=counts)


def lose_table(environment: lmdb.Environment) -> None:
    table = environment.open_db(b"by_expiry", dupsort=True, dupfixed=True)
    with environment.begin(write=True) as txn:
        txn.drop(table)


@pytest.mark.anyio
@pytest.mark.parametrize("damage", [cut_counts, lose_table])
async def test_a_restored_store_whose_sessions_cannot_be_counted_is_restored(
    settings: SessionSettings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[lmdb.Environment], None],
) -> None:
    store = open_store(settings)
    assert await store.swap([Swap(RECORD, None)]) == [True]
    await store.close()
    main(["backup", str(tmp_path / "copy")])
    with lmdb.open(str(tmp_path / "copy"), max_dbs=9) as environment:
        damage(environment)
    (tmp_path / "store").rename(tmp_path / "lost")
    main(["restore", str(tmp_path / "copy")])
    said = capsys.readouterr().err
    assert f"restored the session store from {tmp_path / 'copy'}" in said
    assert "\nits sessions could not be counted: " in said


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(
    ("verb", "reason"), [("backup", "there is no session store in"), ("restore", "there is no backup in")]
)
def test_what_cannot_be_copied_is_said(tmp_path: Path, verb: str, reason: str) -> None:
    with pytest.raises(SystemExit, match=f"unrolled: {reason}"):
        main([verb, str(tmp_path / "copy")])


def test_a_store_that_is_no_directory_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_STORE", "memory://")
    with pytest.raises(SystemExit, match="names no lmdb:// store"):
        main(["backup", str(tmp_path / "copy")])


def test_a_misspelt_setting_does_not_make_another_store_be_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNROLLED_STOER", "lmdb:///nowhere")
    with pytest.raises(SystemExit, match="UNROLLED_STOER"):
        main(["backup", str(tmp_path / "copy")])


@pytest.mark.parametrize(
    ("words", "variable"), [(["health"], "UNROLLED_PORT"), (["backup", "/nowhere"], "UNROLLED_MAX_SESSIONS")]
)
def test_a_bad_setting_is_told_in_one_line(words: list[str], variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "x")
    with pytest.raises(SystemExit) as end:
        main(words)
    assert str(end.value).startswith(f"unrolled: {variable}: Input should be a valid integer")
    assert "\n" not in str(end.value)


class Readiness(BaseHTTPRequestHandler):
    """Answers /readyz with a status that a test sets."""

    status = HTTPStatus.OK

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else HTTPStatus.NOT_FOUND)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def readiness(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Readiness]]:
    """A service at the configured port that says whether it is ready; at an address that means all of them."""
    with HTTPServer(("127.0.0.1", 0), Readiness) as server:
        monkeypatch.setenv("UNROLLED_HOST", "0.0.0.0")  # noqa: S104  nothing listens there
        monkeypatch.setenv("UNROLLED_PORT", str(server.server_port))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield Readiness
        server.shutdown()


def test_health_is_what_readyz_says(readiness: type[Readiness], monkeypatch: pytest.MonkeyPatch) -> None:
    main(["health"])
    monkeypatch.setattr(readiness, "status", HTTPStatus.SERVICE_UNAVAILABLE)
    with pytest.raises(SystemExit, match="unrolled: the service is not ready: /readyz answers 503"):
        main(["health"])


def test_a_service_that_is_not_there_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("UNROLLED_PORT", str(free.getsockname()[1]))
        with pytest.raises(SystemExit, match=r"unrolled: the service cannot be reached on port .* refused"):
            main(["health"])


def test_too_little_memory_is_said_before_anything_large_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.__main__.memory_limit", lambda: 100 * 2**20)
    with pytest.raises(SystemExit, match="unrolled: the memory limit of 100 MiB is too small: 1 worker processes"):
        main([])


def test_directories_that_bentoml_cannot_make_are_said_before_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.__main__.os.execv", lambda *_: pytest.fail("BentoML was loaded"))
    monkeypatch.setenv("BENTOML_HOME", "/dev/null/home")
    with pytest.raises(SystemExit, match=r"^unrolled: BENTOML_HOME: .* Not a directory"):
        main([])


def test_an_unknown_verb_does_not_serve(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["sevre"])
    assert "invalid choice" in capsys.readouterr().err


IMPORTED = """
import sys
import bentoml
from service.__main__ import main
main(["import", sys.argv[1]])
print(*[model.tag for model in bentoml.models.list()])
"""


def test_a_bundle_is_imported_from_its_directory(tmp_path: Path) -> None:
    environment = {**os.environ, "BENTOML_HOME": str(tmp_path / "home")}
    words = [sys.executable, "-c", IMPORTED, str(MODELS / "sentiment")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)  # noqa: S603  words of this test
    tag = done.stdout.strip()
    assert tag.startswith("sentiment:")
    assert done.stderr == f"{tag} is in the model store; UNROLLED_BUNDLES={tag} serves it\n"


def test_what_is_no_bundle_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "home"))
    with pytest.raises(SystemExit, match="nothing: "):
        main(["import", str(tmp_path / "nothing")])


def test_without_onnxruntime_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("service.__main__.find_spec", lambda _: None)
    with pytest.raises(SystemExit, match="onnxruntime is missing"):
        main([])
