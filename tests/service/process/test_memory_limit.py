"""Memory limits as the kernel tells them, in both versions of control groups."""

from pathlib import Path

import pytest

from service.process.memory_limit import (
    BYTES_FOR_FIRST_PROCESS,
    BYTES_FOR_WORKER,
    TIMES_BUNDLE_BYTES_IF_SHARED,
    memory_limit,
    memory_shortage,
    num_memory_kills,
)

NO_LIMIT_V1 = "9223372036854771712\n"


class Groups:
    """A machine's control groups, as files."""

    def __init__(self, home: Path) -> None:
        self.groups = home / "cgroup"
        self.files = home / "files"

    def write(self, path: str, text: str) -> None:
        """Put a file among those of the kernel."""
        (self.files / path).parent.mkdir(parents=True, exist_ok=True)
        (self.files / path).write_text(text)

    @property
    def limit(self) -> int | None:
        return memory_limit(self.groups, self.files)

    @property
    def num_kills(self) -> int:
        return num_memory_kills(self.groups, self.files)


@pytest.fixture
def version_1(tmp_path: Path) -> Groups:
    machine = Groups(tmp_path)
    machine.groups.write_text("5:cpu,cpuacct:/jobs/a\n4:memory:/jobs/a\n1:name=systemd:/\n")
    return machine


@pytest.fixture
def version_2(tmp_path: Path) -> Groups:
    machine = Groups(tmp_path)
    machine.groups.write_text("0::/jobs/a\n")
    return machine


def test_version_2_tells_the_limit_of_the_group_and_of_those_above(version_2: Groups) -> None:
    version_2.write("jobs/a/memory.max", "max\n")
    assert version_2.limit is None
    version_2.write("jobs/memory.max", "300000000\n")
    assert version_2.limit == 300_000_000
    version_2.write("jobs/a/memory.max", "200000000\n")
    assert version_2.limit == 200_000_000


def test_version_1_tells_no_limit_as_a_large_one(version_1: Groups) -> None:
    version_1.write("memory/jobs/a/memory.limit_in_bytes", NO_LIMIT_V1)
    assert version_1.limit is None
    version_1.write("memory/jobs/a/memory.limit_in_bytes", "200000000\n")
    assert version_1.limit == 200_000_000


def test_version_1_tells_the_limit_of_the_group_for_memory(version_1: Groups) -> None:
    version_1.groups.write_text("5:cpu,cpuacct:/other\n4:cpuset,memory:/jobs/a\n")
    version_1.write("memory/other/memory.limit_in_bytes", "100000000\n")
    version_1.write("memory/jobs/a/memory.limit_in_bytes", "200000000\n")
    assert version_1.limit == 200_000_000


def test_a_group_may_have_a_colon_in_its_name(version_2: Groups) -> None:
    version_2.groups.write_text("0::/jobs:a\n")
    version_2.write("jobs:a/memory.max", "200000000\n")
    assert version_2.limit == 200_000_000


def test_a_container_sees_its_own_group_as_the_topmost(version_1: Groups) -> None:
    version_1.write("memory/memory.limit_in_bytes", "200000000\n")
    version_1.write("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert version_1.limit == 200_000_000
    assert version_1.num_kills == 2


def test_kills_are_those_of_the_own_group(version_2: Groups) -> None:
    version_2.write("memory.events", "oom 9\noom_kill 9\n")
    version_2.write("jobs/a/memory.events", "low 0\noom 3\noom_kill 1\n")
    assert version_2.num_kills == 1


def test_a_machine_without_control_groups_has_no_limit(tmp_path: Path) -> None:
    machine = Groups(tmp_path)
    assert machine.limit is None
    assert machine.num_kills == 0


def test_a_limit_under_what_the_workers_need_is_told_with_both_figures() -> None:
    needed = BYTES_FOR_FIRST_PROCESS + 2 * (BYTES_FOR_WORKER + int(TIMES_BUNDLE_BYTES_IF_SHARED["needed"] * 2**20))
    assert memory_shortage(needed, num_workers=2, num_bundle_bytes=2**20) is None
    assert memory_shortage(needed, num_workers=2, num_bundle_bytes=2**20, open_rungs="all") is not None
    assert memory_shortage(needed, num_workers=2, num_bundle_bytes=2**20, are_weights_shared=False) is not None
    assert memory_shortage(None, num_workers=2, num_bundle_bytes=2**20) is None
    told = memory_shortage(needed - 2**20, num_workers=2, num_bundle_bytes=2**20) or ""
    assert f"limit of {needed // 2**20 - 1} MiB" in told
    assert f"need {needed // 2**20} MiB" in told
