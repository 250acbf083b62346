"""The chart's values: each is explained, each has a form, and what cannot work is refused with what to change."""

import itertools
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.helm import CHART, helm, needs_helm, refusal, words_of

VALUES = (CHART / "values.yaml").read_text()
FREE = {"settings", "resources", "affinity", "annotations", "labels", "podAnnotations", "nodeSelector"}


@needs_helm
@pytest.mark.parametrize(
    ("settled", "values", "reason"),
    [
        ("", [], "image.repository: where has the image been pushed to?"),
        ("", ["image.repository=a"], "store: where do sessions live?"),
        ("", ["image.repository=a", "store.url=redis://a:1/0"], "keys.secret: who may call?"),
        ("volume", ["store.url=redis://a:1/0"], "store: where do sessions live?"),
        ("redis", ["store.urlSecret.name=a"], "store: where do sessions live?"),
        ("volume", ["replicas=2"], "sessions have to be in Redis"),
        ("volume", ["autoscaling.enabled=true"], "sessions have to be in Redis"),
        ("redis", ["store.url=lmdb:///var/lib/unrolled"], "redis:// or rediss:// only"),
        ("redis", ["store.url=memory://"], "redis:// or rediss:// only"),
        ("redis", ["keys.secret=a"], "set one of the two"),
        ("redis", ["exportKey.formerKey=former"], "exportKey.secret: name that, too"),
        ("redis", ["ingress.enabled=true"], "ingress.host"),
        ("redis", ["networkPolicy.enabled=true", "networkPolicy.from=null"], "networkPolicy.from"),
        ("redis", ["autoscaling.enabled=true", "autoscaling.minReplicas=11"], "is over autoscaling.maxReplicas"),
        ("redis", ["autoscaling.enabled=true", "autoscaling.metric=queueWait"], "set prometheusRule.enabled"),
        ("volume", ["serviceMonitor.enabled=true"], "serviceMonitor.tokenSecret.name"),
        ("redis", ["replica=3"], "replica"),
        ("redis", ["settings.UNROLLED_PROT=3"], "UNROLLED_PROT"),
        ("redis", ["settings.UNROLLED_STORE=redis://b"], "UNROLLED_STORE"),
        ("redis", ["settings.UNROLLED_MAX_SESSIONS=5"], "Expected: string"),
        ("redis", ["autoscaling.metric=memory"], "metric"),
        ("redis", ["workers=0"], "workers"),
    ],
)
def test_what_cannot_work_is_refused_with_what_to_change(settled: str, values: list[str], reason: str) -> None:
    assert reason in refusal(settled, *values)


def notes(chart: Path, settled: str, *values: str) -> str:
    """What `helm install` says at its end; it tells only to a cluster, so a copy of the chart renders it as a value."""
    shutil.copytree(CHART, chart, dirs_exist_ok=True)
    text = (CHART / "templates" / "NOTES.txt").read_text()
    (chart / "templates" / "_notes.tpl").write_text('{{- define "notes" -}}' + text + "{{- end -}}")
    (chart / "templates" / "notes.yaml").write_text('notes: {{ include "notes" . | toJson }}')
    done = helm("template", "prod", str(chart), "--show-only", "templates/notes.yaml", *words_of(settled, values))
    assert done.returncode == 0, done.stderr
    told: str = yaml.safe_load(done.stdout)["notes"]
    return told


@needs_helm
@pytest.mark.parametrize(
    ("settled", "value", "said"),
    [
        ("volume", "replicas=1", "prod-unrolled-sessions, which `helm uninstall` leaves"),
        ("volume", "replicas=1", "Authorization: Bearer unr_"),
        ("redis", "replicas=3", "Everybody who reaches the Service prod-unrolled may call"),
        ("redis", "replicas=3", "name nodes of one kind in nodeSelector"),
        ("everything", "ingress.tlsSecret=", "The Ingress has no ingress.tlsSecret"),
    ],
)
def test_what_an_operator_has_to_know_is_said_at_the_end(tmp_path: Path, settled: str, value: str, said: str) -> None:
    assert said in " ".join(notes(tmp_path, settled, value).split())


@needs_helm
def test_nothing_is_said_of_what_is_settled(tmp_path: Path) -> None:
    told = notes(tmp_path, "everything")
    assert not [word for word in ("Everybody", "nodeSelector", "tlsSecret", "volume") if word in told]


def leaves(tree: dict[str, Any], *path: str) -> Iterator[tuple[str, ...]]:
    for name, value in tree.items():
        if isinstance(value, dict) and value and name not in FREE:
            yield from leaves(value, *path, name)
        else:
            yield (*path, name)


def test_every_value_is_explained() -> None:
    lines = VALUES.splitlines()
    explained = [re.match(r" *", line)[0] + line.split(":")[0].strip() for line in _after_comments(lines)]  # type: ignore[index]
    expected = ["  " * (len(path) - 1) + path[-1] for path in leaves(yaml.safe_load(VALUES))]
    assert [name for name in explained if name in expected] == expected


def _after_comments(lines: list[str]) -> Iterator[str]:
    """Lines that follow a comment."""
    for before, line in itertools.pairwise(lines):
        if before.lstrip().startswith("#") and not line.lstrip().startswith("#"):
            yield line


def test_every_value_has_a_form_and_nothing_else_does() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    expected = set(leaves(yaml.safe_load(VALUES))) | {("global",)}
    assert set(_forms(schema)) == expected


def _forms(schema: dict[str, Any], *path: str) -> Iterator[tuple[str, ...]]:
    for name, form in schema["properties"].items():
        if "properties" in form:
            assert form["additionalProperties"] is False, name
            yield from _forms(form, *path, name)
        else:
            yield (*path, name)
