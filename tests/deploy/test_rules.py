"""The alerts, by Prometheus' own tool: valid, firing for what they are meant for, loaded by what deploy/ starts."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.concurrency.loop_delay import POLL_SECONDS
from service.settings import SessionSettings, known_variables
from tests.deploy.promtool import needs_promtool, promtool
from tests.deploy.scraped import metrics_of, scraped_names
from tests.paths import ROOT

RULES = ROOT / "deploy" / "helm" / "unrolled" / "rules.yml"
DOCUMENT = (ROOT / "docs" / "metrics.md").read_text()


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


@needs_promtool
def test_the_rules_are_valid() -> None:
    promtool("check", "rules", str(RULES))


@needs_promtool
def test_each_alert_fires_for_what_it_is_meant_for() -> None:
    promtool("test", "rules", str(Path(__file__).parent / "rules_test.yml"))


@needs_promtool
@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus.keys.yml"])
def test_what_prometheus_is_started_with_is_valid(name: str) -> None:
    promtool("check", "config", "--syntax-only", str(ROOT / "deploy" / name))


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus.keys.yml"])
def test_the_rules_are_loaded_from_where_they_are_mounted(name: str) -> None:
    config = yaml.safe_load((ROOT / "deploy" / name).read_text())
    (loaded,) = config["rule_files"]
    mounts = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]["prometheus"]["volumes"]
    assert f"./{RULES.relative_to(ROOT / 'deploy')}:/etc/prometheus/{loaded}:ro" in mounts
    (job,) = config["scrape_configs"]
    assert job["job_name"] == "unrolled"


def test_every_alert_says_what_to_do_with_settings_that_exist() -> None:
    alerts = [rule for rule in rules() if "alert" in rule]
    assert alerts
    for alert in alerts:
        assert alert["labels"]["severity"] in ("critical", "warning")
        assert set(alert["annotations"]) == {"summary", "description"}
    assert set(re.findall(r"UNROLLED_[A-Z_]+", RULES.read_text())) <= known_variables()


def test_rules_ask_for_metrics_that_are_scraped_from_one_job_alone() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for rule in rules():
        selectors = re.findall(r"([\w:]+)\{([^}]*)\}", rule["expr"])
        assert selectors
        assert {name for name, _ in selectors} <= scraped_names() | recorded | {"up"}
        assert all('job="unrolled"' in labels for _, labels in selectors)
        assert metrics_of(rule["expr"]) <= {name for name, _ in selectors}


def test_the_share_of_late_time_is_of_the_timer_that_is_observed() -> None:
    (rule,) = (rule for rule in rules() if rule.get("record") == "instance:rnn_event_loop_late:ratio_rate2m")
    per_observation = f"{POLL_SECONDS} * sum by"
    assert per_observation in rule["expr"]
    assert per_observation in DOCUMENT


def test_the_document_names_what_is_recorded() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert set(re.findall(r"\w+:rnn_\w+:\w+", DOCUMENT)) == recorded
    assert set(re.findall(r"\w+:rnn_\w+:\w+", (ROOT / "docs" / "load.md").read_text())) <= recorded


def test_the_document_lists_the_alerts_with_their_severity() -> None:
    rows = re.findall(r"^\| `(Unrolled\w+)` \| .* \| (\w+) \|$", DOCUMENT, re.MULTILINE)
    assert dict(rows) == {rule["alert"]: rule["labels"]["severity"] for rule in rules() if "alert" in rule}
    assert len(rows) == len(dict(rows))


def test_the_document_s_limits_are_the_settings_defaults() -> None:
    limits = re.findall(r"> 0\.9 \* (\d+)$", DOCUMENT, re.MULTILINE)
    fields = SessionSettings.model_fields
    assert [int(limit) for limit in limits] == [fields["max_sessions"].default, fields["max_store_bytes"].default]
