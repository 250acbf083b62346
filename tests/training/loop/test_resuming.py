"""Runs that were interrupted, and what goes on where they were; runs that are overwritten."""

import itertools
import re
from pathlib import Path

import pytest
import torch

from tests.full_disk import full_disk
from tests.training.loop.left import resume_state, weights
from tests.training.toy import ToySettings, ToyTask
from training import checkpoint
from training.command import main
from training.command_line import command_line
from training.data.source import DataError
from training.exit_status import INTERRUPTED
from training.loop import precision
from training.loop.output import resume_file
from training.loop.precision import choose_precision
from training.loop.train import train
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
    torch.save(state, resume_file(tmp_path / "cut"))
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
    assert command_line("training", "toy", "--output", str(output), "--resume") in capsys.readouterr().err
    assert resume_state(output)["progress"]["epoch"] == 2
    assert checkpoint.load(output / "last").task == "toy"
    assert (output / "curves.png").is_file()


def test_ctrl_c_before_the_first_checkpoint_says_that_nothing_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train_and_interrupt(monkeypatch, tmp_path / "run", epoch=0, batch=1)
    assert "nothing was saved" in capsys.readouterr().err


def test_run_is_not_overwritten_unless_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["toy", "--output", str(tmp_path), "--set", "loop.epochs=1"]
    assert main(command) == 0
    assert main(command) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0


@pytest.mark.parametrize("kept", ["best", "last", "metrics.csv"])
def test_no_part_of_a_run_is_overwritten_unless_asked(
    tmp_path: Path, kept: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["toy", "--output", str(tmp_path), "--set", "loop.epochs=1"]
    assert main(command) == 0
    resume_file(tmp_path).unlink()
    for name in {"best", "last", "metrics.csv"} - {kept}:
        (tmp_path / name).rename(tmp_path / f"moved-{name}")
    assert main(command) == 1
    assert f"{tmp_path} holds a run that cannot be resumed: start again with --overwrite" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0


def test_ctrl_c_before_a_run_is_overwritten_says_that_it_is_still_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["toy", "--output", str(tmp_path), "--set", "loop.epochs=1"]
    assert main(command) == 0

    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(ToyTask, "batches_per_epoch", interrupted)
    assert main([*command, "--overwrite"]) == INTERRUPTED
    said = capsys.readouterr().err
    assert f"interrupted before training began: the previous run is still in {tmp_path}" in said
    assert "--resume" not in said


def test_ctrl_c_after_a_run_was_overwritten_says_how_to_go_on_with_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["toy", "--output", str(tmp_path)]) == 0
    monkeypatch.setattr(ToyTask, "interrupt_at", (1, 0))
    assert main(["toy", "--output", str(tmp_path), "--overwrite"]) == INTERRUPTED
    assert f"--output {tmp_path} --resume" in capsys.readouterr().err


def test_overwritten_run_is_gone_even_if_the_new_one_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["toy", "--output", str(tmp_path), "--set", "loop.epochs=1"])
    monkeypatch.setattr(ToyTask, "interrupt_at", (0, 1))
    assert main(["toy", "--output", str(tmp_path), "--overwrite"]) == INTERRUPTED
    assert "nothing was saved, and the previous run is gone" in capsys.readouterr().err
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
    saved = resume_file(tmp_path)
    for content in (saved.read_bytes()[:999], b""):
        saved.write_bytes(content)
        assert main(["toy", "--output", str(tmp_path), "--resume"]) == 1
        assert f"error: {saved} cannot be read" in capsys.readouterr().err


def test_a_run_that_another_version_saved_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["toy", "--output", str(tmp_path), "--set", "loop.epochs=1"])
    saved, state = resume_file(tmp_path), resume_state(tmp_path)
    without_best = {name: value for name, value in state["progress"].items() if name != "best_epoch"}
    without_optimizer = {name: value for name, value in state.items() if name != "optimizer"}
    for content in (state | {"progress": without_best}, without_optimizer, []):
        torch.save(content, saved)
        assert main(["toy", "--output", str(tmp_path), "--resume"]) == 1
        assert f"error: {saved} cannot be read: it was written by another version" in capsys.readouterr().err


def test_a_run_that_was_saved_with_its_best_figure_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_and_interrupt(monkeypatch, tmp_path, epoch=2, batch=0)
    state = resume_state(tmp_path)
    state["progress"]["best"] = 0.5  # as versions before did
    torch.save(state, resume_file(tmp_path))
    assert main(["toy", "--output", str(tmp_path), "--resume"]) == 0
    assert resume_state(tmp_path)["progress"]["epoch"] == 4


def interrupt_write(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Press Ctrl-C before a file is put in its place, the one of that number."""
    replace, numbers = Path.replace, itertools.count(1)

    def replace_or_interrupt(path: Path, target: Path) -> Path:
        if next(numbers) == number:
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", replace_or_interrupt)


WRITES_OF_AN_EPOCH = 6  # of last: config, weights, the run; of best: config, weights; metrics.csv


@pytest.mark.parametrize("write", range(4, 2 * WRITES_OF_AN_EPOCH))
def test_best_checkpoint_is_that_of_the_best_epoch_wherever_its_run_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    def command(output: str, *errors: int) -> list[str]:
        return ["toy", "--output", str(tmp_path / output), "--set", "loop.epochs=2", "--set", f"dev_errors={[*errors]}"]

    assert main(command("whole", 1, 5)) == 0
    with monkeypatch.context() as patch:
        interrupt_write(patch, write)
        assert main(command("cut", 5, 1)) == INTERRUPTED
    # The second epoch, if it is done again, is now measured as the first was: no better.
    assert main(["toy", "--output", str(tmp_path / "cut"), "--resume"]) == 0
    best_epoch = resume_state(tmp_path / "cut")["progress"]["best_epoch"]
    assert best_epoch == (1 if write < WRITES_OF_AN_EPOCH + 4 else 2)
    expected = weights(tmp_path / "whole" / {1: "best", 2: "last"}[best_epoch])
    torch.testing.assert_close(weights(tmp_path / "cut" / "best"), expected, rtol=0, atol=0)
    assert checkpoint.load(tmp_path / "cut" / "best").figures


def test_resuming_a_finished_run_keeps_the_figures_of_its_best_checkpoint(tmp_path: Path) -> None:
    assert main(["toy", "--output", str(tmp_path), "--set", "loop.epochs=1"]) == 0
    checkpoint.write_figures(tmp_path / "best", "test", {"error": 0.5})
    assert main(["toy", "--output", str(tmp_path), "--resume"]) == 0
    assert checkpoint.read_figures(tmp_path / "best").keys() == {"dev", "test"}


def test_ctrl_c_while_the_best_checkpoint_is_measured_says_how_to_measure_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> dict[str, float]:
        raise KeyboardInterrupt

    monkeypatch.setattr(ToyTask, "evaluate", interrupted)
    monkeypatch.setattr(ToyTask, "validate", lambda *_: {"error": 1.0})
    assert main(["toy", "--output", str(tmp_path), "--set", "loop.epochs=1"]) == INTERRUPTED
    assert command_line("training", "evaluate", str(tmp_path / "best")) in capsys.readouterr().err


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
    assert command_line("training", "toy", "--output", str(tmp_path), "--resume") in capsys.readouterr().err


def test_a_full_disk_leaves_a_run_that_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["toy", "--output", str(tmp_path / "whole")]) == 0
    with pytest.MonkeyPatch.context() as patch:
        train_and_interrupt(patch, tmp_path / "cut", epoch=1, batch=0)
    former = resume_file(tmp_path / "cut").read_bytes()
    capsys.readouterr()
    with full_disk(len(former) - 1):
        assert main(["toy", "--output", str(tmp_path / "cut"), "--resume"]) == 1
    assert f"error: {resume_file(tmp_path / 'cut')} cannot be written: " in capsys.readouterr().err
    assert resume_file(tmp_path / "cut").read_bytes() == former
    assert not list(tmp_path.rglob("*.part"))
    assert main(["toy", "--output", str(tmp_path / "cut"), "--resume"]) == 0
    torch.testing.assert_close(weights(tmp_path / "cut/last"), weights(tmp_path / "whole/last"), rtol=0, atol=0)
