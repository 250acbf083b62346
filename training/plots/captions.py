"""Plots of images with the sentences that a model wrote about them."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from training import captions
from training.captions import Attributes
from training.data.digits import LARGEST, Images

COLUMNS = 4


def draw_captions(
    path: Path, images: Images, sentences: Sequence[Sequence[str]], expected: Sequence[Attributes]
) -> None:
    """Draw images, each under its sentence. A wrong sentence is red, with the right attributes below the image.

    Args:
        path: File of the picture.
        images: Pixels from 0 to 16, float32 (N, 8, 8).
        sentences: Words of each sentence.
        expected: The right attributes of each image.
    """
    rows = -(-len(images) // COLUMNS)
    figure = Figure(figsize=(3 * COLUMNS, 2.6 * rows), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, image, words, right in zip(axes, images, sentences, expected, strict=False):
        is_right = captions.parse(words) == right
        axis.imshow(image, cmap="gray_r", vmin=0, vmax=LARGEST)
        axis.set_title(_lines(words), fontsize=9, color="black" if is_right else "tab:red")
        if not is_right:
            axis.text(3.5, 8.2, " ".join(map(str, right)), ha="center", va="top", fontsize=8)
    figure.suptitle("Sentences written about held-out digits")
    figure.savefig(path, dpi=100)


def _lines(words: Sequence[str]) -> str:
    half = len(words) // 2
    return " ".join(words[:half]) + "\n" + " ".join(words[half:])
