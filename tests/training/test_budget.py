import pytest

from tests.training.toy import BATCHES, ToySettings, ToyTask
from training import settings
from training.__main__ import main
from training.budget import Budget, count
from training.settings import LoopSettings


def test_the_work_is_that_of_all_epochs() -> None:
    budgets = [count(ToyTask(ToySettings(loop=LoopSettings(epochs=epochs)))) for epochs in (1, 3)]
    assert [budget.items for budget in budgets] == [BATCHES * 4 * 3, 3 * BATCHES * 4 * 3]
    rows, C, H = 4, 3, 7
    # The cell forwards from no state, backwards to its weights; the head forwards and backwards to weights and state.
    products = 2 * rows * (C * H + H * H) + 2 * rows * (C * H + H * H) + 3 * 2 * rows * H
    assert budgets[0].flops == pytest.approx(BATCHES * products)


def test_time_is_work_over_the_share_of_the_machines_rate() -> None:
    assert Budget("toy", "item", items=10, flops=6e9).seconds(gemm_flops=2e9, share=0.5) == pytest.approx(6.0)


@pytest.mark.usefixtures("toy")
def test_the_command_prints_a_line_a_task_and_the_sum(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["budget", "toy"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("of which 35% are reached")
    assert lines[2].split()[:3] == ["toy", "240", "items"]
    assert lines[3].endswith("hours in all, one after the other")
    assert main(["budget", "nothing"]) == 1
    assert "no training nothing" in capsys.readouterr().err


@pytest.mark.usefixtures("toy")
def test_a_settings_file_over_a_tasks_own_has_a_budget_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    (settings.CONFIGS / "toy-longer.toml").write_text("loop = {epochs = 8}\n")
    assert main(["budget", "toy", "toy-longer"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].split()[:3] == ["toy-longer", "480", "items"]
