"""API keys: who is let in, how a changed file takes effect, and the verbs that edit it."""

import errno
import hashlib
import logging
import os
import resource
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Never

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from service.__main__ import main
from service.keys.key_file import OWNER, KeysUnusable, add_key, check_keys, read_keys, remove_key
from service.keys.keys import Keys, open_keys
from service.process.preflight import CannotStart, check_callers, checked_settings
from service.settings import ExportSettings, KeySettings, ServerSettings
from tests.fakes.clock import Clock

HASH = hashlib.sha256(b"secret").hexdigest()
PUBLIC = "0.0.0.0"  # noqa: S104  that is what is asked for


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the keys are."""
    return tmp_path / "keys"


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock(0.0)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def owner(keys: Keys, token: str) -> str | None:
    key = keys.find(token.encode())
    return key and key.owner


def test_a_token_proves_its_owner(file: Path) -> None:
    tokens = {name: add_key(file, name) for name in ("ada", "bob@example.org")}
    keys = Keys(file)
    assert {name: owner(keys, token) for name, token in tokens.items()} == {name: name for name in tokens}


def test_an_owner_may_have_several_keys(file: Path) -> None:
    tokens = [add_key(file, "ada") for _ in range(3)]
    keys = Keys(file)
    assert [owner(keys, token) for token in tokens] == ["ada"] * 3


def test_a_token_has_256_random_bits(file: Path) -> None:
    secrets = [add_key(file, "ada").rpartition("_")[2] for _ in range(3)]
    assert [len(bytes.fromhex(secret)) for secret in secrets] == [32] * 3
    assert len(set(secrets)) == 3


def test_the_file_does_not_hold_the_secret(file: Path) -> None:
    secret = add_key(file, "ada").rpartition("_")[2]
    assert secret not in file.read_text()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token[:0],
        lambda token: token[:-1],
        lambda token: token + "0",
        lambda token: token.upper(),
        lambda token: token.removeprefix("unr_"),
        lambda token: token.replace("unr_", "key_"),
        lambda token: token.rpartition("_")[0],
        lambda token: token.rpartition("_")[0] + "_",
        lambda token: "unr__" + token.rpartition("_")[2],
        lambda token: "unr_000000000000_" + token.rpartition("_")[2],
    ],
)
def test_any_other_token_proves_nobody(file: Path, spoil: Callable[[str], str]) -> None:
    token = add_key(file, "ada")
    assert Keys(file).find(spoil(token).encode()) is None


def test_one_keys_secret_does_not_fit_anothers_id(file: Path) -> None:
    first, second = add_key(file, "ada"), add_key(file, "bob")
    assert owner(Keys(file), first.rpartition("_")[0] + "_" + second.rpartition("_")[2]) is None


def test_comments_and_empty_lines_are_passed_over(file: Path) -> None:
    file.write_text(f"# keys\n\n  ada:1f:{HASH}  # her laptop\r\n#bob:2f:{HASH}\n")
    assert list(read_keys(file)) == [b"1f"]


@pytest.mark.parametrize(
    "line",
    [
        "ada",
        f"ada:{HASH}",
        f"ada:1f:{HASH}:x",
        f"ada:1f:{HASH[:-1]}",
        f"ada:1f:{HASH.upper()}",
        f"ada:1_f:{HASH}",
        f"a da:1f:{HASH}",
        f":1f:{HASH}",
        f"{'a' * 65}:1f:{HASH}",
        "unr_1f_secret",
    ],
)
def test_a_malformed_line_is_named_by_its_number_and_not_shown(file: Path, line: str) -> None:
    file.write_text(f"# keys\nbob:2f:{HASH}\n{line}\n")
    with pytest.raises(KeysUnusable, match="line 3") as refusal:
        read_keys(file)
    assert line not in str(refusal.value)


def test_a_key_id_that_is_there_twice_is_named_with_its_line(file: Path) -> None:
    file.write_text(f"ada:1f:{HASH}\nbob:1f:{HASH}\n")
    with pytest.raises(KeysUnusable, match="line 2: key 1f is there twice"):
        read_keys(file)


@pytest.mark.parametrize("content", [b"", b"# none yet\n"])
def test_a_file_without_keys_stops_the_start(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(KeysUnusable, match="keys add"):
        check_keys(file)


def test_a_file_that_is_missing_stops_the_start(file: Path) -> None:
    with pytest.raises(KeysUnusable, match="No such file"):
        check_keys(file)


def test_a_file_that_is_no_text_stops_the_start(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(KeysUnusable, match="no text file"):
        check_keys(file)


def test_a_public_address_needs_keys_or_consent(file: Path) -> None:
    add_key(file, "ada")
    check_callers(ServerSettings(host=PUBLIC), KeySettings(api_keys=str(file)))
    check_callers(ServerSettings(host=PUBLIC, allow_unauthenticated=True), KeySettings())
    with pytest.raises(CannotStart, match="UNROLLED_API_KEYS"):
        check_callers(ServerSettings(host=PUBLIC), KeySettings())


def test_keys_that_are_configured_must_be_usable_on_any_address(file: Path) -> None:
    with pytest.raises(CannotStart, match=r"UNROLLED_API_KEYS.*No such file"):
        check_callers(ServerSettings(), KeySettings(api_keys=str(file)))


def test_without_the_setting_there_are_no_keys(file: Path) -> None:
    add_key(file, "ada")
    assert open_keys(KeySettings()) is None
    assert open_keys(KeySettings(api_keys=str(file))) is not None


def test_a_new_key_counts_within_a_second(file: Path, clock: Clock) -> None:
    add_key(file, "ada")
    keys = Keys(file, clock)
    token = add_key(file, "bob")
    clock.now = 0.99
    assert owner(keys, token) is None
    clock.now = 1.0
    assert owner(keys, token) == "bob"


def test_the_file_is_looked_at_once_a_second_at_most(file: Path, clock: Clock) -> None:
    add_key(file, "ada")
    keys = Keys(file, clock)
    clock.now = 1.0
    keys.find(b"")
    token = add_key(file, "bob")
    clock.now = 1.99
    assert owner(keys, token) is None
    clock.now = 2.0
    assert owner(keys, token) == "bob"


def test_a_removed_key_is_refused_within_a_second(file: Path, clock: Clock) -> None:
    kept, gone = add_key(file, "ada"), add_key(file, "ada")
    keys = Keys(file, clock)
    key = keys.find(gone.encode())
    assert key is not None
    remove_key(file, key.key_id)
    assert keys.holds(key)
    clock.now = 1.0
    assert not keys.holds(key)
    assert owner(keys, gone) is None
    assert owner(keys, kept) == "ada"


def test_the_last_key_can_be_removed_too(file: Path, clock: Clock) -> None:
    token = add_key(file, "ada")
    keys = Keys(file, clock)
    remove_key(file, token.split("_")[1])
    clock.now = 1.0
    assert owner(keys, token) is None


def test_a_key_whose_secret_was_replaced_is_another_key(file: Path, clock: Clock) -> None:
    file.write_text(f"ada:1f:{HASH}\n")
    keys = Keys(file, clock)
    key = keys.find(b"unr_1f_secret")
    assert key is not None
    file.write_text(f"ada:1f:{hashlib.sha256(b'other').hexdigest()}\n")
    clock.now = 1.0
    assert not keys.holds(key)


@pytest.mark.parametrize("break_it", [lambda file: file.write_text("half a li"), lambda file: file.unlink()])
def test_a_broken_file_keeps_the_old_keys_and_is_logged_once(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture, break_it: Callable[[Path], None]
) -> None:
    caplog.set_level(logging.INFO)
    token = add_key(file, "ada")
    keys = Keys(file, clock)
    break_it(file)
    for clock.now in (1.0, 2.0, 3.0):
        assert owner(keys, token) == "ada"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_mended_file_takes_effect(file: Path, clock: Clock) -> None:
    token = add_key(file, "ada")
    keys = Keys(file, clock)
    file.write_text("half a li")
    clock.now = 1.0
    keys.find(b"")
    file.unlink()
    mended = add_key(file, "bob")
    clock.now = 2.0
    assert (owner(keys, token), owner(keys, mended)) == (None, "bob")


def test_a_change_that_keeps_the_size_and_the_time_is_seen(file: Path, clock: Clock) -> None:
    file.write_text(f"ada:1f:{HASH}\n")
    before = file.stat()
    keys = Keys(file, clock)
    file.write_text(f"bob:1f:{HASH}\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    clock.now = 1.0
    assert owner(keys, "unr_1f_secret") == "bob"


def test_an_unchanged_file_is_not_read_again(file: Path, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    token = add_key(file, "ada")
    keys = Keys(file, clock)
    for clock.now in (1.0, 2.0):
        assert owner(keys, token) == "ada"
    assert caplog.records == []


def test_a_file_that_everybody_can_read_is_warned_of(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_key(file, "ada")
    Keys(file)
    assert caplog.records == []
    file.chmod(0o644)
    Keys(file)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_file_that_everybody_can_read_from_now_on_is_warned_of(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    add_key(file, "ada")
    keys = Keys(file, clock)
    file.chmod(0o644)
    clock.now = 1.0
    keys.find(b"")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_new_file_is_for_its_owner_only(file: Path) -> None:
    add_key(file, "ada")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_editing_keeps_comments_and_the_groups_permission_but_not_everybodys(file: Path) -> None:
    file.write_text(f"# ours\nada:1f:{HASH}  # laptop\nbob:2f:{HASH}\n")
    file.chmod(0o644)
    add_key(file, "eve")
    remove_key(file, "2f")
    assert file.read_text().startswith(f"# ours\nada:1f:{HASH}  # laptop\neve:")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.parametrize("content", ["", f"ada:1f:{HASH}\n", f"ada:1f:{HASH}"])
def test_a_key_gets_a_line_of_its_own(file: Path, content: str) -> None:
    file.write_text(content)
    add_key(file, "bob")
    *before, added = file.read_text().splitlines()
    assert before == content.splitlines()
    assert added.startswith("bob:")


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    add_key(target, "ada")
    file.symlink_to(target)
    add_key(file, "bob")
    assert file.is_symlink()
    assert len(read_keys(target)) == 2


def test_a_key_that_is_not_there_is_not_removed(file: Path) -> None:
    add_key(file, "ada")
    before = file.read_text()
    with pytest.raises(KeysUnusable, match="holds no key 'gone'"):
        remove_key(file, "gone")
    assert file.read_text() == before


def test_the_new_file_is_drafted_beside_the_old_one(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(file / "another disk"))
    add_key(file, "ada")
    assert [key.owner for key in read_keys(file).values()] == ["ada"]


def test_a_full_disk_leaves_the_file_as_it_was_and_nothing_beside_it(file: Path) -> None:
    add_key(file, "ada")
    before = file.read_text()
    with full_disk(), pytest.raises(KeysUnusable, match="cannot be written"):
        add_key(file, "bob")
    assert file.read_text() == before
    assert list(file.parent.iterdir()) == [file]


def test_editors_at_the_same_time_lose_nothing_and_leave_nothing_behind(file: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda number: add_key(file, f"owner-{number}"), range(24)))
    keys = Keys(file)
    assert [owner(keys, token) for token in tokens] == [f"owner-{number}" for number in range(24)]
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("edit", [lambda file: add_key(file, "ada"), lambda file: remove_key(file, "1f")])
def test_a_broken_file_is_not_edited(file: Path, edit: Callable[[Path], None]) -> None:
    file.write_text("nonsense\n")
    with pytest.raises(KeysUnusable, match="line 1"):
        edit(file)
    assert file.read_text() == "nonsense\n"


def test_a_folder_that_is_missing_is_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(KeysUnusable, match="No such file"):
        add_key(tmp_path / "nowhere" / "keys", "ada")


@given(name=st.text(max_size=70))
def test_an_owner_is_written_only_if_it_can_be_read_again(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    file = tmp_path_factory.mktemp("keys") / "keys"
    if OWNER.fullmatch(name):
        token = add_key(file, name)
        assert owner(Keys(file), token) == name
    else:
        with pytest.raises(KeysUnusable, match="an owner is"):
            add_key(file, name)
        assert not file.exists()


def test_the_command_prints_a_token_that_works(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["keys", "add", "ada", "--file", str(file)])
    assert owner(Keys(file), capsys.readouterr().out.strip()) == "ada"


def test_the_command_takes_the_file_of_the_setting(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNROLLED_API_KEYS", str(file))
    main(["keys", "add", "ada"])
    key_id = capsys.readouterr().out.split("_")[1]
    main(["keys", "list"])
    assert capsys.readouterr().out == f"{key_id}  ada\n"
    main(["keys", "remove", key_id])
    assert read_keys(file) == {}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["add", "ada"], "UNROLLED_API_KEYS"),
        (["list", "--file", "/nowhere/keys"], "No such file"),
        (["remove", "1f", "--file", "/nowhere/keys"], "No such file"),
        (["add", "a:b", "--file", "/nowhere/keys"], "an owner is"),
    ],
)
def test_the_command_says_what_it_cannot_do(arguments: list[str], reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNROLLED_API_KEYS", raising=False)
    with pytest.raises(SystemExit, match=reason):
        main(["keys", *arguments])


def test_a_short_export_key_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_EXPORT_KEY", "hunter2")
    with pytest.raises(ValidationError, match="fewer than 32 characters") as refusal:
        ExportSettings()
    assert "hunter2" not in str(refusal.value)
    with pytest.raises(CannotStart, match=r"^UNROLLED_EXPORT_KEY: fewer than 32 characters$"):
        checked_settings()


def test_an_export_key_signs_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_EXPORT_KEY", "k" * 32)
    settings = ExportSettings()
    assert settings.signing_key == b"k" * 32
    assert "kkkk" not in repr(settings)


def test_a_file_that_could_not_be_opened_is_read_again_although_it_has_not_changed(
    file: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    token = add_key(file, "ada")
    keys = Keys(file, clock)
    remove_key(file, token.split("_")[1])

    def fail(*_: object) -> Never:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", fail)
        for clock.now in (1.0, 2.0):
            assert owner(keys, token) == "ada"
    assert len(caplog.records) == 1
    clock.now = 3.0
    assert owner(keys, token) is None
