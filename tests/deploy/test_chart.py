"""The chart by the real helm: what it renders, against Kubernetes' own schemas and against the service's settings."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.process.graceful import GRACEFUL_SECONDS
from service.settings import (
    CONSUMERS,
    MIN_EXPORT_KEY_CHARACTERS,
    OTHER_CONSUMERS,
    ServerSettings,
    known_variables,
)
from tests.deploy.helm import (
    CHART,
    NAMESPACE,
    RELEASE,
    ROOT,
    SETTLED,
    environment_of,
    helm,
    needs_helm,
    pod_of,
    rendered,
    words_of,
)
from tests.deploy.promtool import needs_promtool, promtool

pytestmark = needs_helm
VERSIONS = ("1.27", "1.37")  # the oldest that Chart.yaml allows, and the newest that the schemas know
OF_THE_OPERATOR = {"ServiceMonitor", "PrometheusRule"}  # Kubernetes itself knows nothing of them
CONTAINERFILE = (ROOT / "deploy" / "Containerfile").read_text()
NAME = f"{RELEASE}-unrolled"
PORTS = {name: ServerSettings.model_fields[field].default for name, field in (("http", "port"), ("fast", "fast_port"))}


@pytest.mark.parametrize("settled", ["", *SETTLED])
def test_helm_has_no_complaint(settled: str) -> None:
    done = helm("lint", "--strict", str(CHART), *words_of(settled))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("settled", SETTLED)
def test_kubernetes_knows_every_field(settled: str, version: str) -> None:
    for manifest in rendered(settled).values():
        if manifest.kind not in OF_THE_OPERATOR:
            kubernetes_validate.validate(manifest.whole, version, strict=True)


def test_the_chart_is_of_this_version_and_of_the_kubernetes_that_it_is_tried_with() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert chart["kubeVersion"] == f">={VERSIONS[0]}.0-0"


@pytest.mark.parametrize("settled", SETTLED)
def test_the_pod_may_do_nothing_that_it_need_not(settled: str) -> None:
    pod = pod_of(rendered(settled))
    (user,) = re.findall(r"^USER (\d+):(\d+)$", CONTAINERFILE, re.MULTILINE)
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": int(user[0]),
        "runAsGroup": int(user[1]),
        "fsGroup": int(user[1]),
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


@pytest.mark.parametrize("settled", SETTLED)
def test_what_is_mounted_is_there_and_temporary_files_have_room(settled: str) -> None:
    pod = pod_of(rendered(settled))
    (container,) = pod["containers"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert set(mounts.values()) == set(volumes)
    assert "emptyDir" in volumes[mounts["/tmp"]]  # noqa: S108  the container's own


@pytest.mark.parametrize("settled", SETTLED)
def test_both_ports_are_served_by_one_service(settled: str) -> None:
    manifests = rendered(settled)
    (container,) = pod_of(manifests)["containers"]
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == PORTS
    service = manifests["Service"].spec
    assert {port["targetPort"]: port["port"] for port in service["ports"]} == PORTS
    workload = manifests.get("Deployment") or manifests["StatefulSet"]
    labels = workload.spec["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    assert workload.spec["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("settled", SETTLED)
def test_probes_ask_what_is_open_to_everybody(settled: str) -> None:
    (container,) = pod_of(rendered(settled))["containers"]
    paths = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/livez", "readiness": "/readyz", "liveness": "/livez"}


@pytest.mark.parametrize("settled", SETTLED)
def test_a_pod_has_time_to_drain(settled: str) -> None:
    manifests = rendered(settled)
    environment = environment_of(manifests)
    needed = sum(float(environment[f"UNROLLED_{name}_SECONDS"]) for name in ("DRAIN", "REQUEST_TIMEOUT"))
    assert (
        pod_of(manifests)["terminationGracePeriodSeconds"] > needed + 2 * GRACEFUL_SECONDS
    )  # one port after the other


@pytest.mark.parametrize("settled", SETTLED)
def test_the_service_takes_every_variable_as_it_is_set(settled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = environment_of(rendered(settled))
    assert set(environment) <= known_variables()
    for name, value in environment.items():
        monkeypatch.setenv(name, value if isinstance(value, str) else "s" * MIN_EXPORT_KEY_CHARACTERS)
    for consumer in CONSUMERS:
        consumer()


def test_settings_that_the_chart_does_not_set_itself_may_be_given_and_no_others() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    own = set(re.findall(r"name: (UNROLLED_\w+)", (CHART / "templates" / "_pod.tpl").read_text()))
    ports = {"UNROLLED_PORT", "UNROLLED_FAST_PORT"}
    given = known_variables() - own - ports - OTHER_CONSUMERS | {"UNROLLED_MAX_STORE_BYTES"}
    assert schema["properties"]["settings"]["propertyNames"]["enum"] == sorted(given)


def test_one_pod_keeps_its_sessions_on_its_volume() -> None:
    manifests = rendered("volume")
    assert "Deployment" not in manifests
    assert manifests["StatefulSet"].spec["replicas"] == 1
    assert "PodDisruptionBudget" not in manifests
    claim = manifests["PersistentVolumeClaim"]
    assert claim.whole["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert claim.spec["storageClassName"] == "fast"
    assert claim.spec["resources"]["requests"]["storage"] == "20Gi"
    pod = pod_of(manifests)
    (volume,) = (each for each in pod["volumes"] if each["name"] == "sessions")
    assert volume["persistentVolumeClaim"]["claimName"] == claim.whole["metadata"]["name"]
    environment = environment_of(manifests)
    assert environment["UNROLLED_STORE_ON_VOLUME"] == "1"
    assert int(environment["UNROLLED_MAX_STORE_BYTES"]) == pytest.approx(8 * 2**30)
    (mount,) = (each["mountPath"] for each in pod["containers"][0]["volumeMounts"] if each["name"] == "sessions")
    assert Path(mount) in Path(environment["UNROLLED_STORE"].removeprefix("lmdb://")).parents


def test_a_claim_that_is_there_is_used_and_a_limit_that_is_set_holds() -> None:
    manifests = rendered("volume", "store.volume.existingClaim=mine")
    assert "PersistentVolumeClaim" not in manifests
    assert {"claimName": "mine"} in [each.get("persistentVolumeClaim") for each in pod_of(manifests)["volumes"]]
    assert environment_of(rendered("volume", "store.volume.gibibytes=9000"))["UNROLLED_MAX_STORE_BYTES"] == str(2**40)
    limit = "settings.UNROLLED_MAX_STORE_BYTES=7"
    done = helm("template", RELEASE, str(CHART), *words_of("volume"), "--set-string", limit)
    assert re.findall(r'UNROLLED_MAX_STORE_BYTES\n\s+value: (".*")', done.stdout) == ['"7"']


def test_many_pods_share_redis_and_are_replaced_one_by_one() -> None:
    manifests = rendered("redis")
    assert set(manifests) == {"Deployment", "Service", "PodDisruptionBudget"}
    assert manifests["Deployment"].spec["replicas"] == 3
    (spread,) = pod_of(manifests)["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
    assert spread["labelSelector"] == manifests["Deployment"].spec["selector"]
    assert manifests["Deployment"].spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert manifests["PodDisruptionBudget"].spec["maxUnavailable"] == 1
    environment = environment_of(manifests)
    assert environment["UNROLLED_STORE"] == "redis://redis:6379/0"
    assert environment["UNROLLED_ALLOW_UNAUTHENTICATED"] == "1"
    assert environment["UNROLLED_MAX_SESSIONS"] == "5000"
    assert pod_of(manifests)["containers"][0]["image"] == "registry.example.com/unrolled:7"


def test_secrets_are_named_and_never_rendered() -> None:
    manifests = rendered("everything")
    environment = environment_of(manifests)
    assert environment["UNROLLED_STORE"] == {"secretKeyRef": {"name": "redis", "key": "address"}}
    for name, key in (("UNROLLED_EXPORT_KEY", "signing"), ("UNROLLED_FORMER_EXPORT_KEYS", "former")):
        assert environment[name] == {"secretKeyRef": {"name": "unrolled-export", "key": key}}
    assert "UNROLLED_ALLOW_UNAUTHENTICATED" not in environment
    pod = pod_of(manifests)
    (keys,) = (each["secret"] for each in pod["volumes"] if "secret" in each)
    assert keys["secretName"] == "unrolled-keys"
    assert keys["defaultMode"] == 0o440
    (mount,) = (each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "keys")
    assert "subPath" not in mount  # a file that is mounted by itself never changes
    assert environment["UNROLLED_API_KEYS"] == f"{mount['mountPath']}/{keys['items'][0]['path']}"


@pytest.mark.parametrize(("workers", "spares", "memory"), [(1, 1, "1200Mi"), (1, 0, "950Mi"), (4, 1, "3300Mi")])
def test_memory_is_what_the_container_s_document_says(workers: int, spares: int, memory: str) -> None:
    (container,) = pod_of(rendered("redis", f"workers={workers}", f"spareWorkers={spares}"))["containers"]
    assert container["resources"] == {
        "requests": {"cpu": str(workers), "memory": memory},
        "limits": {"memory": memory},
    }
    assert "`--memory 1200m` for one worker with a spare one, `--memory 950m` without" in " ".join(
        (ROOT / "docs" / "container.md").read_text().split()
    )


def test_pods_are_scaled_by_the_processor_or_by_the_waits_that_are_recorded() -> None:
    (by_cpu,) = rendered("redis", "autoscaling.enabled=true")["HorizontalPodAutoscaler"].spec["metrics"]
    assert by_cpu["resource"]["target"]["averageUtilization"] == 70
    manifests = rendered("everything")
    scaler = manifests["HorizontalPodAutoscaler"].spec
    waits = [each["external"] for each in scaler["metrics"]]
    assert [each["metric"]["selector"]["matchLabels"] for each in waits] == [{"job": NAME}] * 2
    assert {each["metric"]["name"]: each["target"] for each in waits} == {
        "rnn_queue_wait_seconds_p95": {"type": "Value", "value": "80m"},
        "rnn_event_loop_late_ratio": {"type": "Value", "value": "400m"},
    }
    assert scaler["scaleTargetRef"]["name"] == manifests["Deployment"].whole["metadata"]["name"]
    assert "replicas" not in manifests["Deployment"].spec


def test_values_of_an_older_chart_that_are_used_again_leave_the_default() -> None:
    by_wait = ("autoscaling.enabled=true", "autoscaling.metric=queueWait", "prometheusRule.enabled=true")
    default = rendered("redis", *by_wait)
    reused = rendered("everything", "autoscaling.eventLoopLatePercent=null")
    for manifests in (default, reused):
        late = manifests["HorizontalPodAutoscaler"].spec["metrics"][1]["external"]
        assert late["target"] == {"type": "Value", "value": "150m"}


def test_prometheus_scrapes_with_a_token_where_there_are_keys() -> None:
    monitor = rendered("everything")["ServiceMonitor"]
    (endpoint,) = monitor.spec["endpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "prometheus-token", "key": "token"}
    assert endpoint["port"] in PORTS
    assert monitor.whole["metadata"]["labels"]["release"] == "stack"
    (open_to_all,) = rendered("redis", "serviceMonitor.enabled=true")["ServiceMonitor"].spec["endpoints"]
    assert "authorization" not in open_to_all


@needs_promtool
def test_the_rules_are_those_of_deploy_for_this_release_alone(tmp_path: Path) -> None:
    spec = rendered("everything")["PrometheusRule"].spec
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(spec))
    promtool("check", "rules", str(file))
    own = (CHART / "rules.yml").read_text().replace('job="unrolled"', f'job="{NAME}",namespace="{NAMESPACE}"')
    assert spec == yaml.safe_load(own)
    assert 'job="unrolled"' not in file.read_text()


def test_streams_pass_the_ingress() -> None:
    ingress = rendered("everything")["Ingress"]
    (rule,) = ingress.spec["rules"]
    assert rule["http"]["paths"][0]["backend"]["service"] == {"name": NAME, "port": {"name": "http"}}
    annotations: dict[str, Any] = ingress.whole["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    largest = annotations["nginx.ingress.kubernetes.io/proxy-body-size"].removesuffix("m")
    assert int(largest) * 2**20 == ServerSettings.model_fields["max_body_bytes"].default


def test_those_who_are_named_reach_both_ports_and_nobody_else_does() -> None:
    manifests = rendered("everything")
    policy = manifests["NetworkPolicy"].spec
    workload = manifests["Deployment"].spec
    assert policy["podSelector"] == workload["selector"]
    assert policy["policyTypes"] == ["Ingress"]
    (rule,) = policy["ingress"]
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}
    assert rule["from"] == [{"namespaceSelector": namespace}]
    assert {each["port"] for each in rule["ports"]} == set(PORTS)
    (near,) = rendered("redis", "networkPolicy.enabled=true")["NetworkPolicy"].spec["ingress"]
    assert near["from"] == [{"podSelector": {}}]
