"""The report of a proof of parity, as a table and as parity.json."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import inf
from typing import Any


@dataclass(frozen=True)
class Check:
    """One comparison.

    Args:
        name: Name of the check; see export.proof.parity.
        stage: Name of the stage.
        size: The rung; 0 if the check is about all rungs.
        found: Largest error, or the number of values whose bits differ.
        limit: Largest error allowed; 0 if bits are compared, infinite if the error is only reported.
    """

    name: str
    stage: str
    size: int
    found: float
    limit: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the check passed. An error of NaN does not pass."""
        return self.found <= self.limit

    def __str__(self) -> str:
        """Format a row of the report's table."""
        found = f"{self.found:.1e}" if self.limit else f"{self.found:.0f} differ"
        limit = "no limit" if self.limit == inf else f"{self.limit:.0e}" if self.limit else "same bits"
        verdict = "ok" if self.passed else "FAILED"
        return f"{self.name:9} {self.stage:9} {self.size or 'all':>4} {found:>10} {limit:>10}  {verdict}"


@dataclass(frozen=True)
class Report:
    """All checks of a bundle, and the versions of onnxruntime and torch that they ran with."""

    checks: tuple[Check, ...]
    onnxruntime: str
    torch: str

    @property
    def passed(self) -> bool:
        """Whether all checks passed."""
        return not self.failures

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    def as_json(self) -> dict[str, Any]:
        """Return the content of parity.json. Infinity and NaN are written as text, since JSON has no such numbers."""
        return {"passed": self.passed, "onnxruntime": self.onnxruntime, "torch": self.torch} | {
            "checks": [
                {**asdict(check), "found": _number(check.found), "limit": _number(check.limit), "passed": check.passed}
                for check in self.checks
            ]
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Report":
        """Read what `as_json` wrote."""
        checks = tuple(
            Check(each["name"], each["stage"], each["size"], float(each["found"]), float(each["limit"]))
            for each in document["checks"]
        )
        return cls(checks, onnxruntime=document["onnxruntime"], torch=document["torch"])

    def __str__(self) -> str:
        """Format the checks as a table."""
        head = f"{'check':9} {'stage':9} {'rung':>4} {'found':>10} {'limit':>10}"
        return "\n".join([head, *map(str, self.checks)])


def _number(value: float) -> float | str:
    return value if value < inf else str(value)
