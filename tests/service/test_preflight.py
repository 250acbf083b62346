"""What is checked before anything starts."""

import asyncio
import re
import shutil
import socket
from collections import namedtuple
from pathlib import Path

import psutil
import pytest

from service import preflight
from service.bundle.manifest import read_bundle
from service.keys.key_file import add_key
from service.preflight import (
    CHECKS,
    CannotStart,
    check_bundles,
    check_callers,
    check_memory,
    check_ports,
    check_prepared_graphs,
    check_store,
    check_store_answers,
    checked_settings,
    mount_point,
    warn_of_little_room,
    warn_of_no_quota,
)
from service.record.ids import new_session_id
from service.settings import BundleSettings, EngineSettings, KeySettings, ServerSettings, SessionSettings, Settings
from service.stores.base import Record, Swap
from service.stores.limits import Limits
from service.stores.lmdb.store import LmdbStore
from tests.paths import MODELS
from tests.ports import free_port

BUNDLES = [read_bundle(path) for path in sorted(MODELS.iterdir())]
LIMIT_BYTES = 800 * 2**20  # enough for workers that share their weights, and for no others
PUBLIC = "0.0.0.0"  # noqa: S104  that is what is asked for
Partition = namedtuple("Partition", ["mountpoint"])
MOUNTED = [Partition("/"), Partition("/proc"), Partition("/var/lib/unrolled"), Partition("/mnt/two words")]


def settings(prepared_graphs: str, provider: str = "cpu") -> Settings:
    """One worker and a spare one, with every graph open."""
    bundles = BundleSettings.model_validate({"prepared_graphs": prepared_graphs, "provider": provider})
    return Settings(bundles=bundles, engine=EngineSettings(open_rungs="all"))


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        shutil.Error([("from", "to", "[Errno 28] No space left on device"), ("a", "b", "[Errno 28] other")]),
        shutil.Error("[Errno 28] No space left on device"),
    ],
)
def test_bundles_that_cannot_be_copied_are_told_in_one_line(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: BundleSettings) -> None:
        raise error

    monkeypatch.setattr(preflight, "configured_bundles", full)
    with pytest.raises(CannotStart, match=r"model store: \[Errno 28\] No space left on device$"):
        check_bundles(settings("none"))


def test_workers_that_share_their_weights_need_less_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "memory_limit", lambda: LIMIT_BYTES)
    directory = tmp_path / "new" / "graphs"
    for _ in range(2):  # before there is such a directory, and at the next start
        check_memory(settings(str(directory)), BUNDLES)
    assert directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("directory", ["none", "/dev/null/graphs"])
def test_workers_that_cannot_share_them_need_more(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "memory_limit", lambda: LIMIT_BYTES)
    with pytest.raises(CannotStart, match="too small"):
        check_memory(settings(directory), BUNDLES)


def test_workers_with_a_gpu_share_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "memory_limit", lambda: LIMIT_BYTES)
    with pytest.raises(CannotStart, match="too small"):
        check_memory(settings(str(tmp_path), "cuda"), BUNDLES)


def test_prepared_graphs_are_kept_in_a_directory_or_one_that_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "dangling").symlink_to("nowhere")
    for good in ("none", "", str(tmp_path), str(tmp_path / "new" / "graphs"), "/proc/graphs"):
        check_prepared_graphs(settings(good))
    for bad in ("file", "file/graphs", "dangling", "dangling/graphs"):
        with pytest.raises(CannotStart, match=f"^UNROLLED_PREPARED_GRAPHS={tmp_path / bad} cannot be a directory: "):
            check_prepared_graphs(settings(str(tmp_path / bad)))
    check_prepared_graphs(settings(str(tmp_path / "file"), "cuda"))


def test_room_is_looked_at_once_the_store_is_there_and_all_of_it_before_a_start() -> None:
    assert check_prepared_graphs in CHECKS
    assert CHECKS.index(check_store_answers) < CHECKS.index(warn_of_little_room)


def test_little_room_is_told_where_somebody_has_said_how_large_the_store_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data.mdb").write_bytes(b"")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 2**30))
    monkeypatch.setenv("UNROLLED_STORE", f"lmdb://{tmp_path}")
    warn_of_little_room(Settings())
    monkeypatch.setenv("UNROLLED_MAX_STORE_BYTES", str(2**29))
    warn_of_little_room(Settings())
    assert not caplog.records
    monkeypatch.setenv("UNROLLED_MAX_STORE_BYTES", str(2**29 + 1))
    warn_of_little_room(Settings())
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "has 1024 MiB for it" in caplog.text
    monkeypatch.setenv("UNROLLED_STORE", "memory://")
    warn_of_little_room(Settings())
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("directory", "mount"),
    [
        ("/var/lib/unrolled/sessions", "/var/lib/unrolled"),
        ("/var/lib/unrolled", "/var/lib/unrolled"),
        ("/var/lib/unrolled-2/sessions", "/"),
        ("/home/a/.local/state", "/"),
        ("/mnt/two words/sessions", "/mnt/two words"),
    ],
)
def test_a_directory_lies_on_the_nearest_mount_above_it(
    monkeypatch: pytest.MonkeyPatch, directory: str, mount: str
) -> None:
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: MOUNTED)
    assert mount_point(Path(directory)) == Path(mount)


def test_this_machine_s_own_table_of_mounts_is_read() -> None:
    assert mount_point(Path("/proc/self")) == Path("/proc")


@pytest.mark.parametrize(("max_sessions", "max_bytes", "is_told"), [(3, 3, False), (2, 3, True), (3, 2, True)])
def test_a_store_that_holds_more_than_it_may_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, max_sessions: int, max_bytes: int, is_told: bool
) -> None:
    async def fill() -> None:
        store = LmdbStore(tmp_path, Limits())
        ids = [new_session_id(1000.0 + number) for number in range(3)]
        await store.swap([Swap(Record(each, "ann", "echo:1", 0, 0, 600, "", b"x"), None) for each in ids])
        await store.close()

    asyncio.run(fill())
    sessions = SessionSettings(store=f"lmdb://{tmp_path}", max_sessions=max_sessions)
    check_store_answers(Settings(sessions=sessions.model_copy(update={"max_store_bytes": max_bytes})))
    for words in ("holds 3 sessions and 3 bytes, expired ones included", "are evicted as new ones are opened"):
        assert (words in caplog.text) is is_told


@pytest.mark.parametrize(("api_keys", "quota", "is_told"), [("keys", 0, True), ("keys", 9, False), ("", 0, False)])
def test_that_owners_may_push_out_one_another_s_sessions_is_told(
    caplog: pytest.LogCaptureFixture, api_keys: str, quota: int, is_told: bool
) -> None:
    sessions = SessionSettings(max_sessions_per_owner=quota)
    warn_of_no_quota(Settings(keys=KeySettings(api_keys=api_keys), sessions=sessions))
    assert ("UNROLLED_MAX_SESSIONS_PER_OWNER=0" in caplog.text) is is_told
    assert warn_of_no_quota in CHECKS


def test_a_public_address_needs_keys_or_consent(tmp_path: Path) -> None:
    add_key(tmp_path / "keys", "ada")
    check_callers(ServerSettings(host=PUBLIC), KeySettings(api_keys=str(tmp_path / "keys")))
    for consent in (True, "local"):
        check_callers(ServerSettings(host=PUBLIC, allow_unauthenticated=consent), KeySettings())
    with pytest.raises(CannotStart, match="UNROLLED_API_KEYS"):
        check_callers(ServerSettings(host=PUBLIC), KeySettings())


def test_keys_that_are_configured_must_be_usable_on_any_address(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"UNROLLED_API_KEYS.*No such file"):
        check_callers(ServerSettings(), KeySettings(api_keys=str(tmp_path / "keys")))


@pytest.fixture
def variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Sets variables of a service that could start."""
    monkeypatch.setenv("UNROLLED_STORE", f"lmdb://{tmp_path}/sessions")
    for port in ("UNROLLED_PORT", "UNROLLED_FAST_PORT"):
        monkeypatch.setenv(port, str(free_port()))
    return monkeypatch


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("UNROLLED_STROE", "memory://", "UNROLLED_STROE"),
        ("UNROLLED_HOST", PUBLIC, "UNROLLED_ALLOW_UNAUTHENTICATED"),
        ("UNROLLED_HOST", "127.0.0.1:3000", "is neither an IP address"),
        ("UNROLLED_PORT", "x", "valid integer"),
        ("UNROLLED_STORE", "carrier-pigeon://x", "no store of kind 'carrier-pigeon'"),
        ("UNROLLED_STORE", "redis://127.0.0.1:1", "UNROLLED_STORE: "),  # nobody listens there
        ("UNROLLED_STORE", "lmdb:///dev/null/sessions", "cannot be used: [Errno 20] Not a directory"),
        ("UNROLLED_STORE_ON_VOLUME", "1", "no volume is mounted for the session store"),
        ("UNROLLED_PROVIDER", "tpu", "Input should be 'cpu' or 'cuda'"),
        ("UNROLLED_PREPARED_GRAPHS", "/etc/passwd", "cannot be a directory"),
        ("UNROLLED_BUNDLES", "nobody latest", "is not a tag"),
        ("UNROLLED_SESSION_TTL_SECONDS", "99999999", "exceeds UNROLLED_MAX_SESSION_TTL_SECONDS"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused_in_one_line(
    tmp_path: Path, variables: pytest.MonkeyPatch, setting: str, value: str, reason: str
) -> None:
    if setting == "UNROLLED_STORE_ON_VOLUME" and mount_point(tmp_path) != Path("/"):
        pytest.skip("temporary files lie on a file system of their own here")
    variables.setenv(setting, value)
    with pytest.raises(CannotStart, match=rf"\A.*{re.escape(reason)}.*\Z"):
        start_checks()


def start_checks() -> None:
    """All that is checked, in its order."""
    settings = checked_settings()
    for check in CHECKS:
        check(settings)


def test_a_gpu_that_the_installation_cannot_use_is_refused(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("UNROLLED_PROVIDER", "cuda")
    variables.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(CannotStart, match=r"\Aprovider 'cuda' needs CUDAExecutionProvider.*\Z"):
        checked_settings()


def test_a_port_that_somebody_listens_on_is_refused(variables: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for name in ("UNROLLED_PORT", "UNROLLED_FAST_PORT"):
            with variables.context() as changed:
                changed.setenv(name, str(port))
                with pytest.raises(CannotStart, match=rf"^port {port} on 127\.0\.0\.1 cannot be used: Address already"):
                    check_ports(checked_settings())


def test_a_port_that_was_closed_a_moment_ago_is_not_refused(variables: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            server.accept()[0].close()  # first, so that the port stays with the connection for a minute
            assert client.recv(1) == b""
    variables.setenv("UNROLLED_PORT", str(port))
    check_ports(checked_settings())


def test_a_store_that_all_workers_see_is_not_refused() -> None:
    check_store(ServerSettings(workers=1), SessionSettings(store="memory://"))
    check_store(ServerSettings(workers=2), SessionSettings(store="lmdb:///sessions"))


def test_workers_that_would_not_see_one_anothers_sessions_do_not_start(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("UNROLLED_STORE", "memory://")
    variables.setenv("UNROLLED_WORKERS", "2")
    with pytest.raises(
        CannotStart, match=r"^UNROLLED_STORE=memory:// is the memory of one process, but UNROLLED_WORKERS=2"
    ):
        start_checks()
