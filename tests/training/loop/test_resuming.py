"""Runs that were interrupted, and what goes on where they were; runs that are overwritten."""

import re
from pathlib import Path

import pytest
import torch

from tests.training.loop.left import resume_state, weights
from tests.training.toy import ToySettings, ToyTask
from training import checkpoint
from training.__main__ import INTERRUPTED, main
from training.data.source import DataError
from training.loop import precision
from training.loop.precision import choose_precision
from training.loop.train import RESUME, train
from training.settings import LoopSettings
from training.tasks import registry

pytestmark = pytest.mark.usefixtures("toy")
TIMES = {"seconds", "items_per_second", "gemm_share"}


def without_times(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name not in TIMES} for row in history]


def train_and_interrupt(monkeypatch: pytest.MonkeyPatch, output: Path, epoch: int, batch: int) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(ToyTask, "interrupt_at", (epoch, batch))
        assert main(["toy", "--output", str(output)]) == INTERRUPTED


@pytest.mark.parametrize(("epoch", "batch"), [(2, 0), (3, 4)])
def test_interrupted_and_resumed_run_ends_in_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int, batch: int
) -> None:
    assert main(["toy", "--output", str(tmp_path / "whole")]) == 0
    train_and_interrupt(monkeypatch, tmp_path / "cut", epoch, batch)
    assert main(["toy", "--output", str(tmp_path / "cut"), "--resume"]) == 0

    whole_state, cut_state = resume_state(tmp_path / "whole"), resume_state(tmp_path / "cut")
    torch.testing.assert_close(cut_state["model"], whole_state["model"], rtol=0, atol=0)
    torch.testing.assert_close(cut_state["average"], whole_state["average"], rtol=0, atol=0)
    torch.testing.assert_close(cut_state["optimizer"], whole_state["optimizer"], rtol=0, atol=0)
    assert without_times(cut_state["progress"]["history"]) == without_times(whole_state["progress"]["history"])
    for kind in ("best", "last"):
        torch.testing.assert_close(weights(tmp_path / "cut" / kind), weights(tmp_path / "whole" / kind), rtol=0, atol=0)


def test_a_resumed_run_keeps_the_precision_that_was_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train_where_it_is_faster(fastest: str, *, resume: bool) -> None:
        choose_precision.cache_clear()
        monkeypatch.setattr(precision, "measure_gemm", lambda _, each, **__: float(each == fastest))
        task = ToyTask(ToySettings(loop=LoopSettings(epochs=2, precision="auto")))
        train(task, tmp_path, "command", resume=resume)

    with monkeypatch.context() as patch:
        patch.setattr(ToyTask, "interrupt_at", (1, 0))
        with pytest.raises(KeyboardInterrupt):
            train_where_it_is_faster("bf16-mixed", resume=False)
    train_where_it_is_faster("32-true", resume=True)
    choose_precision.cache_clear()
    assert resume_state(tmp_path)["precision"] == "bf16-mixed"


def test_a_run_that_was_saved_without_its_precision_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["toy", "--output", str(tmp_path / "whole")]) == 0
    train_and_interrupt(monkeypatch, tmp_path / "cut", epoch=2, batch=0)
    state = resume_state(tmp_path / "cut")
    del state["precision"]
    torch.save(state, tmp_path / "cut" / "last" / RESUME)
    assert main(["toy", "--output", str(tmp_path / "cut"), "--resume"]) == 0
    torch.testing.assert_close(weights(tmp_path / "cut" / "last"), weights(tmp_path / "whole" / "last"), rtol=0, atol=0)


def test_a_resumed_run_does_not_need_what_it_started_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_and_interrupt(monkeypatch, tmp_path, epoch=2, batch=0)

    def initialise(*_: object) -> None:
        raise DataError("no weights to start from")

    monkeypatch.setattr(ToyTask, "initialise", initialise)
    assert main(["toy", "--output", str(tmp_path), "--resume"]) == 0


def test_ctrl_c_keeps_the_last_checkpoint_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    train_and_interrupt(monkeypatch, output, epoch=2, batch=3)
    assert f"python -m training toy --output {output} --resume" in capsys.readouterr().err
    assert resume_state(output)["progress"]["epoch"] == 2
    assert checkpoint.load(output / "last").task == "toy"
    assert (output / "curves.png").is_file()


def test_ctrl_c_before_the_first_checkpoint_says_that_nothing_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train_and_interrupt(monkeypatch, tmp_path / "run", epoch=0, batch=1)
    assert "nothing is saved" in capsys.readouterr().err


def test_run_is_not_overwritten_unless_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["toy", "--output", str(tmp_path), "--set", "loop.epochs=1"]
    assert main(command) == 0
    assert main(command) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0


def test_overwritten_run_is_gone_even_if_the_new_one_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["toy", "--output", str(tmp_path), "--set", "loop.epochs=1"])
    monkeypatch.setattr(ToyTask, "interrupt_at", (0, 1))
    assert main(["toy", "--output", str(tmp_path), "--overwrite"]) == INTERRUPTED
    assert "nothing is saved" in capsys.readouterr().err
    assert not (tmp_path / "best").exists()
    assert not (tmp_path / "metrics.csv").exists()


def test_a_run_is_kept_where_the_one_that_should_overwrite_it_cannot_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["toy", "--output", str(tmp_path), "--set", "loop.epochs=1"]
    main(command)
    before = weights(tmp_path / "best")

    def no_data(*_: object) -> int:
        raise DataError("no data")

    with monkeypatch.context() as patch:
        patch.setattr(ToyTask, "batches_per_epoch", no_data)
        assert main([*command, "--overwrite"]) == 1
    assert main([*command, "--overwrite", "--set", "loop.accelerator=nonsense"]) == 1
    torch.testing.assert_close(weights(tmp_path / "best"), before, rtol=0, atol=0)


def test_a_damaged_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["toy", "--output", str(tmp_path), "--set", "loop.epochs=1"])
    saved = tmp_path / "last" / RESUME
    for content in (saved.read_bytes()[:999], b""):
        saved.write_bytes(content)
        assert main(["toy", "--output", str(tmp_path), "--resume"]) == 1
        assert f"error: {saved} cannot be read" in capsys.readouterr().err


def test_ctrl_c_while_the_best_checkpoint_is_measured_says_how_to_measure_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> dict[str, float]:
        raise KeyboardInterrupt

    monkeypatch.setattr(ToyTask, "evaluate", interrupted)
    monkeypatch.setattr(ToyTask, "calibrate", lambda *_: {"error": 1.0})
    assert main(["toy", "--output", str(tmp_path), "--set", "loop.epochs=1"]) == INTERRUPTED
    assert f"python -m training evaluate {tmp_path / 'best'}" in capsys.readouterr().err


def test_resume_without_a_run_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["toy", "--output", str(tmp_path / "none"), "--resume"]) == 1
    assert re.search(r"nothing to resume: .*none.* Leave out --resume", capsys.readouterr().err)


def test_a_run_of_another_task_is_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train_and_interrupt(monkeypatch, tmp_path, epoch=1, batch=0)
    monkeypatch.setitem(registry.TASKS, "other", "tests.training.toy:ToyTask")
    assert main(["other", "--output", str(tmp_path), "--resume"]) == 1
    assert "holds a run of toy, which other cannot resume" in capsys.readouterr().err


def test_resume_refuses_other_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["toy", "--output", str(tmp_path), "--resume", "--set", "seed=9"]) == 1
    assert f"python -m training toy --output {tmp_path} --resume" in capsys.readouterr().err
