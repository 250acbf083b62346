"""Image files as the few pixels that a model reads.

A drawing may be dark on light or light on dark, of any size, with margins. What its border shows is paper; what differs
from that is ink. The ink's rows fill the model's image; its columns stay where they are around the image's middle, as
far as they are inside then, so that left is still left.
"""

import base64
import re
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

FORMATS = ("PNG", "JPEG")
MAX_SIDE = 4096  # pixels; a long thin image would become a square of its length
GREYS_OF_16_BITS = 257  # for each of 8 bits
LEAST_CONTRAST = 16.0  # of 255
LEAST_INK = 0.15  # of the darkest

_DATA_URL = re.compile(r"\s*data:[^,]*;base64,", re.IGNORECASE)
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")

Pixels = NDArray[np.float32]


class NoImage(ValueError):
    """Bytes that are no image that can be read, and why."""


def from_base64(text: str) -> bytes:
    """The bytes of a file that is written in base64: also as a data URL, in lines, or without its padding.

    Raises:
        NoImage: It is not written so, and why.
    """
    prefix = _DATA_URL.match(text)
    code = "".join(text[prefix.end() if prefix else 0 :].split()).rstrip("=")
    if wrong := _NOT_BASE64.search(code):
        raise NoImage(f"the image is not base64, which has no character {wrong[0]!r}")
    if len(code) % 4 == 1:
        raise NoImage("the base64 image is cut off within its last byte")
    return base64.b64decode(code + "=" * (-len(code) % 4))


def read_image(content: bytes, size: int, largest: float) -> Pixels:
    """An image file as float32 (size, size), 0 for paper and `largest` for ink.

    Raises:
        NoImage: It is no PNG or JPEG file, damaged, too large or blank.
    """
    ink = _ink(_grey(content))
    window = _window(ink)
    small = Image.fromarray(window).resize((size, size), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) * np.float32(largest)


def _grey(content: bytes) -> Pixels:
    """Brightness from 0 to 255, on white paper where the image is transparent."""
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            if max(image.size) > MAX_SIDE:
                raise NoImage(f"an image may be {MAX_SIDE} pixels wide and high, not {image.width} x {image.height}")
            if image.mode.startswith("I"):  # 16 bits, of which Pillow would take all but the darkest for white
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
    """How far each pixel is from paper, from 0 to 1."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    contrast = np.abs(grey - np.median(border))
    darkest = contrast.max()
    if darkest < LEAST_CONTRAST:
        raise NoImage("the image is blank")
    return np.asarray(contrast / darkest, dtype=np.float32)


def _window(ink: Pixels) -> Pixels:
    """The square around the ink: as high as it, or as wide where it is wider, its columns as near as they can be."""
    rows, columns = (np.flatnonzero((ink > LEAST_INK).any(axis=axis)) for axis in (1, 0))
    (top, bottom), (left, right) = (rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1)
    side = max(bottom - top, right - left)
    top = (top + bottom - side) // 2
    left = np.clip((ink.shape[1] - side) // 2, right - side, left)
    inside = ink[max(0, top) : top + side, max(0, left) : left + side]
    before = max(0, -top), max(0, -left)
    return np.pad(inside, [(start, side - start - size) for start, size in zip(before, inside.shape, strict=True)])
