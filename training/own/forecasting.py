"""Settings for a forecaster of a user's own CSV file: season, segment, horizon, sizes and backtest."""

import argparse
import math
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.arguments import count, zone
from training.data import own_table
from training.data.interval import plural, suggest_season, suggest_season_of_rows, suggest_segment
from training.data.own_numbers import DECIMALS
from training.data.own_rows import Columns, Notation
from training.data.own_table import Gaps, OwnTable
from training.data.own_times import ORDERS
from training.data.series import last_part
from training.data.source import DataError, sha256_of
from training.data.table import level_and_scale
from training.models.forecaster import MOST_SEGMENTS
from training.own.options import ENCODING, Choice, Options
from training.own.outliers import outlier_warnings
from training.settings import SettingsError

FEW_READINGS, MANY_READINGS = 5_000, 100_000
LONGEST_WINDOW = 30  # segments
CHOSEN_BY = 200  # origins by which the epoch is chosen and the bands are fitted, or a few more
DRIFT = 0.5  # mean absolute deviations between a channel's halves beyond which it has no typical level


OPTIONS: Options = {
    "--csv": {
        "type": Path,
        "metavar": "FILE",
        "help": "CSV file with a header, a column of times, and columns of numbers",
    },
    "--time": {"metavar": "COLUMN", "help": "column of times; rows at equal intervals, oldest or newest first"},
    "--target": {
        "action": "append",
        "default": [],
        "metavar": "COLUMN",
        "help": "column to forecast; may be repeated; default: all columns whose first value is a number",
    },
    "--horizon": {
        "type": count,
        "metavar": "N",
        "help": "number of readings to forecast; default: one season, or one segment if there is no season",
    },
    "--season": {
        "type": count,
        "metavar": "N",
        "help": "number of readings in a season; default: chosen by the interval of time",
    },
    "--segment": {
        "type": count,
        "metavar": "N",
        "help": "number of readings in one step of the network; default: chosen by the season",
    },
    "--gaps": {
        "choices": ("refuse", "interpolate", "zero", "ignore"),
        "default": "refuse",
        "help": "missing rows: refuse the file, fill them by a line or with zeros, or ignore them; default: refuse",
    },
    "--duplicates": {
        "choices": ("refuse", "first", "last", "mean", "sum"),
        "default": "refuse",
        "help": "rows with the same time: refuse the file, or replace them by one row; default: refuse",
    },
    "--decimal": {
        "choices": DECIMALS,
        "help": "decimal mark of all numbers; default: found from the file",
    },
    "--dates": {"choices": ORDERS, "help": "order of dates such as 01/02/2024; default: found from the file"},
    "--zone": {"type": zone, "metavar": "NAME", "help": "time zone of the times, such as Europe/Berlin"},
    **ENCODING,
}


class Cut(NamedTuple):
    """How a table is cut, in rows.

    Attributes:
        season: Rows of a season. 1 for none.
        segment: Rows of a segment, one step of the network.
        horizon: Rows of a forecast.
        num_rows: Rows of the table.
        num_train: Rows to train on, which come first. The others are for the backtest.
        note: Why there is no season. Empty if there is one or the user chose it.
    """

    season: int
    segment: int
    horizon: int
    num_rows: int
    num_train: int
    note: str

    @property
    def needed(self) -> int:
        """Least number of training rows with readings, for each channel."""
        return 2 * max(self.season, 2 * self.segment) + self.horizon

    @property
    def need(self) -> str:
        """Say how many rows are needed, and why."""
        season = f"a season of {self.season}" if self.season > 1 else "no season"
        return f"{season}, segments of {self.segment} and a horizon of {self.horizon} need {self.needed}"

    @property
    def smaller(self) -> str:
        """Name the options of which smaller values need fewer rows."""
        return f"{'--season' if self.season > 2 * self.segment else '--segment'} or --horizon"


def choose(options: argparse.Namespace) -> Choice:
    """Read the file and choose settings that suit it. See `training.own.registry.choose`."""
    found = _read(options)
    cut = _cut(found, options)
    _check_length(options.csv, cut)
    _check_channels(options.csv, found, cut)
    return Choice(_settings(options, found, cut), _describe(options.csv, found, cut))


def _read(options: argparse.Namespace) -> OwnTable:
    """Read the columns of the file that the options name."""
    if options.time is None:
        raise SettingsError("--csv needs --time, the name of its column of times")
    if twice := [name for name, times in Counter(options.target).items() if times > 1]:
        raise SettingsError(f"--target {twice[0]} is given more than once")
    return own_table.read(
        options.csv,
        Columns(options.time, tuple(options.target)),
        options.gaps,
        options.duplicates,
        Notation(options.decimal, options.dates, options.zone, options.encoding),
    )


def _settings(options: argparse.Namespace, found: OwnTable, cut: Cut) -> dict[str, Any]:
    """Return settings that suit the table."""
    return {
        "data": {
            "own": {
                "path": str(options.csv),
                "sha256": sha256_of(options.csv),
                "time": options.time,
                "targets": found.table.channels,
                "gaps": options.gaps,
                "duplicates": options.duplicates,
                "decimal": options.decimal,
                "dates": options.dates,
                "zone": options.zone,
                "encoding": options.encoding,
                "interval": str(found.interval),
                "horizon": cut.horizon,
                "naive_season": cut.season,
            },
            "choice_stride": _choice_stride(cut),
        },
        **_sizes(found.table.readings[: cut.num_train], cut),
    }


def _choice_stride(cut: Cut) -> int:
    """Return the stride of the origins that choose the epoch, which are spread evenly over a season and a segment.

    With every 12th hour, the bands would be fitted to forecasts that are made at two hours of the day.
    """
    longest = max(1, (cut.num_rows - cut.num_train) // CHOSEN_BY)
    cycle = math.lcm(cut.season, cut.segment)
    return next(stride for stride in range(longest, 0, -1) if math.gcd(stride, cycle) == 1)


def _cut(found: OwnTable, options: argparse.Namespace) -> Cut:
    """Cut a table by the options, or else by its interval and length."""
    num_rows = len(found.table.readings)
    season, note = options.season or _suggest_season(found, options.gaps), ""
    if not options.season and 4 * season > num_rows:
        note = f"{num_rows} rows are too few for a season of {season}, so none is used"
        season = 1
    elif not options.season and season <= 1:
        note = f"rows {found.interval.each} suggest no season, so none is used; set one with --season"
    segment = options.segment or suggest_segment(season)
    season = max(season, 1)
    horizon = options.horizon or max(season, segment)
    return Cut(season, segment, horizon, num_rows, len(last_part(num_rows, horizon)["train"]), note)


def _suggest_season(found: OwnTable, gaps: Gaps) -> int:
    if gaps == "ignore":
        return suggest_season_of_rows(found.interval, found.times)
    return suggest_season(found.interval)


def _check_length(path: Path, cut: Cut) -> None:
    _, segment, horizon, num_rows, num_train, note = cut
    noted = f" ({note})" if note else ""
    if horizon > MOST_SEGMENTS * segment:
        raise SettingsError(
            f"--horizon {horizon} is more than {MOST_SEGMENTS} segments of {segment} rows: "
            f"give a --segment of at least {-(-horizon // MOST_SEGMENTS)}, or a smaller --horizon{noted}"
        )
    if num_train < cut.needed:
        raise DataError(
            f"{path}: too short: {num_train} training rows remain before the {num_rows - num_train} rows for "
            f"the backtest; {cut.need}: give more rows, or a smaller {cut.smaller}{noted}"
        )


def _check_channels(path: Path, found: OwnTable, cut: Cut) -> None:
    """Check that every channel has enough training readings, and that they are not all the same.

    Raises:
        DataError: A channel's are not.
    """
    for name, column in zip(found.table.channels, found.table.readings[: cut.num_train].T, strict=True):
        known = column[~np.isnan(column)]
        if not known.size or known.min() == known.max():
            raise DataError(
                f"{path}: column {name!r} has no two different readings among the {cut.num_train} training rows, those "
                "before the backtest: leave it out by naming the other columns with --target"
            )
        if known.size < cut.needed:
            raise DataError(
                f"{path}: column {name!r} begins late: it has {known.size} training readings before the backtest; "
                f"{cut.need}: leave it out by naming the other columns with --target, or give a smaller {cut.smaller}"
            )


def _sizes(train: NDArray[np.float64], cut: Cut) -> dict[str, Any]:
    """Return settings of model, windows and loop for the number of training readings."""
    season, segment, horizon = cut.season, cut.segment, cut.horizon
    num_readings = int((~np.isnan(train)).sum())
    cycle = math.lcm(season, segment)
    per_season = max(cycle // segment, 1)
    past = min(max(2 * per_season, 4), LONGEST_WINDOW)
    is_small = num_readings < FEW_READINGS
    has_channels = train.shape[1] > 1 and not np.isnan(train).any()
    return {
        "model": {
            "segment": segment,
            "season": cycle,
            "max_segments": -(-horizon // segment),
            "embedding_size": 64 if is_small else 128,
            "hidden_size": 64 if is_small else 128 if num_readings < MANY_READINGS else 256,
        },
        "windows": {
            "rows": 64 if is_small else 128,
            "batches": 50 if is_small else 100,
            "short_segments": past,
            "long_segments": min(4 * past, LONGEST_WINDOW),
            "least_known": min(horizon, segment),
            "mixed_share": 0.5 if has_channels else 0.0,
            "blended_share": 0.5,
            "blend_cycle": cycle,
            "known_share": 0.0 if _drifts(train) else 0.7,
        },
        "loop": {"epochs": 10, "patience": 4},
    }


def _drifts(train: NDArray[np.float64]) -> bool:
    """Whether the two halves of some channel have means that differ by more than DRIFT."""
    return any(_drifts_alone(column[~np.isnan(column)]) for column in train.T)


def _drifts_alone(readings: NDArray[np.float64]) -> bool:
    _, scale = level_and_scale(readings)
    (early, _), (late, _) = map(level_and_scale, np.array_split(readings, 2))
    return bool(np.abs(late - early) > DRIFT * scale)


def _describe(path: Path, found: OwnTable, cut: Cut) -> str:
    note = f"{cut.note}\n" if cut.note else ""
    filled = f", {plural(found.num_filled, 'reading')} filled in" if found.num_filled else ""
    cycle = math.lcm(cut.season, cut.segment)
    common = f" (the network's season is {cycle}, a whole number of segments)" if cycle != cut.season > 1 else ""
    left_out = (
        f"; left out because they have no name or no numbers: {', '.join(map(repr, found.left_out))}"
        if found.left_out
        else ""
    )
    return (
        f"{note}{path}: {cut.num_rows} rows, one {found.interval.each}, "
        f"{found.times[0]} to {found.times[-1]}{found.clock}{filled}\n"
        f"channels: {', '.join(found.table.channels)}{left_out}\n"
        f"season {cut.season}{common}, segments of {cut.segment}, horizon {cut.horizon}; "
        f"{cut.num_train} rows for training, the last {cut.num_rows - cut.num_train} for the backtest"
        + "".join(f"\n{said}" for said in (*found.examples, *outlier_warnings(found.table)))
    )
