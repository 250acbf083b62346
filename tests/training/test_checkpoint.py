import json
import shutil
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from tests.full_disk import full_disk
from training import checkpoint
from training.checkpoint import CheckpointError
from training.data import tinyshakespeare
from training.models.generation import GenerationModelSettings
from training.tasks.generation import GenerationSettings, GenerationTask
from training.text.vocabulary import character_tokenizer

SETTINGS = GenerationSettings(seed=9, model=GenerationModelSettings(hidden_size=7, embedding_size=5))


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> GenerationTask:
    # No data set is needed to open a checkpoint.
    monkeypatch.setenv("UNROLLED_DATA_DIR", str(tmp_path / "none"))
    return GenerationTask(SETTINGS, character_tokenizer("abc"))


@pytest.fixture
def saved(task: GenerationTask, tmp_path: Path) -> Path:
    checkpoint.save(tmp_path / "best", task, task.build_model(), "python -m training generation")
    return tmp_path / "best"


def test_saved_checkpoint_is_loaded_with_the_same_weights_and_settings(task: GenerationTask, tmp_path: Path) -> None:
    model = task.build_model()
    checkpoint.save(tmp_path / "best", task, model, "python -m training generation")
    loaded = checkpoint.load(tmp_path / "best")
    torch.testing.assert_close(dict(loaded.model.state_dict()), dict(model.state_dict()), rtol=0, atol=0)
    assert (loaded.task, loaded.settings, loaded.command) == ("generation", SETTINGS, "python -m training generation")
    assert not loaded.model.training
    assert loaded.sources == task.sources
    assert loaded.tokenizer_path is not None
    assert Tokenizer.from_file(str(loaded.tokenizer_path)).encode("cab").ids == [2, 0, 1]


def test_figures_of_both_splits_are_kept(saved: Path) -> None:
    assert checkpoint.load(saved).figures == {}
    checkpoint.write_figures(saved, "dev", {"accuracy": 0.5, "examples": 7.0})
    checkpoint.write_figures(saved, "test", {"accuracy": 0.25})
    checkpoint.write_figures(saved, "dev", {"accuracy": 0.75})
    assert checkpoint.load(saved).figures == {"dev": {"accuracy": 0.75}, "test": {"accuracy": 0.25}}


def test_new_weights_have_no_figures_yet(saved: Path, task: GenerationTask) -> None:
    checkpoint.write_figures(saved, "dev", {"accuracy": 0.5})
    checkpoint.save(saved, task, task.build_model(), "python -m training generation")
    assert checkpoint.load(saved).figures == {}


def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_the_former_one(
    saved: Path, task: GenerationTask
) -> None:
    former = (saved / "model.safetensors").read_bytes()
    with full_disk(len(former) - 1), pytest.raises(OSError, match=r"model\.safetensors"):
        checkpoint.save(saved, task, task.build_model(), "python -m training generation")
    assert (saved / "model.safetensors").read_bytes() == former
    assert not list(saved.glob("*.part"))


def test_directory_without_a_checkpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"not a checkpoint: it has no config\.json$"):
        checkpoint.load(tmp_path)


def test_a_run_is_no_checkpoint_but_has_one(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved, tmp_path / "run" / "best")
    with pytest.raises(CheckpointError, match=r"it has no config\.json; .*run/best is one$"):
        checkpoint.load(tmp_path / "run")


def test_a_file_is_no_checkpoint(saved: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json is not a checkpoint, a directory .*: Not a directory"):
        checkpoint.load(saved / "config.json")


def test_missing_weights_are_an_error_that_names_the_file(saved: Path) -> None:
    (saved / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        checkpoint.load(saved)


def test_missing_tokenizer_is_an_error_that_names_the_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Data of which another tokenizer could be built.
    monkeypatch.setattr(tinyshakespeare, "load", lambda: "other text" * 99)
    (saved / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"incomplete checkpoint: it has no tokenizer\.json"):
        checkpoint.load(saved)


@pytest.mark.parametrize("name", ["tokenizer.json", "figures.json"])
def test_a_damaged_file_is_an_error_that_names_it(saved: Path, name: str) -> None:
    (saved / name).write_text('{"dev": ')
    with pytest.raises(CheckpointError, match=name):
        checkpoint.load(saved)


def test_damaged_weights_are_an_error_that_names_the_file(saved: Path) -> None:
    content = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        checkpoint.load(saved)


def test_weights_of_another_size_are_an_error(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    config["settings"]["model"]["hidden_size"] = 8
    (saved / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"(?s)does not fit the GenerationModel that config\.json.*size mismatch"):
        checkpoint.load(saved)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"task": "cooking", "settings": {}, "command": ""}',
        '{"task": "generation"}',
        '{"task": "generation", "settings": {}, "command": null}',
        '{"task": "generation", "settings": {"rows": 0}, "command": "python -m training generation"}',
    ],
)
def test_config_that_makes_no_sense_is_an_error_that_names_the_file(saved: Path, content: str) -> None:
    (saved / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        checkpoint.load(saved)


@pytest.mark.parametrize(
    "command",
    [
        "my own notebook",
        "nobody's training",
        "my training generation",
        "python -m training",
        "",
        "python -m training cooking",
        "python -m training generation-/../../here",
    ],
)
def test_a_command_that_names_no_training_is_of_weights_that_were_trained_elsewhere(saved: Path, command: str) -> None:
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "command": command}))
    assert checkpoint.load(saved).training == ""


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("OMP_NUM_THREADS=1 /usr/bin/python3.12 -u -m training generation --set seed=2", "generation"),
        ("python -m training 'generation'", "generation"),
        ("python -m training generation-of-mine", "generation-of-mine"),  # of a settings file that was there once
    ],
)
def test_a_command_that_names_a_training_may_be_written_in_any_way(saved: Path, command: str, name: str) -> None:
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "command": command}))
    assert checkpoint.load(saved).training == name
