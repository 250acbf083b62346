"""The dashboard of deploy/grafana: its panels, and their expressions as Grafana would ask them."""

import json
from typing import Any

from tests.paths import ROOT

FILE = ROOT / "deploy" / "grafana" / "dashboards" / "unrolled.json"
Json = dict[str, Any]


def dashboard() -> Json:
    """The whole of it."""
    loaded: Json = json.loads(FILE.read_text())
    return loaded


def panels() -> list[Json]:
    """What shows anything: rows are headings."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions(job: str = "unrolled", rate_interval: str = "1m") -> list[tuple[str, str]]:
    """Titles of panels with each expression, its variables filled in."""
    filled = {"$job": job, "$__rate_interval": rate_interval}
    return [(panel["title"], _filled(target["expr"], filled)) for panel in panels() for target in panel["targets"]]


def _filled(expression: str, variables: dict[str, str]) -> str:
    for name, value in variables.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression
