"""The dashboard: all that is counted and nothing else, well-formed panels, and a Grafana that shows it read-only."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.dashboard import FILE, dashboard, expressions, panels
from tests.deploy.promtool import needs_promtool, promtool
from tests.deploy.scraped import scraped_families, scraped_names
from tests.paths import ROOT

COLUMNS = 24
GRAFANA = ROOT / "deploy" / "grafana"


def compose() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    return services


def test_every_metric_is_shown_and_none_that_is_not_there() -> None:
    named = {name for _, text in expressions() for name in re.findall(r"[\w:]*rnn_[\w:]+", text)}
    rules = yaml.safe_load((ROOT / "deploy" / "helm" / "unrolled" / "rules.yml").read_text())["groups"][0]["rules"]
    assert named <= scraped_names() | {rule["record"] for rule in rules if "record" in rule}
    hidden = [metric for metric, names in scraped_families().items() if not names & named]
    assert not hidden


def test_every_series_is_chosen_by_the_job() -> None:
    for _, text in expressions(job="chosen"):
        selectors = re.findall(r"(?:rnn_[\w:]+|\bup)(\{[^}]*\})?", text)
        assert selectors
        assert all('job=~"chosen"' in selector for selector in selectors), text


def test_every_panel_has_a_title_a_unit_and_says_what_it_is_for() -> None:
    shown = panels()
    assert len({panel["title"] for panel in shown}) == len(shown)
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(dashboard()["panels"])
    for panel in shown:
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]
        assert {each["datasource"]["uid"] for each in (panel, *panel["targets"])} == {"${source}"}, panel["title"]


def test_no_panel_covers_another() -> None:
    places = [panel["gridPos"] for panel in dashboard()["panels"]]
    taken = [
        (place["x"] + column, place["y"] + line)
        for place in places
        for column, line in itertools.product(range(place["w"]), range(place["h"]))
    ]
    assert len(taken) == len(set(taken))
    assert max(column for column, _ in taken) < COLUMNS


@needs_promtool
def test_every_expression_is_valid(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": text} for number, (_, text) in enumerate(expressions())]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", str(file))


def test_what_grafana_is_given_is_mounted_where_it_looks() -> None:
    mounted = {target: source for source, target, _ in (each.split(":") for each in compose()["grafana"]["volumes"])}
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/unrolled.yml").read_text())["providers"]
    assert (ROOT / "deploy" / mounted[provider["options"]["path"]]).resolve() == FILE.parent
    for kind in ("datasources", "dashboards"):
        folder = ROOT / "deploy" / mounted[f"/etc/grafana/provisioning/{kind}"]
        assert [path.suffix for path in folder.iterdir()] == [".yml"]
    home = compose()["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/{FILE.name}"


def test_grafana_asks_the_prometheus_that_is_started_as_often_as_it_scrapes() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert source["type"] == "prometheus"
    host, _, port = source["url"].removeprefix("http://").partition(":")
    assert any(each.endswith(f":{port}") for each in compose()[host]["ports"])
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraped


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("GF_AUTH_ANONYMOUS_ENABLED", "true"),
        ("GF_AUTH_ANONYMOUS_ORG_ROLE", "Viewer"),
        ("GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION", "true"),
        ("GF_ANALYTICS_REPORTING_ENABLED", "false"),
    ],
)
def test_everybody_may_look_and_nobody_may_change(setting: str, value: str) -> None:
    assert compose()["grafana"]["environment"][setting] == value


def test_grafana_runs_read_only_and_keeps_nothing() -> None:
    grafana = compose()["grafana"]
    assert grafana["read_only"] is True
    assert grafana["cap_drop"] == ["ALL"]
    assert all(volume.endswith(":ro") for volume in grafana["volumes"])
    assert "/var/lib/grafana" in grafana["tmpfs"]
    assert dashboard()["editable"] is False
