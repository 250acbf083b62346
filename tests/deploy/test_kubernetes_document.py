"""docs/kubernetes.md: its commands are rendered, its values are there, its rule fits what is recorded and asked for."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.helm import CHART, helm, needs_helm, rendered
from tests.deploy.promtool import needs_promtool, promtool
from tests.paths import ROOT

DOCUMENT = (ROOT / "docs" / "kubernetes.md").read_text()
INSTALLS = re.findall(r"^helm install (?:.*\\\n)*.*$", DOCUMENT, re.MULTILINE)


def adapter_rule() -> dict[str, Any]:
    (block,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    (rule,) = yaml.safe_load(block)["rules"]["external"]
    found: dict[str, Any] = rule
    return found


@needs_helm
@pytest.mark.parametrize("command", INSTALLS)
def test_a_command_that_installs_is_taken(command: str) -> None:
    _, _, release, chart, *words = shlex.split(command.replace("\\\n", " "))
    done = helm("template", release, str(ROOT / chart), *words)
    assert done.returncode == 0, done.stderr
    assert "registry.example.com/unrolled:0.1.0" in done.stdout


def test_there_are_commands() -> None:
    assert len(INSTALLS) == 2


def test_values_that_matter_are_values() -> None:
    rows = re.findall(r"^\| (`.*?) \|", DOCUMENT, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([\w.]+)`", row)]
    assert named
    for name in named:
        node = yaml.safe_load((CHART / "values.yaml").read_text())
        for part in name.split("."):
            node = node[part]


@needs_helm
def test_the_adapter_finds_what_is_recorded_and_is_asked_for_it_by_name() -> None:
    manifests = rendered("everything")
    recorded = [rule["record"] for rule in manifests["PrometheusRule"].spec["groups"][0]["rules"] if "record" in rule]
    rule = adapter_rule()
    (found,) = re.findall(r'__name__=~"(.*)"', rule["seriesQuery"])
    assert all(re.fullmatch(found, series) for series in recorded)
    name = re.sub(r"\$\{(\d)\}", r"\\\1", rule["name"]["as"])
    offered = [re.sub(rule["name"]["matches"], name, series) for series in recorded]
    asked = [each["external"]["metric"]["name"] for each in manifests["HorizontalPodAutoscaler"].spec["metrics"]]
    assert offered == asked
    assert re.findall(r"namespaces/default/(\w+)", DOCUMENT) == asked


@needs_promtool
@pytest.mark.parametrize("series", ["job:rnn_queue_wait_seconds:p95", "instance:rnn_event_loop_late:ratio_rate2m"])
def test_what_the_adapter_asks_is_valid(series: str, tmp_path: Path) -> None:
    asked = adapter_rule()["metricsQuery"].replace("<<.Series>>", series)
    expression = asked.replace("<<.LabelMatchers>>", 'job="prod-unrolled",namespace="rnn"')
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "adapter", "rules": [{"record": "asked", "expr": expression}]}]}))
    promtool("check", "rules", str(file))
