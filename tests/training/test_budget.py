import itertools
from dataclasses import replace

import pytest
import torch

from tests.training.toy import BATCHES, ToySettings, ToyTask
from training import budget, settings
from training.budget import Budget, measure
from training.command import main
from training.settings import LoopSettings


def budgets(*epochs: int) -> list[Budget]:
    """With a clock that goes on by a second whenever it is looked at."""
    tasks = [ToyTask(ToySettings(loop=LoopSettings(epochs=number))) for number in epochs]
    return [measure(task, "32-true", itertools.count().__next__) for task in tasks]


def test_the_work_is_that_of_all_epochs() -> None:
    once, thrice = budgets(1, 3)
    assert (once.items, thrice.items) == (BATCHES * 4 * 3, 3 * BATCHES * 4 * 3)
    rows, C, H = 4, 3, 7
    # The cell forwards from no state, backwards to its weights; the head forwards and backwards to weights and state.
    products = 2 * rows * (C * H + H * H) + 2 * rows * (C * H + H * H) + 3 * 2 * rows * H
    assert once.flops == pytest.approx(BATCHES * products)


def test_the_time_is_that_of_the_steps_and_of_drawing_their_batches() -> None:
    once, thrice = budgets(1, 3)
    steps, looks_between_batches = BATCHES, BATCHES + 1
    assert once.seconds == steps + looks_between_batches
    assert thrice.seconds == 3 * once.seconds


def test_few_batches_of_many_stand_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    (all_timed,) = budgets(1)
    monkeypatch.setattr(budget, "TIMED_BATCHES", 2)
    (some_timed,) = budgets(1)
    assert some_timed.flops == pytest.approx(all_timed.flops)
    assert some_timed.items == all_timed.items


def test_no_more_batches_are_tried_than_are_to_be_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    monkeypatch.setattr(budget, "TIMED_BATCHES", BATCHES - 1)
    monkeypatch.setattr(budget, "_try", lambda *arguments: tried.append(arguments) or (1, 1.0))
    budgets(1)
    assert 1 < len(tried) < BATCHES


@pytest.mark.usefixtures("toy")
def test_the_share_is_of_the_products_of_the_device_that_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = budgets(1)
    assert found.device == torch.device("cpu")
    compared = []
    monkeypatch.setattr(budget, "measure", lambda *_: replace(found, device=torch.device("cuda")))
    monkeypatch.setattr(budget, "measure_gemm", lambda device, _: compared.append(device) or 1.0)
    assert main(["budget", "toy"]) == 0
    assert compared == [torch.device("cuda")]


@pytest.mark.usefixtures("toy")
def test_the_command_prints_a_line_a_task_and_the_sum(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["budget", "toy"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:3] == ["toy", "240", "items"]
    assert lines[2].endswith("hours in total, one after another")
    assert main(["budget", "nothing"]) == 1
    assert "no training nothing" in capsys.readouterr().err


@pytest.mark.usefixtures("toy")
def test_a_settings_file_over_a_tasks_own_has_a_budget_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    (settings.CONFIGS / "toy-longer.toml").write_text("loop = {epochs = 8}\n")
    assert main(["budget", "toy", "toy-longer"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[:3] == ["toy-longer", "480", "items"]
