"""Piano rolls: the sounding pitches over time."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from training.data.polyphony import Frame

NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def draw_pianorolls(
    path: Path, rolls: Sequence[tuple[str, Sequence[Frame]]], frames_per_beat: int, num_given: int = 0
) -> None:
    """Draw piano rolls below each other, all with the same axes.

    Args:
        path: File of the picture.
        rolls: Title and frames of each.
        frames_per_beat: Frames per quarter note.
        num_given: How many frames at the beginning are marked as given.
    """
    figure = Figure(figsize=(12, 3 * len(rolls)), layout="constrained")
    axes = figure.subplots(len(rolls), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    for axis, (title, frames) in zip(axes, rolls, strict=True):
        sounding = [(time, pitch) for time, frame in enumerate(frames) for pitch in frame]
        for is_given, colour in ((True, "tab:gray"), (False, "tab:blue")):
            notes = [note for note in sounding if (note[0] < num_given) == is_given]
            axis.barh(
                [pitch for _, pitch in notes],
                1 / frames_per_beat,
                left=[time / frames_per_beat for time, _ in notes],
                height=0.8,
                color=colour,
            )
        lowest, highest = (limit([pitch for _, pitch in sounding], default=60) for limit in (min, max))
        ticks = [pitch for pitch in range(lowest - 1, highest + 2) if pitch % 12 in (0, 7)]
        axis.set_yticks(ticks, [f"{NAMES[pitch % 12]}{pitch // 12 - 1}" for pitch in ticks])
        axis.set(title=title, ylabel="pitch")
        axis.grid(axis="y", alpha=0.3)
    axes[-1].set_xlabel("time in quarter notes")
    figure.savefig(path, dpi=100)
