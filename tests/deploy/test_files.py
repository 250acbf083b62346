"""What deploy/ and bentofile.yaml say agrees with the settings, with pyproject.toml and with one another."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.api.origins import Origins
from service.errors import HostNotAllowed
from service.settings import ServerSettings, SessionSettings, known_variables
from tests.paths import ROOT

CONTAINERFILE = (ROOT / "deploy" / "Containerfile").read_text()
COMPOSE = ("compose.yaml", "compose.keys.yaml")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OWN = {"service", "training", "export", "loadtest", "bench", "tests"}
PORTS = {ServerSettings.model_fields["port"].default, ServerSettings.model_fields["fast_port"].default}


def loaded(name: str) -> Any:  # noqa: ANN401  whatever stands there
    return yaml.safe_load((ROOT / name).read_text())


def test_the_image_exposes_both_ports() -> None:
    (exposed,) = re.findall(r"^EXPOSE (.+)$", CONTAINERFILE, re.MULTILINE)
    assert {int(port) for port in exposed.split()} == PORTS


def test_the_image_runs_as_one_user_by_number_who_owns_the_volume() -> None:
    (user,) = re.findall(r"^USER (\d+):(\d+)$", CONTAINERFILE, re.MULTILINE)
    assert f"useradd --uid {user[0]} " in CONTAINERFILE
    assert f"groupadd --gid {user[1]} " in CONTAINERFILE
    (owned,) = re.findall(r"install --directory --owner unrolled .* --mode 0700 (.+) \\$", CONTAINERFILE, re.MULTILINE)
    (store,) = re.findall(r"UNROLLED_STORE=lmdb://(\S+)", CONTAINERFILE)
    (graphs,) = re.findall(r"UNROLLED_PREPARED_GRAPHS=(\S+)", CONTAINERFILE)
    assert owned.split() == [str(Path(store).parent), graphs]


def test_what_fills_the_model_store_of_the_image_is_a_program_that_ends_well(tmp_path: Path) -> None:
    (program,) = re.findall(r"python3 -c '([^']+)'", CONTAINERFILE)
    environment = {**os.environ, "BENTOML_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, timeout=120, check=True)  # noqa: S603  words of the image
    assert [each for each in (tmp_path / "models").iterdir() if each.is_dir()]


def test_every_setting_that_is_named_exists() -> None:
    texts = [CONTAINERFILE, *((ROOT / "deploy" / name).read_text() for name in COMPOSE)]
    named = {name for text in texts for name in re.findall(r"UNROLLED_[A-Z_]+", text)}
    assert named
    assert named <= known_variables()
    assert SessionSettings.model_fields["store_on_volume"].default is False


def test_nothing_is_published_but_on_this_machine_s_own_address() -> None:
    published = [
        port for service in loaded("deploy/compose.yaml")["services"].values() for port in service.get("ports", ())
    ]
    assert published
    assert all(port.startswith(("127.0.0.1:", "${PUBLISH_ON:-127.0.0.1}:")) for port in published)
    assert {int(port.rpartition(":")[2]) for port in published} >= PORTS


def test_all_run_read_only_and_without_privileges() -> None:
    services = loaded("deploy/compose.yaml")["services"]
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert services["unrolled"]["tmpfs"] == "/tmp"  # noqa: S108  the container's own


def test_redis_needs_no_privileges_to_become_another_user() -> None:
    redis = loaded("deploy/compose.yaml")["services"]["redis"]
    assert redis["user"] == "redis"
    assert redis["volumes"] == ["redis:/data"]


def test_what_is_not_opened_answers_to_its_own_names_alone() -> None:
    """A name that it refuses would leave Prometheus without figures."""
    services = loaded("deploy/compose.yaml")["services"]
    environment = services["unrolled"]["environment"]
    server = ServerSettings(
        host="0.0.0.0",  # noqa: S104  as in the image
        allow_unauthenticated=environment["UNROLLED_ALLOW_UNAUTHENTICATED"],
        allowed_origins=environment["UNROLLED_ALLOWED_ORIGINS"],
    )
    origins = Origins(server, needs_key=False)
    (job,) = loaded("deploy/prometheus.yml")["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    assert origins.refusal({b"host": target.encode()}) is None
    assert isinstance(origins.refusal({b"host": b"evil.example:3000"}), HostNotAllowed)


def test_what_is_opened_asks_for_keys() -> None:
    environment = loaded("deploy/compose.keys.yaml")["services"]["unrolled"]["environment"]
    assert environment["UNROLLED_ALLOW_UNAUTHENTICATED"] == "0"
    assert environment["UNROLLED_API_KEYS"] == "/run/secrets/keys"


def test_redis_keeps_what_was_acknowledged() -> None:
    command = loaded("deploy/compose.yaml")["services"]["redis"]["command"]
    assert "--appendonly yes --appendfsync always --maxmemory-policy noeviction" in command


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus.keys.yml"])
def test_prometheus_scrapes_the_service(name: str) -> None:
    (job,) = loaded(f"deploy/{name}")["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    host, _, port = target.partition(":")
    assert host in loaded("deploy/compose.yaml")["services"]
    assert int(port) == ServerSettings.model_fields["port"].default


def test_a_bento_holds_what_serving_needs_and_no_more() -> None:
    needed = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["cpu"]]
    assert sorted(loaded("bentofile.yaml")["python"]["packages"]) == sorted(needed)


def test_neither_the_image_nor_a_bento_reports_to_anybody() -> None:
    assert "BENTOML_DO_NOT_TRACK=True" in CONTAINERFILE
    assert {"name": "BENTOML_DO_NOT_TRACK", "value": "True"} in loaded("bentofile.yaml")["envs"]


@pytest.mark.parametrize(
    ("folders", "groups"),
    [
        (["service"], ["cpu"]),
        (["training", "export"], ["cpu", "train"]),
        (["loadtest", "bench", "tests"], ["cpu", "train", "dev"]),
    ],
)
def test_whatever_is_imported_is_declared(folders: list[str], groups: list[str]) -> None:
    requirements = [
        *PROJECT["dependencies"],
        *(name for group in groups for name in PROJECT["optional-dependencies"][group]),
    ]
    declared = {_normalised(re.split(r"[^\w.-]", requirement)[0]) for requirement in requirements}
    distributions = packages_distributions()
    files = {path for folder in folders for path in (ROOT / folder).rglob("*.py")}
    elsewhere = set((ROOT / "bench" / "others").rglob("*.py"))  # in virtual environments of their own
    imported = {name for path in files - elsewhere for name in _imports(path)}
    undeclared = [
        name
        for name in imported - OWN - sys.stdlib_module_names
        if declared.isdisjoint(map(_normalised, distributions.get(name, [name])))
    ]
    assert not undeclared


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
