"""The built image, as it is to be run: a user of its own, a read-only root, and one volume."""

import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from service.version import own_version
from tests.e2e.asking import Json, open_session, step
from tests.e2e.bundles import another_version, import_into
from tests.e2e.server import STOP_SECONDS
from tests.image.conftest import ADDED, MODELS
from tests.image.container import Container
from tests.image.engine import USER, Engine, Mount
from tests.paths import ROOT
from tests.waiting import until

OPEN = {"UNROLLED_ALLOW_UNAUTHENTICATED": "local", "UNROLLED_SPARE_WORKERS": "0"}
TEXTS = ("a warm, wonderful film", " that no one", " should ever have to see twice")
TORCH_AND_TOOLS = ("torch", "onnx", "pip", "setuptools", "hatchling", "pytest")


def curl_lines(readme: str) -> list[str]:
    """The shell blocks that ask the service."""
    return [block for block in re.findall(r"```bash\n(.*?)```", readme, re.DOTALL) if "curl " in block]


def test_the_lines_of_the_readme_are_answered(runner: Engine, volume: Path) -> None:
    blocks = curl_lines((ROOT / "README.md").read_text())
    assert blocks
    with Container(runner, volume, OPEN) as container:
        for block in blocks:
            script = block.replace("localhost:3000", f"127.0.0.1:{container.port}")
            script = script.replace("localhost:3001", f"127.0.0.1:{container.fast_port}")
            done = subprocess.run(  # the README's own words
                ["bash", "-euo", "pipefail"],  # noqa: S607
                input=script.replace("curl ", "curl --silent --show-error --fail-with-body "),
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"


def test_it_knows_its_version(runner: Engine, volume: Path) -> None:
    with Container(runner, volume, OPEN) as container:
        assert httpx.get(f"{container.url}/v2").json()["version"] == own_version()


def test_sessions_go_on_where_they_were_after_the_container_was_killed(runner: Engine, volume: Path) -> None:
    container = Container(runner, volume, OPEN)
    with container, httpx.Client(base_url=container.url, timeout=60) as client:
        whole = [open_session(client, "sentiment") for _ in range(3)]
        expected = [[step(client, each, {"text": text}) for text in TEXTS] for each in whole]
        cut = [open_session(client, "sentiment") for _ in range(3)]
        begun = [step(client, each, {"text": TEXTS[0]}) for each in cut]
        container.kill()
    with container, httpx.Client(base_url=container.url, timeout=60) as client:
        assert [client.get(f"/sessions/{each}").json()["step"] for each in cut] == [1, 1, 1]
        rest = [[step(client, each, {"text": text}) for text in TEXTS[1:]] for each in cut]
    assert [[first, *others] for first, others in zip(begun, rest, strict=True)] == expected


def test_it_runs_as_its_own_user_on_a_read_only_root_without_torch_or_tools(runner: Engine, volume: Path) -> None:
    with Container(runner, volume, OPEN) as container:
        processes = [container.first_process(), *container.workers()]
        assert {process.uids().effective for process in processes} == {int(USER.partition(":")[0])}
        root = Path(f"/proc/{processes[0].pid}/root")
        mounts = Path(f"/proc/{processes[0].pid}/mountinfo").read_text().splitlines()
        (options,) = (line.split()[5] for line in mounts if line.split()[4] == "/")
        assert "ro" in options.split(",")
        packages = {path.name for path in (root / "opt/unrolled").glob("lib/python3*/site-packages/*")}
        assert "onnxruntime" in packages
        assert not packages.intersection(TORCH_AND_TOOLS)
        assert not [name for name in ("gcc", "cc", "make", "pip", "pip3") if list(root.glob(f"usr/*bin/{name}"))]
        asked = runner.command({"UNROLLED_PORT": str(container.port)}, (), ("health",))
        assert subprocess.run(asked, capture_output=True, check=False).returncode == 0  # noqa: S603  our words


def test_sigterm_drains_and_ends_it_with_no_error(runner: Engine, volume: Path) -> None:
    with Container(runner, volume, OPEN) as container, httpx.Client(base_url=container.url, timeout=60) as client:
        session_id = open_session(client, "generation")
        body: Json = {"inputs": {"generate": {"max_tokens": 2000}}, "stream": True}
        with client.stream("POST", f"/sessions/{session_id}/steps", json=body) as response:
            lines = response.iter_lines()
            assert next(lines) == "event: text"
            container.first_process().send_signal(signal.SIGTERM)
            assert "event: done" in list(lines)
        assert container.stop() == 0


def test_a_killed_worker_is_replaced(runner: Engine, volume: Path) -> None:
    with Container(runner, volume, OPEN) as container:
        (worker,) = container.workers()
        worker.kill()
        until(lambda: container.workers() not in ([], [worker]), STOP_SECONDS, "another worker is there")
        until(container.is_ready, STOP_SECONDS, "it serves")


def test_a_bundle_is_added_by_a_mount(runner: Engine, volume: Path, tmp_path: Path) -> None:
    import_into(tmp_path, another_version(tmp_path / "bundle", "another", name="added"))
    for directory in (tmp_path / "models").rglob("*"):
        directory.chmod(0o755)
    settings = {**OPEN, "UNROLLED_BUNDLES": "added:latest,sentiment:latest"}
    with Container(runner, volume, settings, [Mount(tmp_path / "models" / "added", ADDED)]) as container:
        names = {each["name"] for each in httpx.get(f"{container.url}/models").json()["models"]}
    assert names == {"added", "sentiment"}


def test_a_model_store_on_a_volume_takes_the_shipped_bundles_in(
    runner: Engine, volume: Path, model_store: Path
) -> None:
    with Container(runner, volume, OPEN, [Mount(model_store, MODELS, is_read_only=False)]) as container:
        names = {each["name"] for each in httpx.get(f"{container.url}/models").json()["models"]}
    assert names == {path.name for path in model_store.iterdir()}
    assert "sentiment" in names


def test_what_is_missing_is_said_last_and_ends_it(runner: Engine, volume: Path) -> None:
    assert "no volume is mounted for the session store" in failed(Container(runner, None, OPEN))
    os.chown(volume, 0, 0)
    told = failed(Container(runner, volume, OPEN))
    assert "Permission denied" in told
    assert "user 10001 needs to write there" in told


def test_a_taken_port_is_said_last_and_ends_it(runner: Engine, volume: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port} on 127.0.0.1" in failed(Container(runner, volume, OPEN, port=port))


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("UNROLLED_BUNDLES", "nobody:latest", "no Models with name 'nobody'"),
        ("UNROLLED_PROT", "3000", "unknown settings"),
        ("UNROLLED_HOST", "0.0.0.0", "UNROLLED_ALLOW_UNAUTHENTICATED"),  # noqa: S104  that is what is refused
    ],
)
def test_a_setting_that_cannot_be_is_said_last_and_ends_it(
    runner: Engine, volume: Path, setting: str, value: str, reason: str
) -> None:
    assert reason in failed(Container(runner, volume, {setting: value}))


def failed(container: Container) -> str:
    """The last line of a container that ends by itself with an error."""
    status, last_line = container.end()
    assert status != 0
    assert last_line.startswith("unrolled: ")
    return last_line
