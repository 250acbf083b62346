"""From a user's own file to a checkpoint in one command, with tiny models."""

import re
from pathlib import Path

import numpy as np
import pytest

from training import checkpoint
from training.command import main
from training.command_line import command_line
from training.models.sentiment import SentimentModel
from training.models.streaming_forecaster import StreamingForecaster

TINY = ["--set", "loop.epochs=1", "--set", "model.hidden_size=6", "--set", "model.embedding_size=5"]
WINDOWS = ["--set", "windows.batches=2", "--set", "windows.rows=4"]


@pytest.fixture
def monthly(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    months = range(96)
    values = [50 + 10 * np.sin(m * 2 * np.pi / 12) + rng.normal() for m in months]
    rows = [
        f"{2000 + m // 12}-{1 + m % 12:02}-01;{value:.3f};{-value:.2f}" for m, value in zip(months, values, strict=True)
    ]
    path = tmp_path / "sales.csv"
    path.write_text("month;shoes;hats\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


def test_a_table_becomes_a_forecaster_with_a_backtest(
    tmp_path: Path, monthly: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    options = ["--csv", monthly, "--time", "month", "--target", "shoes", "--target", "hats", "--horizon", "6"]
    assert run("forecasting", *options, "--output", output, *TINY, *WINDOWS) == 0
    best = checkpoint.load(output / "best")
    model = best.model
    assert isinstance(model, StreamingForecaster)
    assert (model.seasonality.segment, model.seasonality.season, model.interval) == (12, 12, "1 month")
    assert model.channels == ("shoes", "hats")
    assert float(model.widening) != 1.0
    train = np.loadtxt(monthly, delimiter=";", skiprows=1, usecols=(1, 2))[:77]
    np.testing.assert_allclose(model.centers, train.mean(axis=0))
    assert {"mase_h6", "seasonal_mase_h6", "wql_h6", "seasonal_wql_h6", "coverage_80_h6"} <= best.figures["dev"].keys()
    assert "standardised_mae_h6" in best.figures["dev"]
    assert not {"mae_h6", "mse_h6"} & best.figures["dev"].keys()
    for picture in ("backtest-dev.png", "calibration-dev.png"):
        assert (output / "best" / picture).read_bytes().startswith(b"\x89PNG")
    assert best.command.startswith("python -m training forecasting --csv sales.csv --time month --target shoes")
    said = capsys.readouterr().out
    assert re.search(
        r"^forecasts of 6 readings are off by \d\.\d\d times as much as those that repeat the last season", said, re.M
    )
    assert f"next:\n    {command_line('export', str(output / 'best'), '--name', 'run')}\n" in said
    assert (best.sources[0].name, best.sources[0].address) == ("sales.csv", "file:sales.csv")


def test_a_channel_with_too_few_readings_to_train_on_is_refused(
    tmp_path: Path, monthly: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, *rows = monthly.read_text(encoding="utf-8").splitlines()
    late = [row if i > 70 else f"{row.rsplit(';', 1)[0]};" for i, row in enumerate(rows)]
    monthly.write_text("\n".join([head, *late]) + "\n", encoding="utf-8")
    assert run("forecasting", "--csv", monthly, "--time", "month", "--output", tmp_path / "run", *TINY, *WINDOWS) == 1
    assert "column 'hats' begins late: it has 6 training readings" in capsys.readouterr().err


def test_a_run_of_a_users_own_file_does_not_lie_where_that_of_published_data_does(
    tmp_path: Path, monthly: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("forecasting", "--csv", monthly, "--time", "month", *TINY, *WINDOWS) == 0
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["own-forecasting"]


def test_a_run_that_is_there_is_refused_before_the_file_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run/best").mkdir(parents=True)
    assert run("forecasting", "--csv", tmp_path / "none.csv", "--time", "month", "--output", tmp_path / "run") == 1
    assert "holds a run that cannot be resumed: start again with --overwrite" in capsys.readouterr().err


def test_to_resume_says_where_the_run_of_ones_own_file_is(
    tmp_path: Path, monthly: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("forecasting", "--csv", monthly, "--time", "month", *TINY, *WINDOWS) == 0
    assert run("forecasting", "--resume") == 1
    assert "resume the run on your own file: --output runs/own-forecasting" in capsys.readouterr().err


def test_decimal_commas_become_a_forecaster_and_are_read_again(
    tmp_path: Path, monthly: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monthly.write_text(monthly.read_text(encoding="utf-8").replace(".", ","), encoding="utf-8")
    output = tmp_path / "run"
    assert run("forecasting", "--csv", monthly, "--time", "month", "--output", output, *TINY, *WINDOWS) == 0
    assert "of 'hats' is read as -5" in capsys.readouterr().out
    assert checkpoint.load(output / "best").settings.model_dump()["data"]["own"]["decimal"] is None
    assert run("evaluate", output / "best") == 0


def test_a_channel_may_have_any_name(tmp_path: Path, monthly: Path) -> None:
    names = monthly.read_text(encoding="utf-8").replace("shoes;hats", "costs $x_{ and $y;温度")
    monthly.write_text(names, encoding="utf-8")
    assert run("forecasting", "--csv", monthly, "--time", "month", "--output", tmp_path / "run", *TINY, *WINDOWS) == 0


def test_a_number_that_stands_for_no_reading_is_doubted(
    tmp_path: Path, monthly: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monthly.write_text(monthly.read_text(encoding="utf-8").replace("2001-05-01;", "2001-05-01;-99999;0\n#", 1), "utf-8")
    lines = monthly.read_text(encoding="utf-8").splitlines()
    monthly.write_text("\n".join(line for line in lines if not line.startswith("#")) + "\n", encoding="utf-8")
    assert run("forecasting", "--csv", monthly, "--time", "month", "--output", tmp_path / "run", *TINY, *WINDOWS) == 0
    printed = capsys.readouterr().out
    assert "'shoes' has a reading of -99999, over 100 times as far from its median" in printed
    assert "'hats' has a reading" not in printed


def test_a_table_that_has_changed_is_not_measured_on(
    tmp_path: Path, monthly: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    assert run("forecasting", "--csv", monthly, "--time", "month", "--output", output, *TINY, *WINDOWS) == 0
    monthly.write_text(monthly.read_text().replace("2007-12-01;", "2007-12-01;9"), encoding="utf-8")
    capsys.readouterr()
    assert run("evaluate", output / "best") == 1
    assert "wrong checksum" in capsys.readouterr().err


@pytest.mark.parametrize("before", ["", "7"])
def test_a_channel_that_varies_in_the_backtest_only_is_refused(
    tmp_path: Path, monthly: Path, before: str, capsys: pytest.CaptureFixture[str]
) -> None:
    header, *rows = monthly.read_text().splitlines()
    late = [f"{row};{before if n < 85 else n}" for n, row in enumerate(rows)]
    monthly.write_text("\n".join([f"{header};late", *late]) + "\n", encoding="utf-8")
    options = ["--csv", monthly, "--time", "month", "--target", "late", "--output", tmp_path / "run"]
    assert run("forecasting", *options) == 1
    assert "'late' has no two different readings among the 77 training rows" in capsys.readouterr().err


def test_a_horizon_of_too_many_segments_is_refused(
    tmp_path: Path, monthly: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--csv", monthly, "--time", "month", "--season", "1", "--segment", "1", "--output", tmp_path / "run"]
    assert run("forecasting", *options, "--horizon", "65") == 1
    assert "65 is more than 64 segments of 1 rows: give a --segment of at least 2" in capsys.readouterr().err


def test_a_table_that_is_too_short_is_refused(
    tmp_path: Path, monthly: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = tmp_path / "short.csv"
    short.write_text("\n".join(monthly.read_text().splitlines()[:24]) + "\n", encoding="utf-8")
    assert run("forecasting", "--csv", short, "--time", "month", "--season", "12", "--output", tmp_path / "run") == 1
    assert "short.csv: too short: 11 training rows remain" in capsys.readouterr().err
    assert run("forecasting", "--csv", short, "--time", "month", "--horizon", "65", "--output", tmp_path / "run") == 1
    assert "(23 rows are too few for a season of 12, so none is used)" in capsys.readouterr().err


def test_a_table_too_short_without_a_season_needs_a_smaller_segment(
    tmp_path: Path, monthly: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = tmp_path / "short.csv"
    short.write_text("\n".join(monthly.read_text().splitlines()[:21]) + "\n", encoding="utf-8")
    options = ["--csv", short, "--time", "month", "--output", tmp_path / "run", *TINY, *WINDOWS]
    assert run("forecasting", *options) == 1
    said = capsys.readouterr().err
    assert "no season, segments of 4 and a horizon of 4 need 20: give more rows, or a smaller --segment or" in said
    assert run("forecasting", *options, "--segment", "3") == 0


@pytest.mark.parametrize(
    ("num_rows", "season", "stride"), [(12_000, 24, 11), (24_000, 24, 23), (9_000, 7, 9), (90, 7, 1)]
)
def test_the_epoch_is_chosen_by_forecasts_from_all_parts_of_a_season(
    tmp_path: Path, num_rows: int, season: int, stride: int, capsys: pytest.CaptureFixture[str]
) -> None:
    days = np.datetime64("1900-01-01") + np.arange(num_rows)
    path = tmp_path / "days.csv"
    path.write_text("day,v\n" + "".join(f"{day},{i % 9}\n" for i, day in enumerate(days)), encoding="utf-8")
    assert run("forecasting", "--csv", path, "--time", "day", "--season", str(season), "--show-settings") == 0
    assert re.search(rf"^data\.choice_stride={stride} ", capsys.readouterr().out, re.M)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--time", "month"], "--time needs --csv"),
        (["--gaps", "ignore"], "--gaps needs --csv"),
        (["--csv", "x.csv", "--time", "month", "--target", "a", "--target", "a"], "--target a is given more than once"),
        (
            ["--resume", "--csv", "x.csv"],
            command_line("training", "forecasting", "--output", "runs/own-forecasting", "--resume"),
        ),
        (["--csv", "x.csv"], "--csv needs --time"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("forecasting", *options) == 1
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--horizon", "--season", "--segment"])
@pytest.mark.parametrize("value", ["0", "-3", "two"])
def test_counts_that_are_none_are_refused(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("forecasting", option, value)
    assert f"expected a whole number from 1, not '{value}'" in capsys.readouterr().err


def test_one_column_of_texts_and_labels_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text\n" + "good\n\u2018good\u2019\nbad\n" * 9, encoding="utf-8")
    assert run("sentiment", "--csv", path, "--label", "text", "--output", tmp_path / "run") == 1
    assert "error: --text and --label both name the column 'text'" in capsys.readouterr().err


@pytest.mark.parametrize("labels", [("Spam", "spam"), ("1", "1.0")])
def test_labels_that_may_be_one_are_told(
    tmp_path: Path, labels: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mails.csv"
    path.write_text("text,label\n" + "".join(f"mail {i},{labels[i % 2]}\n" for i in range(9)), "utf-8")
    assert run("sentiment", "--csv", path, "--show-settings") == 0
    told = f"{labels[0]!r} and {labels[1]!r} are different labels: if they mean the same, write them alike"
    assert told in capsys.readouterr().out


def test_texts_with_several_labels_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mails.csv"
    rows = ["call  me,work", "Call me,spam", "call me,spam", *(f"mail {i},{('spam', 'work')[i % 2]}" for i in range(9))]
    path.write_text("\n".join(["text,label", *rows, "mail 0,spam"]), "utf-8")
    assert run("sentiment", "--csv", path, "--show-settings") == 0
    assert "\n1 text with more than one label: no classifier is right about all" in capsys.readouterr().out


def test_texts_of_the_same_words_are_told_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mails.csv"
    rows = [f"{mail} {i},{'spam' if i % 2 else 'work'}" for i in range(9) for mail in ("mail", "Mail", "m\u00e0il ")]
    path.write_text("text,label\n" + "\n".join(rows) + "\n", "utf-8")
    assert run("sentiment", "--csv", path, "--show-settings") == 0
    assert "27 texts, 9 of them distinct; spam 12, work 15" in capsys.readouterr().out


def test_a_label_that_may_stand_for_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mails.csv"
    path.write_text("text,label\n" + "".join(f"mail {i},{'NaN' if i % 2 else 'spam'}\n" for i in range(9)), "utf-8")
    assert run("sentiment", "--csv", path, "--show-settings") == 0
    assert "the label 'NaN' is used like any other" in capsys.readouterr().out


def test_labelled_texts_become_a_classifier_with_their_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = tmp_path / "mails.csv", tmp_path / "run"
    rows = [f"{word} mail number {i},{word}" for i in range(12) for word in ("spam", "work", "fun")]
    path.write_text("body,kind\n" + "\n".join(rows) + "\n", encoding="utf-8")
    options = ["--csv", path, "--text", "body", "--label", "kind", "--output", output]
    assert run("sentiment", *options, *TINY) == 0
    best = checkpoint.load(output / "best")
    assert best.definition.goal.tie_breaker == "loss"
    assert isinstance(best.model, SentimentModel)
    assert best.model.classes == ("fun", "spam", "work")
    assert best.model.head.out_features == 3
    assert best.figures["dev"]["examples"] == 3
    assert best.sources[0].name == "mails.csv"
    for picture in ("confusion_dev.png", "calibration_dev.png"):
        assert (output / "best" / picture).read_bytes().startswith(b"\x89PNG")
    path.write_text(path.read_text() + "one more,fun\n", encoding="utf-8")
    capsys.readouterr()
    assert run("evaluate", output / "best") == 1
    assert "wrong checksum" in capsys.readouterr().err


@pytest.mark.parametrize(("season", "segment", "cycle"), [(12, 8, 24), (12, 12, 12), (2, 4, 4)])
def test_a_cycle_is_the_least_that_season_and_segment_go_into(
    monthly: Path, season: int, segment: int, cycle: int, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--csv", monthly, "--time", "month", "--target", "shoes", "--target", "hats", "--horizon", "4"]
    sizes = ["--season", str(season), "--segment", str(segment)]
    assert run("forecasting", *options, *sizes, "--show-settings") == 0, capsys.readouterr().err
    printed = capsys.readouterr().out
    assert f"model.season={cycle} " in printed
    assert (f"the network's season is {cycle}, a whole number of segments" in printed) == (cycle != season)


def test_a_step_without_a_season_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "years.csv"
    path.write_text("year,a\n" + "".join(f"{1900 + n},{n % 7}\n" for n in range(90)), encoding="utf-8")
    assert run("forecasting", "--csv", path, "--time", "year", "--show-settings") == 0
    assert "rows every year suggest no season, so none is used" in capsys.readouterr().out
