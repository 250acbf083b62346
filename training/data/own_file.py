"""What the settings of a training say of a user's own file, whatever is in it."""

from pathlib import Path

from training.data import source
from training.data.own_characters import UTF_8
from training.data.source import DataSource
from training.settings import Section


class OwnFile(Section):
    """A user's own file.

    Attributes:
        path: Where it was when it was trained on.
        sha256: Its checksum then.
        encoding: Encoding of its text, unless it has a byte order mark.
    """

    path: str
    sha256: str
    encoding: str = UTF_8

    @property
    def source(self) -> DataSource:
        """The file as the source of a training's data."""
        return source.own_source(self.path, self.sha256)

    def check_unchanged(self) -> None:
        """Check that the file, if it is there, is the one that was trained on before.

        Raises:
            ChecksumError: It has changed.
        """
        source.check_unchanged(Path(self.path), self.sha256)
