"""Ends a growing text before its first stop string. Pure."""

from collections.abc import Sequence


class StopFinder:
    """Collects a text as it is written, and finds how much of it is certain to stay.

    Attributes:
        text: Everything written so far.
        certain_length: Number of characters that no stop string can take back.
        stopped: Whether a stop string was found; the text then ends at `certain_length`.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._longest = max(map(len, stops), default=0)
        self.text = ""
        self.certain_length = 0
        self.stopped = False

    @property
    def length(self) -> int:
        """Number of characters written."""
        return len(self.text)

    def write(self, written: str) -> str:
        """Add newly written text.

        Returns:
            The piece that has become certain.
        """
        search_from = max(0, len(self.text) - self._longest + 1)
        self.text += written
        ends = [(at + len(stop), at) for stop in self._stops if (at := self.text.find(stop, search_from)) >= 0]
        self.stopped = bool(ends)
        # The stop string that completes first ends the text, so that it does not matter how much is written at a time.
        return self._settle(min(ends)[1] if ends else len(self.text) - self._num_open())

    def flush(self) -> str:
        """Return the rest, once nothing more will be written."""
        return self._settle(len(self.text))

    def _settle(self, length: int) -> str:
        piece = self.text[self.certain_length : length]
        self.certain_length = length
        return piece

    def _num_open(self) -> int:
        """Return the length of the longest suffix of the text that is a proper prefix of a stop string."""
        candidates = (n for stop in self._stops for n in range(1, len(stop)) if self.text.endswith(stop[:n]))
        return max(candidates, default=0)
