"""The file of keys: what it may say, and its edits."""

import hashlib
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.keys.key_file import OWNER, KeysUnusable, add_key, check_keys, read_keys, remove_key
from service.keys.keys import Keys
from tests.full_disk import full_disk
from tests.service.keys.conftest import owner_of

HASH = hashlib.sha256(b"secret").hexdigest()


def test_a_token_has_256_random_bits(file: Path) -> None:
    secrets = [add_key(file, "ada").rpartition("_")[2] for _ in range(3)]
    assert [len(bytes.fromhex(secret)) for secret in secrets] == [32] * 3
    assert len(set(secrets)) == 3


def test_a_tokens_key_id_has_48_random_bits(file: Path) -> None:
    key_ids = [add_key(file, "ada").split("_")[1] for _ in range(3)]
    assert [len(bytes.fromhex(key_id)) for key_id in key_ids] == [6] * 3
    assert len(set(key_ids)) == 3


def test_a_random_key_id_that_is_taken_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda num_bytes: "0f" * num_bytes)
    add_key(file, "ada")
    before = file.read_text()
    with pytest.raises(KeysUnusable, match="the random key id 0f0f0f0f0f0f is already taken; try again"):
        add_key(file, "eve")
    assert file.read_text() == before


def test_the_file_does_not_hold_the_secret(file: Path) -> None:
    secret = add_key(file, "ada").rpartition("_")[2]
    assert secret not in file.read_text()


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
        f"ada:{'1' * 33}:{HASH}",
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
    with pytest.raises(KeysUnusable, match="not a text file"):
        check_keys(file)


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


def test_removing_a_key_keeps_what_only_speaks_of_it(file: Path) -> None:
    kept = f"# was ada:1f:{HASH}\nbob:2f:{HASH}  # instead of ada:1f:\n"
    file.write_text(f"{kept}ada:1f:{HASH}\n")
    remove_key(file, "1f")
    assert file.read_text() == kept


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
    assert [owner_of(keys, token) for token in tokens] == [f"owner-{number}" for number in range(24)]
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
        assert owner_of(Keys(file), token) == name
    else:
        with pytest.raises(KeysUnusable, match="an owner is"):
            add_key(file, name)
        assert not file.exists()
