"""The whole command, on a plan that takes a second."""

from pathlib import Path

import pytest
from PIL import Image

from training.command import main
from training.diagnosis import plan as plans
from training.diagnosis import stages
from training.diagnosis.clipping import DescentSettings
from training.diagnosis.learning import LearningSettings
from training.diagnosis.plan import Case, ClippingCase, Plan
from training.diagnosis.results import read_csv


def tiny() -> Plan:
    cases = plans.cases([("adding", 6), ("copying", 2)], ("tanh", "lstm-1"))
    return Plan(
        hidden_size=4,
        measured=cases,
        learned=cases[:2],
        clipped=(ClippingCase("irnn", 5, None), ClippingCase("irnn", 5, 1.0)),
        learning=dict.fromkeys(("adding", "copying"), LearningSettings(steps=4, rows=3, evaluate_every=2)),
        descent=DescentSettings(steps=3, rows=2),
        rows=2,
        jacobian_rows=1,
        points=5,
    )


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(plans, "whole", tiny)
    return tmp_path / "diagnose"


def test_the_report_has_a_row_for_every_case_and_phase_and_pictures(output: Path) -> None:
    assert main(["diagnose", "--output", str(output)]) == 0
    rows = read_csv(output / "report" / "summary.csv")
    assert [(row["problem"], row["variant"], row["phase"]) for row in rows] == [
        ("adding", "tanh", "initial"),
        ("adding", "lstm-1", "initial"),
        ("copying", "tanh", "initial"),
        ("copying", "lstm-1", "initial"),
        ("adding", "tanh", "trained"),
        ("adding", "lstm-1", "trained"),
    ]
    assert [row["steps"] for row in rows] == ["", "", "", "", "4", "4"]
    assert all(float(row["gradient_last"]) > 0 for row in rows)
    for name in ("gradients-adding", "jacobians-copying", "gradients-lstm", "learning", "clipping"):
        with Image.open(output / "report" / f"{name}.png") as picture:
            assert picture.width > 300
    assert not (output / "report" / "gradients-tasks.png").exists()


def test_an_interrupted_run_goes_on_where_it_was(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []
    measure = stages.gradient_norms

    def interrupt_at_the_third(*arguments: object) -> object:
        measured.append("case")
        if len(measured) == 3:
            raise KeyboardInterrupt
        return measure(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(stages, "gradient_norms", interrupt_at_the_third)
    assert main(["diagnose", "--output", str(output), "--stages", "initial"]) == 130
    done = sorted(path.name for path in (output / "initial").iterdir())
    assert done == ["adding-6-lstm-1-1.csv", "adding-6-tanh-1.csv"]
    assert main(["diagnose", "--output", str(output), "--stages", "initial"]) == 0
    assert len(measured) == 5
    assert len(list((output / "initial").iterdir())) == 4


def test_parts_of_a_plan_are_chosen(output: Path) -> None:
    chosen = ["--problems", "copying", "--variants", "tanh", "--lengths", "2", "--seeds", "3", "4"]
    assert main(["diagnose", "--output", str(output), "--stages", "initial", *chosen]) == 0
    assert sorted(path.name for path in (output / "initial").iterdir()) == [
        "copying-2-tanh-3.csv",
        "copying-2-tanh-4.csv",
    ]


def test_a_report_of_nothing_is_no_error(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", "--output", str(output), "--stages", "report"]) == 0
    assert "nothing" in capsys.readouterr().out


def test_the_plans_name_their_settings_and_the_whole_one_holds_the_published_lengths() -> None:
    for plan in (plans.whole(), plans.quick()):
        assert {case.problem for case in plan.learned} <= set(plan.learning)
        assert set(plan.learned) <= set(plan.measured)
    assert {Case("adding", 200, "tanh"), Case("adding", 600, "gru")} <= set(plans.whole().learned)


def test_plain_networks_learn_more_slowly_than_gated_ones() -> None:
    plan = plans.whole()
    plain, gated = (plan.settings_of(Case("adding", 200, variant)) for variant in ("irnn", "gru"))
    assert plain.learning_rate == pytest.approx(gated.learning_rate / 5)


@pytest.mark.parametrize(
    ("first", "last", "points", "expected"), [(1, 4, 10, [1, 2, 3, 4]), (0, 100, 3, [0, 50, 100]), (1, 1, 5, [1])]
)
def test_times_are_spread_evenly(first: int, last: int, points: int, expected: list[int]) -> None:
    assert stages.spread(first, last, points) == expected


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        (["--device", "nonsense"], "argument --device: 'nonsense' is not available here: Expected one of"),
        (["--steps", "0"], "argument --steps: expected a whole number from 1, not '0'"),
        (["--lengths", "-5"], "argument --lengths"),
        (["--max-seconds", "nan"], "argument --max-seconds: expected a number of seconds above zero, not 'nan'"),
        (["--max-seconds", "-1"], "argument --max-seconds: expected a number of seconds above zero, not '-1'"),
        (["--max-seconds", "soon"], "argument --max-seconds: expected a number of seconds above zero, not 'soon'"),
    ],
)
def test_what_cannot_be_run_is_refused_with_how_the_command_is_used(
    option: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["diagnose", *option])
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        (
            ["--lengths", "7"],
            "initial, learning, trained, clipping; it has adding 6, copying 2, adding 5 by tanh, lstm-1, irnn",
        ),
        (["--stages", "learning", "report", "--problems", "copying"], "learning; it has adding 6 by tanh, lstm-1"),
        (["--stages", "clipping", "--variants", "tanh"], "clipping; it has adding 5 by irnn"),
    ],
)
def test_a_part_of_the_plan_that_is_empty_is_an_error(
    chosen: list[str], reason: str, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diagnose", "--output", str(output), *chosen]) == 1
    assert f"error: the plan has no such case for {reason}" in capsys.readouterr().err


def test_a_stage_that_is_empty_beside_others_is_none(output: Path) -> None:
    assert main(["diagnose", "--output", str(output), "--problems", "copying", "--stages", "initial", "learning"]) == 0
    assert not (output / "learning").exists()


def test_what_is_selected_is_selected_of_clipping_too() -> None:
    plan = tiny()
    assert plan.select((), (), (), ()).clipped == plan.clipped
    assert plan.select(("adding",), (5,), ("irnn",), (1,)).clipped == plan.clipped
    for other in [(("copying",), (), (), ()), ((), (6,), (), ()), ((), (), ("tanh",), ())]:
        assert plan.select(*other).clipped == ()
