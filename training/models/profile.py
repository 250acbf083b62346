"""What a channel has looked like so far: running seasons and a running scale, the causal normalisation of its readings.

Knows no network. Everything that touches raw readings is float64, so that a level of 1e9 leaves room for its details;
what it hands on is float32, without unit, and unchanged when all readings are multiplied by a > 0 and shifted by b.

Readings come in segments of S, and a season has P of them: 24 and 1 for hours, 4 and 13 for weeks. For the segment s,
with n whole seasons seen before, where season_k[s] are the S readings of season k at the place of s:

    g_k         = max(1 - decay_k, 1 / (n + 1))             plain average at first, exponentially forgetting later
    season_0[s] = s                                         the last season
    season_k[s] = season_k[s] + g_k (s - season_k[s])       running seasons, one for each decay
    level       = mean(season_K)                            of the slowest
    scale       = scale + g (mean |s - level| - scale)      mean absolute deviation: no squares, so nothing overflows

Seasons are kept with the oldest segment first, which is the place of the segment to come. An unfinished segment changes
only the readings that it has, and the scale by its share of a whole one.

A channel may be known from before: its typical level and its typical scale, which then is the unit of everything.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

# Features are clipped: far outside what it was trained on the network saturates, and float32 overflows.
LARGEST_FEATURE = 10.0
LARGEST_DAY = 20.0


@dataclass(frozen=True)
class Rhythm:
    """How the readings of a channel are cut, and how fast their profile forgets.

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
        """K, the last season and the running ones."""
        return 1 + len(self.decays)

    @property
    def feature_size(self) -> int:
        """F, the number of features of a segment."""
        return 2 * self.segment + self.num_seasons + 2 + len(_KNOWN_FEATURES)


_KNOWN_FEATURES = ("is known", "latest reading", "slowest level", "scale")


class Profile(NamedTuple):
    """The running statistics of N channels.

    Args:
        seen: Segments seen, float64 (N, 1).
        seasons: The last season, then one running season for each decay, float64 (N, K, P * S).
        scale: Running mean absolute deviation, float64 (N, 1).
        center: Typical level of a known channel, float64 (N, 1).
        unit: Typical scale of a known channel, float64 (N, 1); 0 where the channel is not known.
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


class View(NamedTuple):
    """A segment as the network sees it.

    Args:
        last: The latest reading, float64 (N, 1): what forecasts are relative to.
        scale: Unit of the forecasts, float64 (N, 1); 0 as long as all readings of an unknown channel were equal.
        features: The segment relative to the reading before it, and how it changed the statistics, float32 (N, F).
        seasons: The running seasons and the typical level relative to the latest reading, float32 (N, K + 1, P * S).
    """

    last: Tensor
    scale: Tensor
    features: Tensor
    seasons: Tensor


def read_segment(profile: Profile, segment: Tensor, rhythm: Rhythm) -> tuple[Profile, View]:
    """Take in a whole segment, float64 (N, S)."""
    filled = torch.full_like(segment[:, :1], rhythm.segment, dtype=torch.int64)
    after, view = look_at(profile, segment, filled, rhythm)
    S = rhythm.segment
    if rhythm.segments_per_season == 1:
        return after, view
    return after._replace(seasons=torch.cat([after.seasons[..., S:], after.seasons[..., :S]], dim=2)), view


def look_at(profile: Profile, segment: Tensor, filled: Tensor, rhythm: Rhythm) -> tuple[Profile, View]:
    """Look at a segment of which the first `filled` readings are there; the seasons still begin with its place.

    Args:
        profile: The statistics before it.
        segment: Readings, float64 (N, S); those beyond `filled` are ignored, whatever they are.
        filled: int64 (N, 1), 0 to S.
        rhythm: Of the channels.
    """
    is_there = torch.arange(rhythm.segment, device=segment.device) < filled  # (N, S)
    segment = torch.where(is_there, segment, 0.0)
    after = profile._replace(
        seen=profile.seen + filled.double() / rhythm.segment,
        seasons=_update_seasons(profile, segment, is_there, filled, rhythm),
    )
    after = after._replace(scale=_update_scale(profile, after, segment, is_there, filled, rhythm))
    return after, _view(profile, after, segment, is_there, filled, rhythm)


def _update_seasons(profile: Profile, segment: Tensor, is_there: Tensor, filled: Tensor, rhythm: Rhythm) -> Tensor:
    """The next seasons (N, K, P * S); places that a fresh channel has not seen get the mean of those that it has."""
    S, P = rhythm.segment, rhythm.segments_per_season
    rates = torch.tensor([1.0 - decay for decay in rhythm.decays], dtype=torch.float64, device=segment.device)
    num_whole = torch.floor(profile.seen / P)
    gains = torch.maximum(rates, 1 / (num_whole + 1)).unsqueeze(2)  # (N, K - 1, 1)
    before = profile.seasons[..., :S]
    running = before[:, 1:] + gains * (segment.unsqueeze(1) - before[:, 1:])
    known = torch.cat([segment.unsqueeze(1), running], dim=1)
    now = torch.where(is_there.unsqueeze(1), known, before)
    if P == 1:
        mean = row_sum(segment).unsqueeze(1) / filled.clamp(min=1)
        is_unknown = (profile.seen == 0) & ~is_there
        return torch.where(is_unknown.unsqueeze(1), mean.unsqueeze(2), now)
    num_before = profile.seen * S
    total = _level(profile.seasons[:, 0]).unsqueeze(1) * num_before + row_sum(segment).unsqueeze(1)
    mean = total / (num_before + filled).clamp(min=1)
    places = torch.arange(rhythm.season, device=segment.device)
    is_unseen = places < rhythm.season - num_before
    is_unseen = torch.cat([is_unseen[:, :S] & ~is_there, is_unseen[:, S:]], dim=1)
    seasons = torch.cat([now, profile.seasons[..., S:]], dim=2)
    return torch.where(is_unseen.unsqueeze(1), mean.unsqueeze(2), seasons)


def _update_scale(
    before: Profile, after: Profile, segment: Tensor, is_there: Tensor, filled: Tensor, rhythm: Rhythm
) -> Tensor:
    """The next scale (N, 1)."""
    level = _level(after.seasons[:, -1]).unsqueeze(1)
    deviation = row_sum(torch.where(is_there, (segment - level).abs(), 0.0)).unsqueeze(1) / filled.clamp(min=1)
    share = filled.double() / rhythm.segment
    average = share / after.seen.clamp(min=1 / rhythm.segment)
    gain = torch.maximum((1.0 - rhythm.scale_decay) / rhythm.segments_per_season * share, average)
    return before.scale + gain * (deviation - before.scale)


def _view(before: Profile, after: Profile, segment: Tensor, is_there: Tensor, filled: Tensor, rhythm: Rhythm) -> View:
    newest = segment.gather(1, filled.clamp(min=1) - 1)
    last = torch.where(filled > 0, newest, before.last)
    reference = torch.where(before.seen == 0, segment[:, :1], before.last)
    is_known = after.unit > 0
    scale = torch.where(is_known, after.unit, after.scale)
    unit = torch.where(scale > 0, scale, 1.0)
    relative = torch.where(is_there, (segment - reference) / unit, 0.0)
    levels = _level(after.seasons)
    center = torch.where(is_known, after.center, levels[:, -1:])
    features = torch.cat(
        [
            relative,
            is_there.double(),
            (levels - last) / unit,
            _growth(before, after),
            1 / (after.seen / rhythm.segments_per_season + 1),
            is_known.double(),
            (last - center) / unit,
            (levels[:, -1:] - center) / unit,
            _logarithm(after.scale, scale),
        ],
        dim=1,
    )
    seasons = torch.cat([after.seasons, center.unsqueeze(2).expand(-1, -1, rhythm.season)], dim=1)
    seasons = (seasons - last.unsqueeze(2)) / unit.unsqueeze(2)
    return View(last, scale, as_input(features, LARGEST_FEATURE), as_input(seasons, LARGEST_DAY))


def _level(seasons: Tensor) -> Tensor:
    # Not Tensor.mean: the exporter names its result "mean", which is the name of an output of the forecast graph.
    return row_sum(seasons) / seasons.shape[-1]


def row_sum(values: Tensor) -> Tensor:
    """Sum over the last axis.

    Rows of an odd number of float64 begin at every second multiple of 8 bytes, and onnxruntime adds those up in another
    order than the others: a row's sum would depend on its place in the batch. So rows are filled up to a multiple of 4.
    """
    missing = -values.shape[-1] % 4
    return (torch.nn.functional.pad(values, (0, missing)) if missing else values).sum(dim=-1)


def _growth(before: Profile, after: Profile) -> Tensor:
    """How the scale changed, as a logarithm (N, 1): a hidden state made with the old unit is read with the new."""
    return _logarithm(torch.where(after.scale > 0, after.scale, 1.0), before.scale)


def _logarithm(scale: Tensor, reference: Tensor) -> Tensor:
    """log(scale / reference), (N, 1); 0 where one of them is 0."""
    has_both = (scale > 0) & (reference > 0)
    ratio = torch.where(has_both, scale, 1.0) / torch.where(has_both, reference, 1.0)
    return ratio.log().clamp(-3.0, 3.0)


def as_input(values: Tensor, largest: float) -> Tensor:
    """Float64 values as float32, clipped."""
    return values.clamp(-largest, largest).float()
