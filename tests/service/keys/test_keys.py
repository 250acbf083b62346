"""API keys: who is let in, and how a changed file takes effect."""

import errno
import hashlib
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Never

import pytest

from service.concurrency.file_lock import try_to_lock
from service.keys import key_file
from service.keys.key_file import Key, KeysUnusable, add_key, copy_keys, read_copy, read_keys, remove_key
from service.keys.keys import COPY, Keys, open_keys
from service.settings import KeySettings
from tests.fakes.clock import Clock
from tests.full_disk import full_disk
from tests.service.keys.conftest import owner_of

HASH = hashlib.sha256(b"secret").hexdigest()


def test_a_token_proves_its_owner(file: Path) -> None:
    tokens = {name: add_key(file, name) for name in ("ada", "bob@example.org")}
    keys = Keys(file)
    assert {name: owner_of(keys, token) for name, token in tokens.items()} == {name: name for name in tokens}


def test_an_owner_may_have_several_keys(file: Path) -> None:
    tokens = [add_key(file, "ada") for _ in range(3)]
    keys = Keys(file)
    assert [owner_of(keys, token) for token in tokens] == ["ada"] * 3


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
    assert owner_of(Keys(file), first.rpartition("_")[0] + "_" + second.rpartition("_")[2]) is None


def test_a_digest_is_compared_in_constant_time_for_unknown_ids_too(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = add_key(file, "ada")
    keys, compared = Keys(file), list[bool]()

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one == other)
        return one == other

    monkeypatch.setattr("hmac.compare_digest", compare)
    for each in (token, token[:-1], "unr_000000000000_" + token.rpartition("_")[2]):
        keys.find(each.encode())
    assert compared == [True, False, False]


def test_without_the_setting_there_are_no_keys(file: Path) -> None:
    add_key(file, "ada")
    assert open_keys(KeySettings(), None) is None
    assert open_keys(KeySettings(api_keys=str(file)), None) is not None


def test_a_worker_that_starts_while_the_file_is_unusable_has_the_keys_of_the_others(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    settings, shared = KeySettings(api_keys=str(file)), tmp_path / "shared"
    shared.mkdir()
    token = add_key(file, "ada")
    open_keys(settings, shared)
    whole = file.read_text()
    for spoil in (lambda: file.write_text(f"{whole}half a lin"), file.unlink):
        spoil()
        with pytest.raises(KeysUnusable):
            open_keys(settings, None)
        late = open_keys(settings, shared)
        assert late is not None
        assert owner_of(late, token) == "ada"
        assert caplog.messages.pop().endswith("the API keys that were read before stay valid")
    (shared / COPY).write_text("half a lin")
    with pytest.raises(KeysUnusable, match=str(file)):
        open_keys(settings, shared)
    file.write_text(whole)
    late._next_check = 0.0  # a second later
    assert owner_of(late, token) == "ada"
    assert f"read 1 API keys from {file}" in caplog.messages


@pytest.mark.parametrize("break_it", [lambda file: file.write_text("half a li"), lambda file: file.unlink()])
def test_a_worker_that_slept_while_a_key_was_removed_does_not_know_it_when_the_file_is_unusable(
    file: Path, tmp_path: Path, clock: Clock, break_it: Callable[[Path], None]
) -> None:
    """As a spare worker does, until it takes the place of one that dies."""
    kept, gone = add_key(file, "ada"), add_key(file, "bob")
    serving, spare = (Keys(file, clock, tmp_path / "copy") for _ in range(2))
    key = spare.find(gone.encode())
    assert key is not None
    remove_key(file, key.key_id)
    clock.now = 1.0
    assert owner_of(serving, gone) is None
    break_it(file)
    clock.now = 2.0
    assert not spare.is_valid(key)
    assert [owner_of(spare, token) for token in (kept, gone)] == ["ada", None]


def change_later(file: Path, than: int) -> None:
    """Touch a file until the file system tells the time of its change from another."""
    while file.stat().st_ctime_ns == than:
        file.touch()


def remove_later(file: Path, token: str) -> None:
    before = file.stat().st_ctime_ns
    remove_key(file, token.split("_")[1])
    change_later(file, before)


def test_a_copy_that_could_be_neither_replaced_nor_removed_does_not_bring_a_removed_key_back(
    file: Path, tmp_path: Path, clock: Clock
) -> None:
    kept, gone = add_key(file, "ada"), add_key(file, "eve")
    copy = tmp_path / "copy"
    keys = Keys(file, clock, copy)
    stale = copy.read_text()
    remove_later(file, gone)
    clock.now = 1.0
    assert owner_of(keys, gone) is None
    copy.write_text(stale)
    file.write_text("half a li")
    for clock.now in (2.0, 3.0):
        assert [owner_of(keys, token) for token in (kept, gone)] == ["ada", None]


def test_a_worker_that_has_read_an_older_file_does_not_replace_the_copy_of_a_newer_one(
    file: Path, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, gone = add_key(file, "ada"), add_key(file, "eve")
    copy = tmp_path / "copy"
    serving = Keys(file, clock, copy)

    def read_slowly(path: Path) -> dict[bytes, Key]:
        monkeypatch.undo()
        old = read_keys(path)
        remove_later(file, gone)
        clock.now = 1.0
        assert owner_of(serving, gone) is None
        return old

    monkeypatch.setattr("service.keys.keys.read_keys", read_slowly)
    slow = Keys(file, clock, copy)
    file.write_text("half a li")
    clock.now = 2.0
    for keys in (serving, slow, Keys(file, clock, copy)):
        assert [owner_of(keys, token) for token in (kept, gone)] == ["ada", None]


def test_a_newer_copy_that_is_written_while_an_older_one_is_about_to_be_stays(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_key(file, "ada")
    keys, copy = read_keys(file), tmp_path / "copy"
    copy_keys(keys.values(), copy, 1)
    replace = key_file._replace
    newer = threading.Thread(target=copy_keys, args=((), copy, 3))

    def replace_late(path: Path, text: str, *, is_durable: bool = True) -> None:
        monkeypatch.undo()
        newer.start()
        newer.join(0.2)  # without a lock, it would be written now
        replace(path, text, is_durable=is_durable)

    monkeypatch.setattr(key_file, "_replace", replace_late)
    copy_keys(keys.values(), copy, 2)
    newer.join()
    assert read_copy(copy) == (3, {})


def test_a_process_that_hangs_while_it_copies_keeps_no_other_from_it(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_file, "COPYING_SECONDS", 0.05)
    add_key(file, "ada")
    copy = tmp_path / "copy"
    copying = threading.Thread(target=copy_keys, args=(read_keys(file).values(), copy, 1))
    with (tmp_path / "copy.lock").open("wb") as lock:
        assert try_to_lock(lock)
        copying.start()
        copying.join(10)
        assert not copying.is_alive()
    assert read_copy(copy) == (1, read_keys(file))


@pytest.mark.parametrize("break_it", [lambda file: file.write_text("half a li"), lambda file: file.unlink()])
def test_a_copy_that_is_written_after_the_file_was_refused_takes_effect(
    file: Path, tmp_path: Path, clock: Clock, break_it: Callable[[Path], None]
) -> None:
    kept, gone = add_key(file, "ada"), add_key(file, "eve")
    copy = tmp_path / "copy"
    serving, late = (Keys(file, clock, copy) for _ in range(2))
    before = copy.read_text()
    remove_later(file, gone)
    clock.now = 1.0
    assert owner_of(serving, gone) is None
    after = copy.read_text()
    copy.write_text(before)
    break_it(file)
    assert owner_of(late, gone) == "eve"
    copy.write_text(after)
    clock.now = 2.0
    assert [owner_of(late, token) for token in (kept, gone)] == ["ada", None]


def test_a_link_to_a_file_that_was_there_before_is_a_newer_version(file: Path, tmp_path: Path, clock: Clock) -> None:
    before = tmp_path / "before"
    kept = add_key(before, "ada")
    file.symlink_to(tmp_path / "after")
    gone = add_key(tmp_path / "after", "eve")
    change_later(tmp_path / "after", before.stat().st_ctime_ns)
    keys = Keys(file, clock, tmp_path / "copy")
    file.unlink()
    file.symlink_to(before)
    clock.now = 1.0
    assert [owner_of(keys, token) for token in (kept, gone)] == ["ada", None]
    assert read_keys(tmp_path / "copy") == read_keys(before)


@pytest.mark.parametrize("lose", [lambda copy: copy.write_text("half a li"), lambda copy: copy.unlink()])
def test_without_a_copy_a_worker_keeps_the_keys_that_it_has_read(
    file: Path, tmp_path: Path, clock: Clock, lose: Callable[[Path], None]
) -> None:
    token, copy = add_key(file, "ada"), tmp_path / "copy"
    keys = Keys(file, clock, copy)
    lose(copy)
    file.unlink()
    clock.now = 1.0
    assert owner_of(keys, token) == "ada"


def test_a_copy_that_cannot_be_written_is_not_left_as_it_was(file: Path, tmp_path: Path) -> None:
    """It may hold a key that was removed since."""
    add_key(file, "ada")
    copy = tmp_path / "copy"
    Keys(file, copy=copy)
    assert read_keys(copy) == read_keys(file)
    with full_disk():
        Keys(file, copy=copy)
    assert not copy.exists()


def test_only_the_file_itself_is_written_through_to_the_disk(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's event loop would wait for the disk."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    add_key(file, "ada")
    num_of_file = len(synced)
    assert num_of_file == 2  # the file and its folder
    Keys(file, copy=tmp_path / "copy")
    assert (tmp_path / "copy").exists()
    assert len(synced) == num_of_file


def test_a_file_that_loses_its_last_key_is_told(file: Path, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    token = add_key(file, "ada")
    keys = Keys(file, clock)
    file.write_text("")
    clock.now = 1.0
    assert owner_of(keys, token) is None
    assert f"{file} holds no API key any more, so every caller is refused" in caplog.messages


def test_a_new_key_counts_within_a_second(file: Path, clock: Clock) -> None:
    add_key(file, "ada")
    keys = Keys(file, clock)
    token = add_key(file, "bob")
    clock.now = 0.99
    assert owner_of(keys, token) is None
    clock.now = 1.0
    assert owner_of(keys, token) == "bob"


def test_the_file_is_looked_at_once_a_second_at_most(file: Path, clock: Clock) -> None:
    add_key(file, "ada")
    keys = Keys(file, clock)
    clock.now = 1.0
    keys.find(b"")
    token = add_key(file, "bob")
    clock.now = 1.99
    assert owner_of(keys, token) is None
    clock.now = 2.0
    assert owner_of(keys, token) == "bob"


def test_a_removed_key_is_refused_within_a_second(file: Path, clock: Clock) -> None:
    kept, gone = add_key(file, "ada"), add_key(file, "ada")
    keys = Keys(file, clock)
    key = keys.find(gone.encode())
    assert key is not None
    remove_key(file, key.key_id)
    assert keys.is_valid(key)
    clock.now = 1.0
    assert not keys.is_valid(key)
    assert owner_of(keys, gone) is None
    assert owner_of(keys, kept) == "ada"


def test_the_last_key_can_be_removed_too(file: Path, clock: Clock) -> None:
    token = add_key(file, "ada")
    keys = Keys(file, clock)
    remove_key(file, token.split("_")[1])
    clock.now = 1.0
    assert owner_of(keys, token) is None


def test_a_key_whose_secret_was_replaced_is_another_key(file: Path, clock: Clock) -> None:
    file.write_text(f"ada:1f:{HASH}\n")
    keys = Keys(file, clock)
    key = keys.find(b"unr_1f_secret")
    assert key is not None
    file.write_text(f"ada:1f:{hashlib.sha256(b'other').hexdigest()}\n")
    clock.now = 1.0
    assert not keys.is_valid(key)


@pytest.mark.parametrize("break_it", [lambda file: file.write_text("half a li"), lambda file: file.unlink()])
def test_a_broken_file_keeps_the_old_keys_and_is_logged_once(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture, break_it: Callable[[Path], None]
) -> None:
    caplog.set_level(logging.INFO)
    token = add_key(file, "ada")
    keys = Keys(file, clock)
    break_it(file)
    for clock.now in (1.0, 2.0, 3.0):
        assert owner_of(keys, token) == "ada"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize("how_often", [1, 2])
def test_a_file_that_is_lost_again_is_told_again(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture, how_often: int
) -> None:
    add_key(file, "ada")
    keys, lines = Keys(file, clock), file.read_text()
    for _ in range(how_often):
        file.unlink()
        clock.now += 1.0
        keys.find(b"")
        file.write_text(lines)
        clock.now += 1.0
        keys.find(b"")
    assert [record.levelno for record in caplog.records].count(logging.ERROR) == how_often


def test_a_file_that_is_broken_in_another_way_is_told_again(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    add_key(file, "ada")
    keys = Keys(file, clock)
    for clock.now, content in ((1.0, "half a li"), (2.0, f"ada:1f:{HASH}\nhalf a line")):
        file.write_text(content)
        keys.find(b"")
    assert [message.split(":")[0] for message in caplog.messages] == [f"{file}, line 1", f"{file}, line 2"]


def test_a_mended_file_takes_effect(file: Path, clock: Clock) -> None:
    token = add_key(file, "ada")
    keys = Keys(file, clock)
    file.write_text("half a li")
    clock.now = 1.0
    keys.find(b"")
    file.unlink()
    mended = add_key(file, "bob")
    clock.now = 2.0
    assert (owner_of(keys, token), owner_of(keys, mended)) == (None, "bob")


def test_a_change_that_keeps_the_size_and_the_time_is_seen(file: Path, clock: Clock) -> None:
    file.write_text(f"ada:1f:{HASH}\n")
    before = file.stat()
    keys = Keys(file, clock)
    file.write_text(f"bob:1f:{HASH}\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    clock.now = 1.0
    assert owner_of(keys, "unr_1f_secret") == "bob"


def test_an_unchanged_file_is_not_read_again(file: Path, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    token = add_key(file, "ada")
    keys = Keys(file, clock)
    for clock.now in (1.0, 2.0):
        assert owner_of(keys, token) == "ada"
    assert caplog.records == []


def test_a_file_that_everybody_can_read_is_warned_of(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_key(file, "ada")
    for mode in (0o600, 0o640):
        file.chmod(mode)
        Keys(file)
    assert caplog.records == []
    file.chmod(0o604)
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
            assert owner_of(keys, token) == "ada"
    assert len(caplog.records) == 1
    clock.now = 3.0
    assert owner_of(keys, token) is None
