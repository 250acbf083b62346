import gzip
import hashlib
from pathlib import Path

import pooch
import pytest

from training.data import source
from training.data.source import BrokenLineError, ChecksumError, DataError, DataSource, LocalFile, MissingFileError

CONTENT = b"one\ntwo\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNROLLED_DATA_DIR", str(tmp_path))
    (tmp_path / "wine").mkdir()
    return tmp_path


def published(address: str, sha256: str = SHA256) -> DataSource:
    return DataSource("wine", address, sha256, "public domain", "nobody")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path / "cache")
    return tmp_path / "cache"


def test_file_of_the_data_directory_is_found(data_dir: Path) -> None:
    (data_dir / "wine" / "red.csv").write_bytes(CONTENT)
    found = source.find_local(LocalFile("wine/red.csv", SHA256))
    assert found is not None
    assert source.read_text(found) == "one\ntwo\n"


def test_packed_file_is_verified_and_read_unpacked(data_dir: Path) -> None:
    (data_dir / "wine" / "red.csv.gz").write_bytes(gzip.compress(CONTENT))
    found = source.find_local(LocalFile("wine/red.csv.gz", SHA256))
    assert found is not None
    assert source.read_text(found) == "one\ntwo\n"


def test_without_a_data_directory_nothing_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNROLLED_DATA_DIR", raising=False)
    assert source.find_local(LocalFile("wine/red.csv", SHA256)) is None


def test_missing_file_is_an_error_that_names_it(data_dir: Path) -> None:
    with pytest.raises(MissingFileError, match=r"missing data file .*wine/white\.csv: UNROLLED_DATA_DIR") as error:
        source.find_local(LocalFile("wine/white.csv", SHA256))
    assert error.value.path == data_dir / "wine" / "white.csv"


def test_wrong_checksum_is_an_error_that_names_file_and_both_sums(data_dir: Path) -> None:
    (data_dir / "wine" / "red.csv").write_bytes(b"three\n")
    actual = hashlib.sha256(b"three\n").hexdigest()
    with pytest.raises(ChecksumError, match=rf"wine/red\.csv: sha256 is {actual}, expected {SHA256}"):
        source.find_local(LocalFile("wine/red.csv", SHA256))


@pytest.mark.parametrize("content", [b"no gzip at all", gzip.compress(CONTENT, mtime=0)[:-9]])
def test_file_that_does_not_unpack_has_the_wrong_checksum(data_dir: Path, content: bytes) -> None:
    (data_dir / "wine" / "red.csv.gz").write_bytes(content)
    with pytest.raises(ChecksumError, match="does not unpack"):
        source.find_local(LocalFile("wine/red.csv.gz", SHA256))


def test_file_of_unknown_checksum_is_taken_as_it_is(data_dir: Path) -> None:
    (data_dir / "wine" / "red.csv").write_bytes(b"three\n")
    assert source.find_local(LocalFile("wine/red.csv", None)) == data_dir / "wine" / "red.csv"


def test_text_that_is_no_utf8_is_an_error_that_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "red.csv").write_bytes(b"one\ntwo\nth\xffree\n")
    with pytest.raises(BrokenLineError, match=r"red\.csv, line 3: not UTF-8") as error:
        source.read_text(tmp_path / "red.csv")
    assert error.value.line == 3


def test_download_is_taken_from_the_cache_and_verified(cache: Path) -> None:
    cache.mkdir()
    (cache / f"{SHA256[:16]}-red.csv").write_bytes(CONTENT)
    assert source.read_bytes(source.download(published("https://localhost:1/wine/red.csv"))) == CONTENT


@pytest.mark.usefixtures("data_dir")
def test_a_directory_that_is_named_is_not_passed_over_for_a_download() -> None:
    with pytest.raises(MissingFileError):
        source.find(LocalFile("wine/red.csv", SHA256), published("https://localhost:1/wine/red.csv"))


def test_what_is_published_is_downloaded_and_nothing_else(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNROLLED_DATA_DIR", raising=False)
    cache.mkdir()
    (cache / f"{SHA256[:16]}-red.csv").write_bytes(CONTENT)
    file = LocalFile("wine/red.csv", SHA256)
    assert source.find(file, published("https://localhost:1/wine/red.csv")).parent == cache
    with pytest.raises(MissingFileError, match=r"wine/red\.csv: it can only be read from UNROLLED_DATA_DIR"):
        source.find(file, None)


def test_damaged_cache_is_an_error(cache: Path) -> None:
    cache.mkdir()
    (cache / f"{SHA256[:16]}-red.csv").write_bytes(b"half")
    with pytest.raises(ChecksumError, match=r"-red\.csv.*delete it, and it is downloaded again"):
        source.download(published("https://localhost:1/wine/red.csv"))


def test_what_is_downloaded_and_not_what_was_published_is_not_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [b"log in first", CONTENT]

    def retrieve(_: str, __: None, *, fname: str, path: Path, **___: object) -> None:
        path.mkdir(exist_ok=True)
        (path / fname).write_bytes(sent.pop(0))

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    red = published("https://localhost:1/wine/red.csv")
    with pytest.raises(ChecksumError, match="sent another file"):
        source.download(red)
    assert source.read_bytes(source.download(red)) == CONTENT
    assert len(list(cache.iterdir())) == 1


@pytest.mark.usefixtures("cache")
def test_failed_download_is_an_error_that_says_what_else_to_do() -> None:
    with pytest.raises(DataError, match=r"cannot download wine from http://localhost:1/red\.csv.*UNROLLED_DATA_DIR"):
        source.download(published("http://localhost:1/red.csv"))
