"""Causal normalisation of a channel's readings by its running statistics: its seasons and its scale.

Does not know the network. Raw readings and statistics are float64, so that small changes at a level of 1e9 are kept.
The network's features are float32, dimensionless, and unchanged if all readings are multiplied by a > 0 and shifted.

Readings come in segments of S, and a season has P segments: S = 24, P = 1 for hours; S = 4, P = 13 for weeks. For a
segment s, after n whole seasons, with season_k[s] the S readings of season k at the position of s:

    g_k         = max(1 - decay_k, 1 / (n + 1))             a plain average at first, later an exponential one
    season_0[s] = s                                         the last season
    season_k[s] = season_k[s] + g_k (s - season_k[s])       running seasons, one for each decay
    level       = mean(season_K)                            of the slowest
    scale       = scale + g (mean |s - level| - scale)      mean absolute deviation: no squares, so nothing overflows

Seasons are stored oldest segment first, which is the position that the next segment updates. An unfinished segment
updates only the positions of its readings, and the scale by its share of a whole segment.

A channel's typical level and scale may be known beforehand. Its typical scale is then the unit of all features.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

# Inputs are clipped: far outside its training range the network saturates, and float32 overflows.
LARGEST_FEATURE = 10.0
LARGEST_SEASON = 20.0  # a reading of a running season, which enters forecasts directly
LARGEST_LOGARITHM = 3.0


@dataclass(frozen=True)
class Seasonality:
    """How readings are cut into segments and seasons, and how fast their statistics decay.

    Args:
        segment: S, readings in a segment.
        season: Readings in a season, P times S.
        decays: Decay per season of each running season, the slowest last.
        scale_decay: Decay per season of the scale.
    """

    segment: int
    season: int
    decays: tuple[float, ...]
    scale_decay: float

    @property
    def segments_per_season(self) -> int:
        """P."""
        return self.season // self.segment

    @property
    def num_seasons(self) -> int:
        """K: the last season and the running ones."""
        return 1 + len(self.decays)

    @property
    def feature_size(self) -> int:
        """F, the number of features of a segment; see `SegmentFeatures`."""
        return 2 * self.segment + self.num_seasons + 6


class RunningStatistics(NamedTuple):
    """The running statistics of N channels.

    Args:
        seen: Segments seen, float64 (N, 1).
        seasons: The last season, then one running season for each decay, float64 (N, K, P * S).
        scale: Running mean absolute deviation, float64 (N, 1).
        center: Typical level of a known channel, float64 (N, 1).
        unit: Typical scale of a known channel, float64 (N, 1). 0 if the channel is unknown.
    """

    seen: Tensor
    seasons: Tensor
    scale: Tensor
    center: Tensor
    unit: Tensor

    @property
    def last(self) -> Tensor:
        """The latest reading after whole segments, float64 (N, 1)."""
        return self.seasons[:, 0, -1:]


class SegmentFeatures(NamedTuple):
    """The features of a segment.

    Args:
        last: The latest reading, float64 (N, 1). Forecasts are relative to it.
        scale: Unit of the forecasts, float64 (N, 1). 0 as long as all readings of an unknown channel were equal.
        vector: float32 (N, F), in the order that trained weights rely on: the S readings relative to the one before
            the segment, 0 where none has arrived; which of them have arrived (S); the levels of the K seasons relative
            to the latest reading; the logarithm of the scale's growth; 1 / (seasons seen + 1); whether the channel is
            known; the latest reading and the slowest level relative to the typical level; the logarithm of the running
            scale. Readings, levels and the running scale are in units of `scale`.
        seasons: The running seasons and the typical level relative to the latest reading, float32 (N, K + 1, P * S).
    """

    last: Tensor
    scale: Tensor
    vector: Tensor
    seasons: Tensor


class PartialSegment(NamedTuple):
    """A segment of which perhaps only the first readings have arrived.

    Args:
        readings: float64 (N, S), 0 where none has arrived.
        is_there: Whether each reading has arrived: the first `filled` have, bool (N, S).
        filled: Number of readings that have arrived, int64 (N, 1), 0 to S.
        share: `filled` as a share of S, float64 (N, 1).
    """

    readings: Tensor
    is_there: Tensor
    filled: Tensor
    share: Tensor

    @property
    def sum(self) -> Tensor:
        """Sum of the readings, float64 (N, 1)."""
        return row_sum(self.readings).unsqueeze(1)

    @property
    def divisor(self) -> Tensor:
        """Divisor for the readings' mean, int64 (N, 1): their number, or 1 if there are none."""
        return self.filled.clamp(min=1)


def read_segment(
    statistics: RunningStatistics, segment: Tensor, seasonality: Seasonality
) -> tuple[RunningStatistics, SegmentFeatures]:
    """Read a whole segment, float64 (N, S).

    Returns:
        The statistics after it, and its features.
    """
    filled = torch.full_like(segment[:, :1], seasonality.segment, dtype=torch.int64)
    after, features = peek_segment(statistics, segment, filled, seasonality)
    S = seasonality.segment
    if seasonality.segments_per_season == 1:
        return after, features
    return after._replace(seasons=torch.cat([after.seasons[..., S:], after.seasons[..., :S]], dim=2)), features


def peek_segment(
    statistics: RunningStatistics, segment: Tensor, filled: Tensor, seasonality: Seasonality
) -> tuple[RunningStatistics, SegmentFeatures]:
    """Read the first `filled` readings of a segment, without moving the seasons on to the next one.

    Args:
        statistics: The statistics before the segment.
        segment: Readings, float64 (N, S). Those beyond `filled` are ignored, even if NaN.
        filled: Number of readings, int64 (N, 1), 0 to S.
        seasonality: Seasonality of the channels.

    Returns:
        The statistics after these readings, and the features of the segment.
    """
    is_there = torch.arange(seasonality.segment, device=segment.device) < filled  # (N, S)
    partial = PartialSegment(
        torch.where(is_there, segment, 0.0), is_there, filled, filled.double() / seasonality.segment
    )
    after = statistics._replace(
        seen=statistics.seen + partial.share, seasons=_update_seasons(statistics, partial, seasonality)
    )
    after = after._replace(scale=_update_scale(statistics, after, partial, seasonality))
    return after, _segment_features(statistics, after, partial, seasonality)


def _update_seasons(statistics: RunningStatistics, partial: PartialSegment, seasonality: Seasonality) -> Tensor:
    """Return the next seasons (N, K, P * S). Positions not seen yet get the mean of all readings so far."""
    S, P = seasonality.segment, seasonality.segments_per_season
    before = statistics.seasons[..., :S]
    running = before[:, 1:] + _gains(statistics, seasonality) * (partial.readings.unsqueeze(1) - before[:, 1:])
    arrived = torch.cat([partial.readings.unsqueeze(1), running], dim=1)
    now = torch.where(partial.is_there.unsqueeze(1), arrived, before)
    if P == 1:
        is_unseen = (statistics.seen == 0) & ~partial.is_there
        return torch.where(is_unseen.unsqueeze(1), (partial.sum / partial.divisor).unsqueeze(2), now)
    num_before = statistics.seen * S
    total = _level(statistics.seasons[:, 0]).unsqueeze(1) * num_before + partial.sum
    mean = total / (num_before + partial.filled).clamp(min=1)
    is_unseen = torch.arange(seasonality.season, device=now.device) < seasonality.season - num_before
    is_unseen = torch.cat([is_unseen[:, :S] & ~partial.is_there, is_unseen[:, S:]], dim=1)
    seasons = torch.cat([now, statistics.seasons[..., S:]], dim=2)
    return torch.where(is_unseen.unsqueeze(1), mean.unsqueeze(2), seasons)


def _gains(statistics: RunningStatistics, seasonality: Seasonality) -> Tensor:
    """Return g_k of each running season, (N, K - 1, 1)."""
    rates = torch.tensor(
        [1.0 - decay for decay in seasonality.decays], dtype=torch.float64, device=statistics.seen.device
    )
    num_whole = torch.floor(statistics.seen / seasonality.segments_per_season)
    return torch.maximum(rates, 1 / (num_whole + 1)).unsqueeze(2)


def _update_scale(
    before: RunningStatistics, after: RunningStatistics, partial: PartialSegment, seasonality: Seasonality
) -> Tensor:
    """Return the next scale (N, 1): a plain average at first, later an exponential one with a rate per season."""
    level = _level(after.seasons[:, -1]).unsqueeze(1)
    distances = torch.where(partial.is_there, (partial.readings - level).abs(), 0.0)
    deviation = row_sum(distances).unsqueeze(1) / partial.divisor
    average = partial.share / after.seen.clamp(min=1 / seasonality.segment)
    gain = torch.maximum((1.0 - seasonality.scale_decay) / seasonality.segments_per_season * partial.share, average)
    return before.scale + gain * (deviation - before.scale)


def _segment_features(
    before: RunningStatistics, after: RunningStatistics, partial: PartialSegment, seasonality: Seasonality
) -> SegmentFeatures:
    """Return the features, in units of the typical scale if the channel is known, else of the running scale."""
    newest = partial.readings.gather(1, partial.divisor - 1)
    last = torch.where(partial.filled > 0, newest, before.last)
    is_known = after.unit > 0
    scale = torch.where(is_known, after.unit, after.scale)
    unit = torch.where(scale > 0, scale, 1.0)
    levels = _level(after.seasons)
    center = torch.where(is_known, after.center, levels[:, -1:])
    reference = torch.where(before.seen == 0, partial.readings[:, :1], before.last)
    vector = torch.cat(
        [
            torch.where(partial.is_there, (partial.readings - reference) / unit, 0.0),
            partial.is_there.double(),
            (levels - last) / unit,
            _growth(before, after),
            1 / (after.seen / seasonality.segments_per_season + 1),
            is_known.double(),
            (last - center) / unit,
            (levels[:, -1:] - center) / unit,
            _logarithm(after.scale, scale),
        ],
        dim=1,
    )
    seasons = torch.cat([after.seasons, center.unsqueeze(2).expand(-1, -1, seasonality.season)], dim=1)
    seasons = (seasons - last.unsqueeze(2)) / unit.unsqueeze(2)
    return SegmentFeatures(last, scale, as_input(vector, LARGEST_FEATURE), as_input(seasons, LARGEST_SEASON))


def _level(seasons: Tensor) -> Tensor:
    # Not Tensor.mean: the exporter names its result "mean", which is already an output of the forecast graph.
    return row_sum(seasons) / seasons.shape[-1]


def row_sum(values: Tensor) -> Tensor:
    """Sum over the last axis, padded with zeros to a multiple of 4.

    onnxruntime sums a row in an order that depends on its alignment. If rows have an odd number of float64, every
    second one is misaligned, and a row's sum would depend on its place in the batch.
    """
    missing = -values.shape[-1] % 4
    return (torch.nn.functional.pad(values, (0, missing)) if missing else values).sum(dim=-1)


def _growth(before: RunningStatistics, after: RunningStatistics) -> Tensor:
    """Return the logarithm of the scale's growth, (N, 1). The network needs it: its state is in the old unit."""
    return _logarithm(torch.where(after.scale > 0, after.scale, 1.0), before.scale)


def _logarithm(scale: Tensor, reference: Tensor) -> Tensor:
    """Return log(scale / reference), (N, 1), clipped. 0 if either is 0."""
    has_both = (scale > 0) & (reference > 0)
    ratio = torch.where(has_both, scale, 1.0) / torch.where(has_both, reference, 1.0)
    return ratio.log().clamp(-LARGEST_LOGARITHM, LARGEST_LOGARITHM)


def as_input(values: Tensor, largest: float) -> Tensor:
    """Clip float64 values and convert them to float32."""
    return values.clamp(-largest, largest).float()
