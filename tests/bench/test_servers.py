"""Other servers that a step is compared with."""

from pathlib import Path

import pytest

from bench import others, servers
from bench.figure import Unavailable
from bench.servers import OTHERS, Other, OtherServer

FOLDER = Path(others.__file__).parent


@pytest.mark.parametrize("other", OTHERS, ids=[other.title for other in OTHERS])
def test_each_has_a_program_and_requirements(other: Other) -> None:
    module = other.program[0]
    assert (FOLDER / f"{module}.py").is_file()
    assert "onnxruntime" in (FOLDER / "requirements" / f"{module.removesuffix('_steps')}.txt").read_text()


def test_one_that_is_not_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "ENVIRONMENTS", tmp_path)
    with pytest.raises(Unavailable, match="mosec is not installed: make bench-servers"):
        OtherServer(OTHERS[0])
