"""Sources of data: a public address that is downloaded once, or a directory that already holds the files.

`UNROLLED_DATA_DIR` names such a directory. Without it, files are downloaded into the user's cache. Either way, the
sha256 is checked before anything is read. Each data set has its own module beside this one, which knows none of them.

    DataError                   anything wrong with data
    ├── MissingFileError        a file that is not where it should be
    ├── ChecksumError           a file that is not the one published
    └── BrokenLineError         a line that cannot be read, with file and number
"""

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import pooch  # type: ignore[import-untyped]

OWN = "file:"  # prefix of the address of a user's own file


class DataError(Exception):
    """Something is wrong with a data set."""


class MissingFileError(DataError):
    """A data file is not where it should be."""

    def __init__(self, path: Path, advice: str = "") -> None:
        super().__init__(f"missing data file {path}" + (f": {advice}" if advice else ""))
        self.path = path


class ChecksumError(DataError):
    """A data file is not the published one, or not the one that was trained on before."""

    def __init__(self, path: Path, expected: str, actual: str, advice: str = "") -> None:
        message = f"wrong checksum of {path}: sha256 is {actual}, expected {expected}"
        super().__init__(message + (f": {advice}" if advice else ""))
        self.path = path


class BrokenLineError(DataError):
    """A line of a data file cannot be read. Lines count from 1."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__(f"{path}, line {line}: {reason}")
        self.path = path
        self.line = line


@dataclass(frozen=True)
class DataSource:
    """A published data set: its address, checksum and terms of use.

    Args:
        name: Usual name.
        address: Public address of one file.
        sha256: Checksum of that file, unpacked.
        licence: Licence, or what the distributor says instead.
        citation: What to cite.
    """

    name: str
    address: str
    sha256: str
    licence: str
    citation: str = ""

    @property
    def is_own(self) -> bool:
        """Whether it is a user's own file, not published."""
        return is_own(self.address)


def is_own(address: str) -> bool:
    """Whether `address` is that of a user's own file."""
    return address.startswith(OWN)


def check_unchanged(path: Path, sha256: str) -> None:
    """Check that a user's own file, if it is there, is the one that was trained on before.

    Raises:
        ChecksumError: It has changed.
    """
    if path.is_file() and (found := sha256_of(path)) != sha256:
        advice = "it has changed since training: restore the original file, or train again"
        raise ChecksumError(path, sha256, found, advice)


def sha256_of(path: Path) -> str:
    """Return the checksum of a file as it is, compressed or not."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def own_source(path: str, sha256: str) -> DataSource:
    """Return the source of a user's own file: its name, without its directory."""
    name = Path(path).name
    return DataSource(name, f"{OWN}{name}", sha256, licence="that of its owner", citation="")


@dataclass(frozen=True)
class LocalFile:
    """A file in UNROLLED_DATA_DIR.

    Args:
        path: Path below that directory, for instance "forecasting/ETTh1.csv.gz".
        sha256: Checksum of the unpacked file, since gzip's output differs between tools. None if unknown beforehand.
    """

    path: str
    sha256: str | None


def find_local(file: LocalFile) -> Path | None:
    """Find and verify a file in UNROLLED_DATA_DIR. None if that variable is not set.

    Raises:
        MissingFileError: The variable is set, but the directory has no such file.
        ChecksumError: The file is not the published one.
    """
    directory = os.environ.get("UNROLLED_DATA_DIR")
    if not directory:
        return None
    path = Path(directory) / file.path
    if not path.is_file():
        raise MissingFileError(path, "UNROLLED_DATA_DIR names a directory without it")
    if file.sha256 is not None:
        verify(path, file.sha256, "UNROLLED_DATA_DIR must hold the published file")
    return path


def download(source: DataSource) -> Path:
    """Find a source's file in the cache, or download it with a progress bar, and verify it.

    Raises:
        DataError: It cannot be downloaded.
        ChecksumError: It is not the published file.
    """
    cache = Path(pooch.os_cache("unrolled"))
    path = cache / f"{source.sha256[:16]}-{source.address.rsplit('/', 1)[-1]}"
    if not path.is_file():
        _download(source, path)
    verify(path, source.sha256, "delete it, and it is downloaded again")
    return path


def _download(source: DataSource, path: Path) -> None:
    """Download a source's file to `path`. If it is not the published one, delete it."""
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=30)
    try:
        # pooch writes to a temporary file first, so an interrupted download leaves nothing behind.
        pooch.retrieve(source.address, None, fname=path.name, path=path.parent, downloader=downloader)
    except (OSError, ValueError) as error:
        advice = "check the network, or set UNROLLED_DATA_DIR to a directory that holds the data"
        raise DataError(f"cannot download {source.name} from {source.address}: {error} ({advice})") from error
    try:
        verify(path, source.sha256, f"{source.address} sent another file than the published one")
    except ChecksumError:
        path.unlink()
        raise


def find(file: LocalFile, published: DataSource | None) -> Path:
    """Find and verify a file in UNROLLED_DATA_DIR, or else download it once.

    Args:
        file: The file in that directory.
        published: The source to download. None for a file that is read only from that directory.

    Raises:
        DataError: The file is missing, is not the published one, or cannot be downloaded.
    """
    local = find_local(file)
    if local is not None:
        return local
    if published is None:
        raise MissingFileError(Path(file.path), "it can only be read from UNROLLED_DATA_DIR")
    return download(published)


def load_text(source: DataSource, file: LocalFile) -> tuple[str, Path]:
    """Read a published file, from UNROLLED_DATA_DIR or downloaded once. Returns its text and its path.

    Raises:
        DataError: The file is missing, is not the published one, or cannot be read.
    """
    path = find(file, source)
    return read_text(path), path


def read_bytes(path: Path) -> bytes:
    """Read a file, unpacked if its name ends in .gz.

    Raises:
        DataError: It cannot be unpacked.
    """
    content = path.read_bytes()
    try:
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} does not unpack: {error}") from error


def read_text(path: Path) -> str:
    """Read a UTF-8 file, unpacked if its name ends in .gz. Line ends are kept."""
    return decode(read_bytes(path), path)


def decode(content: bytes, path: Path) -> str:
    """Decode UTF-8.

    Raises:
        BrokenLineError: The content is not UTF-8. Names `path` and the line.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BrokenLineError(path, line, f"not UTF-8 ({error.reason}): save it as text in UTF-8") from error


def verify(path: Path, sha256: str, advice: str = "") -> None:
    """Check the checksum of a file.

    Args:
        path: The file, unpacked if its name ends in .gz.
        sha256: Checksum of the published content.
        advice: What to do about a wrong checksum, for the error.

    Raises:
        ChecksumError: The checksum is different, or the file cannot be unpacked.
    """
    try:
        actual = hashlib.sha256(read_bytes(path)).hexdigest()
    except DataError as error:
        raise ChecksumError(path, sha256, f"unknown: {error}", advice) from error
    if actual != sha256:
        raise ChecksumError(path, sha256, actual, advice)
