from pathlib import Path

import pytest

from tests.training.toy import ToySettings, ToyTask
from training import checkpoint, published
from training.command import main
from training.published import Published, Table

TABLE = Table(
    title="Toys, error",
    data=("toy",),
    metric="error",
    better="lower",
    split="test",
    rows=(Published(model="a plain toy", value=0.5, seen="S", source="Nobody 2020"),),
)


@pytest.mark.usefixtures("toy")
def test_a_measured_checkpoint_stands_beside_the_published_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(published, "load", lambda: (TABLE,))
    task = ToyTask(ToySettings())
    best = Path("runs/toy/best")
    checkpoint.save(best, task, task.build_model(), "python -m training toy")
    assert main(["compare"]) == 1
    assert "no measured checkpoint was found" in capsys.readouterr().err
    checkpoint.write_figures(best, "dev", {"error": 0.25})
    assert main(["compare"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Toys, error (lower is better)"
    assert lines[1] == "*   0.2500  runs/toy/best, dev"
    assert lines[2].endswith("a plain toy, test: Nobody 2020 [S]")
    monkeypatch.setattr(published, "load", lambda: ())
    assert main(["compare"]) == 0
    assert capsys.readouterr().out == "no published figures are for the data that these checkpoints were measured on\n"
