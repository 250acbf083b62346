from pathlib import Path

import pytest
from pydantic import Field

from training import settings
from training.settings import LoopSettings, Section, Settings, SettingsError
from training.tasks import registry


class ModelSettings(Section):
    hidden_size: int = Field(default=7, ge=1)


class CellarSettings(Section):
    shelf: int = 1


class WineSettings(Settings):
    model: ModelSettings = ModelSettings()
    decay: float | None = 0.5
    kind: str = "red"
    cellar: CellarSettings | None = None


@pytest.fixture(autouse=True)
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "wine.toml").write_text("seed = 2\n[model]\nhidden_size = 5\n[loop]\nepochs = 3\n")
    monkeypatch.setattr(settings, "CONFIGS", tmp_path)
    return tmp_path


def load(*overrides: str, config: Path | None = None) -> WineSettings:
    return settings.load(WineSettings, "wine", config, overrides)


def test_task_file_is_read_and_the_rest_are_defaults() -> None:
    loaded = load()
    assert (loaded.seed, loaded.model.hidden_size, loaded.loop.epochs) == (2, 5, 3)
    assert loaded.loop.clip_grad_norm == LoopSettings().clip_grad_norm


def test_config_lies_over_the_task_file_and_overrides_over_both(configs: Path) -> None:
    mine = configs / "mine.toml"
    mine.write_text("[loop]\nepochs = 4\nlearning_rate = 0.5\n")
    loaded = load("loop.epochs=9", config=mine)
    assert (loaded.seed, loaded.loop.epochs, loaded.loop.learning_rate) == (2, 9, 0.5)


@pytest.mark.parametrize(
    ("override", "expected"),
    [("decay=0.25", 0.25), ("decay=none", None), ("kind=white", "white"), ('kind="white"', "white")],
)
def test_override_values_are_toml_or_plain_words(override: str, expected: object) -> None:
    assert getattr(load(override), override.split("=")[0]) == expected


@pytest.mark.parametrize("override", ["sed=3", "loop.epoch=3", "model.hidden_size.x=3", "modell.hidden_size=3"])
def test_unknown_key_is_an_error_that_names_it(override: str) -> None:
    with pytest.raises(SettingsError, match=override.split(".")[0].split("=")[0]):
        load(override)


def test_unknown_key_error_lists_the_keys_of_its_section() -> None:
    with pytest.raises(SettingsError, match=r"unknown setting loop\.epoch; known here: epochs, learning_rate"):
        load("loop.epoch=3")
    with pytest.raises(SettingsError, match=r"unknown setting cellar\.shelves; known here: shelf"):
        load("cellar.shelves=3")


@pytest.mark.parametrize(
    "override", ["loop.epochs=0", "loop.epochs=many", "loop.learning_rate=nan", "seed=-1", f"seed={2**32}"]
)
def test_value_out_of_range_is_an_error_that_names_the_key(override: str) -> None:
    with pytest.raises(SettingsError, match=override.split("=")[0]):
        load(override)


@pytest.mark.parametrize("override", ["epochs", "=3", "loop..epochs=3"])
def test_override_without_key_and_value_is_an_error(override: str) -> None:
    with pytest.raises(SettingsError, match="key=value"):
        load(override)


def test_missing_config_is_an_error_that_names_it(configs: Path) -> None:
    with pytest.raises(SettingsError, match=r"missing settings file .*none\.toml"):
        load(config=configs / "none.toml")


def test_config_that_cannot_be_read_is_an_error_that_names_it(configs: Path) -> None:
    with pytest.raises(SettingsError, match=f"cannot read settings file {configs}: Is a directory"):
        load(config=configs)


def test_broken_config_is_an_error_that_names_file_and_line(configs: Path) -> None:
    (configs / "broken.toml").write_text("seed = 1\nloop ==\n")
    with pytest.raises(SettingsError, match=r"broken\.toml is not TOML: .*line 2"):
        load(config=configs / "broken.toml")


def test_settings_are_described_with_key_value_and_meaning() -> None:
    lines = list(settings.describe(load("loop.epochs=9")))
    assert "model.hidden_size=5" in lines
    assert any(line.split() == ["loop.epochs=9", "passes", "over", "the", "training", "data"] for line in lines)


def test_settings_survive_json() -> None:
    loaded = load("decay=none")
    assert settings.validate(WineSettings, loaded.model_dump(mode="json")) == loaded


@pytest.mark.parametrize("task", registry.TASKS)
def test_every_task_has_a_valid_settings_file(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    settings.load(registry.task_type(task).settings_type, task)
