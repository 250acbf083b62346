import re
from pathlib import Path

import pytest

from tests.paths import ROOT
from training import settings
from training.command import main
from training.tasks import registry
from training.tasks.registry import Training


def test_every_settings_file_is_a_training() -> None:
    assert {config.stem for config in settings.CONFIGS.glob("*.toml")} <= registry.trainings().keys()
    assert registry.trainings()["generation-mingru"].task == "generation"
    assert registry.trainings()["sentiment-bidirectional"] == Training("sentiment-bidirectional")


def test_every_shipped_bundle_has_a_training_of_its_name() -> None:
    names = set(re.findall(r"^\| \[(.+?)\]\(", (ROOT / "docs" / "models.md").read_text(encoding="utf-8"), re.M))
    assert {"sentiment", "generation-mingru"} <= names <= registry.trainings().keys()


@pytest.mark.usefixtures("toy")
def test_a_settings_file_over_a_tasks_own_is_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (settings.CONFIGS / "toy-longer.toml").write_text("loop = {epochs = 2}\n")
    assert main(["toy-longer", "--show-settings"]) == 0
    shown = dict(line.split()[0].split("=", 1) for line in capsys.readouterr().out.splitlines())
    assert (shown["seed"], shown["loop.epochs"]) == ("3", "2")
    assert main(["toy-longer"]) == 0
    assert (tmp_path / "runs/toy-longer/best/model.safetensors").exists()
    assert main(["toy-longer", "--resume"]) == 0
    assert '"command": "python -m training toy-longer"' in (tmp_path / "runs/toy-longer/last/config.json").read_text()
    with pytest.raises(SystemExit):
        main(["toy-longer", "--config", "other.toml"])
