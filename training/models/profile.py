"""What a channel has looked like so far: running days and a running scale, the causal normalisation of its readings.

Knows no network. Everything that touches raw readings is float64, so that a level of 1e9 leaves room for its details;
what it hands on is float32, without unit, and unchanged when all readings are multiplied by a > 0 and shifted by b.

For the segment s of 24 readings, with n segments seen before:

    g_k     = max(1 - decay_k, 1 / (n + 1))             plain average at first, exponentially forgetting later
    day_0   = s                                         the last day
    day_k   = day_k + g_k (s - day_k)                   running days, one for each decay
    level   = mean(day_K)                               of the slowest
    scale   = scale + g (mean |s - level| - scale)      mean absolute deviation: no squares, so nothing overflows

An unfinished segment changes only the hours that it has, and the scale by its share of a whole one.
"""

from typing import NamedTuple

import torch
from torch import Tensor

SEGMENT = 24

# Features are clipped: far outside what it was trained on the network saturates, and float32 overflows.
LARGEST_FEATURE = 10.0
LARGEST_DAY = 20.0


class Profile(NamedTuple):
    """The running statistics of N channels.

    Args:
        seen: Segments seen, float64 (N, 1).
        days: The last day, then one running day for each decay, float64 (N, K, 24).
        scale: Running mean absolute deviation, float64 (N, 1).
    """

    seen: Tensor
    days: Tensor
    scale: Tensor

    @property
    def last(self) -> Tensor:
        """The latest reading after whole segments, float64 (N, 1)."""
        return self.days[:, 0, -1:]


class View(NamedTuple):
    """A segment as the network sees it.

    Args:
        last: The latest reading, float64 (N, 1): what forecasts are relative to.
        scale: Unit of the forecasts, float64 (N, 1); 0 as long as all readings were equal.
        features: The segment relative to the reading before it, and how it changed the statistics, float32 (N, F).
        days: The running days relative to the latest reading, float32 (N, K, 24).
    """

    last: Tensor
    scale: Tensor
    features: Tensor
    days: Tensor


def feature_size(decays: tuple[float, ...]) -> int:
    """F, the number of features of a segment."""
    return 2 * SEGMENT + (1 + len(decays)) + 2


def observe(
    profile: Profile, segment: Tensor, filled: Tensor, decays: tuple[float, ...], scale_decay: float
) -> tuple[Profile, View]:
    """Take in a segment of which the first `filled` readings are there.

    Args:
        profile: The statistics before it.
        segment: Readings, float64 (N, 24); those beyond `filled` are ignored, whatever they are.
        filled: int64 (N, 1), 0 to 24.
        decays: Decay per segment of each running day, the slowest last.
        scale_decay: Decay per segment of the scale.
    """
    is_there = torch.arange(SEGMENT, device=segment.device) < filled  # (N, 24)
    segment = torch.where(is_there, segment, 0.0)
    after = Profile(
        profile.seen + filled.double() / SEGMENT,
        _update_days(profile, segment, is_there, filled, decays),
        profile.scale,
    )
    after = after._replace(scale=_update_scale(profile, after, segment, is_there, filled, scale_decay))
    return after, _view(profile, after, segment, is_there, filled)


def _update_days(
    profile: Profile, segment: Tensor, is_there: Tensor, filled: Tensor, decays: tuple[float, ...]
) -> Tensor:
    """The next days (N, K, 24); the hours that a fresh channel has not seen get the mean of those that it has."""
    rates = torch.tensor([1.0 - decay for decay in decays], dtype=torch.float64, device=segment.device)
    gains = torch.maximum(rates, 1 / (profile.seen + 1)).unsqueeze(2)  # (N, K - 1, 1)
    running = profile.days[:, 1:]
    running = running + gains * (segment.unsqueeze(1) - running)
    known = torch.cat([segment.unsqueeze(1), running], dim=1)
    mean = segment.sum(dim=1, keepdim=True) / filled.clamp(min=1)
    unknown = torch.where((profile.seen == 0).unsqueeze(2), mean.unsqueeze(2), profile.days)
    return torch.where(is_there.unsqueeze(1), known, unknown)


def _update_scale(
    before: Profile, after: Profile, segment: Tensor, is_there: Tensor, filled: Tensor, decay: float
) -> Tensor:
    """The next scale (N, 1)."""
    level = _level(after.days[:, -1:])
    deviation = torch.where(is_there, (segment - level).abs(), 0.0).sum(dim=1, keepdim=True) / filled.clamp(min=1)
    share = filled.double() / SEGMENT
    average = share / after.seen.clamp(min=1 / SEGMENT)
    gain = torch.maximum((1.0 - decay) * share, average)
    return before.scale + gain * (deviation - before.scale)


def _view(before: Profile, after: Profile, segment: Tensor, is_there: Tensor, filled: Tensor) -> View:
    newest = segment.gather(1, filled.clamp(min=1) - 1)
    last = torch.where(filled > 0, newest, before.last)
    reference = torch.where(before.seen == 0, segment[:, :1], before.last)
    unit = torch.where(after.scale > 0, after.scale, 1.0)
    relative = torch.where(is_there, (segment - reference) / unit, 0.0)
    levels = (_level(after.days) - last) / unit
    features = torch.cat([relative, is_there.double(), levels, _growth(before, unit), 1 / (after.seen + 1)], dim=1)
    days = (after.days - last.unsqueeze(2)) / unit.unsqueeze(2)
    return View(last, after.scale, _as_input(features, LARGEST_FEATURE), _as_input(days, LARGEST_DAY))


def _level(days: Tensor) -> Tensor:
    # Not Tensor.mean: the exporter names its result "mean", which is the name of an output of the forecast graph.
    return days.sum(dim=2) / SEGMENT


def _growth(before: Profile, unit: Tensor) -> Tensor:
    """How the unit changed, as a logarithm (N, 1): a hidden state made with the old unit is read with the new."""
    is_known = before.scale > 0
    ratio = unit / torch.where(is_known, before.scale, unit)
    return torch.where(is_known, ratio.log(), 0.0).clamp(-3.0, 3.0)


def _as_input(values: Tensor, largest: float) -> Tensor:
    return values.clamp(-largest, largest).float()
