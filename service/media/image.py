"""Image files as the few pixels that a model reads.

A drawing may be dark on light or light on dark, of any size, with margins. Its border is paper; what differs from that
is ink. The ink fills the height of the model's image. Across, the image's middle stays in the middle as far as the ink
allows, so that left is still left.
"""

import base64
import re
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

FORMATS = ("PNG", "JPEG")
MAX_SIDE = 4096  # pixels; a long thin image is padded to a square
GREYS_OF_16_BITS = 257  # per grey of 8 bits
LEAST_CONTRAST = 16.0  # of 255
LEAST_INK = 0.15  # relative to the darkest pixel

_DATA_URL = re.compile(r"\s*data:[^,]*;base64,", re.IGNORECASE)
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")

Pixels = NDArray[np.float32]


class NoImage(ValueError):
    """Bytes that cannot be read as an image, and why."""


def from_base64(text: str) -> bytes:
    """Decode a file in base64, which may be a data URL, be broken into lines, or lack its padding.

    Raises:
        NoImage: It is not base64, and why.
    """
    prefix = _DATA_URL.match(text)
    code = "".join(text[prefix.end() if prefix else 0 :].split()).rstrip("=")
    if wrong := _NOT_BASE64.search(code):
        raise NoImage(f"the image is not base64, which has no character {wrong[0]!r}")
    if len(code) % 4 == 1:
        raise NoImage("the base64 image is cut off within its last byte")
    return base64.b64decode(code + "=" * (-len(code) % 4))


def read_image(content: bytes, size: int, largest: float) -> Pixels:
    """Read an image file as float32 (size, size), 0 for paper and `largest` for ink.

    Raises:
        NoImage: It is not a PNG or JPEG file, or is damaged, too large or blank.
    """
    ink = _ink(_grey(content))
    window = _window(ink)
    small = Image.fromarray(window).resize((size, size), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) * np.float32(largest)


def _grey(content: bytes) -> Pixels:
    """Return the brightness, from 0 to 255, with white paper where the image is transparent."""
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            if max(image.size) > MAX_SIDE:
                raise NoImage(f"an image may be {MAX_SIDE} pixels wide and high, not {image.width} x {image.height}")
            if image.mode.startswith("I"):  # 16 bits: Pillow would turn all greys but the darkest into white
                return np.asarray(image, dtype=np.float32) / np.float32(GREYS_OF_16_BITS)
            opaque = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    except UnidentifiedImageError:
        raise NoImage(f"the image is not a {' or '.join(FORMATS)} file") from None
    except NoImage:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise NoImage(f"the image cannot be read: {error}") from None
    return np.asarray(opaque.convert("L"), dtype=np.float32)


def _ink(grey: Pixels) -> Pixels:
    """Return how much each pixel differs from paper, from 0 to 1."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    contrast = np.abs(grey - np.median(border))
    darkest = contrast.max()
    if darkest < LEAST_CONTRAST:
        raise NoImage("the image is blank")
    return np.asarray(contrast / darkest, dtype=np.float32)


def _window(ink: Pixels) -> Pixels:
    """Return the square around the ink, as large as its longer side, with columns as central as the ink allows."""
    rows, columns = (np.flatnonzero((ink > LEAST_INK).any(axis=axis)) for axis in (1, 0))
    (top, bottom), (left, right) = (rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1)
    side = max(bottom - top, right - left)
    top = (top + bottom - side) // 2
    left = np.clip((ink.shape[1] - side) // 2, right - side, left)
    inside = ink[max(0, top) : top + side, max(0, left) : left + side]
    before = max(0, -top), max(0, -left)
    return np.pad(inside, [(start, side - start - size) for start, size in zip(before, inside.shape, strict=True)])
