"""Image files as the few pixels that a model reads.

A drawing may be dark on light or light on dark, of any size, with margins. Its border is paper; what differs from that
is ink. The ink fills the height of the model's image. Across, the image's middle stays in the middle as far as the ink
allows, so that left is still left.
"""

import base64
import re
import struct
from collections.abc import Iterator
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.Image import Transpose

FORMATS = ("PNG", "JPEG")
MAX_SIDE = 4096  # pixels; a long thin image is padded to a square
GREYS_OF_16_BITS = 257  # per grey of 8 bits
LEAST_CONTRAST = 16.0  # of 255
LEAST_INK = 0.15  # relative to the darkest pixel

_DATA_URL = re.compile(r"\s*data:(?:[^,]*;base64,(?=\s*\S))?", re.IGNORECASE)
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")
_TURNS = {  # by EXIF orientation
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}

Pixels = NDArray[np.float32]


class NoImage(ValueError):
    """Bytes that cannot be read as an image, and why."""


def from_base64(text: str) -> bytes:
    """Decode a file in base64, which may be a data URL, be broken into lines, or lack its padding.

    Raises:
        NoImage: It is not base64, and why.
    """
    prefix = _DATA_URL.match(text)
    if prefix and prefix[0].endswith(":"):
        raise NoImage("the data URL is empty or not in base64")
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
    ink = _ink(content)
    window = _window(ink)
    small = Image.fromarray(window).resize((size, size), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) * np.float32(largest)


def _ink(content: bytes) -> Pixels:
    """Return how much each pixel differs from paper, from 0 to 1."""
    for shades in _shades(content):
        contrast = np.abs(shades - _paper(shades))
        darkest = contrast.max()
        if darkest >= LEAST_CONTRAST:
            return np.asarray(contrast / darkest, dtype=np.float32)
    raise NoImage("the image is blank")


def _shades(content: bytes) -> Iterator[Pixels]:
    """Yield the brightness on white paper, from 0 to 255, and without paper the opacity, which shows white ink."""
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            if max(image.size) > MAX_SIDE:
                raise NoImage(f"an image may be {MAX_SIDE} pixels wide and high, not {image.width} x {image.height}")
            upright = _upright(image)
            if image.mode.startswith("I"):  # 16 bits: Pillow would turn all greys but the darkest into white
                yield np.asarray(upright, dtype=np.float32) / np.float32(GREYS_OF_16_BITS)
                return
            colours = upright.convert("RGBA")
    except UnidentifiedImageError:
        raise NoImage(f"the image is not a {' or '.join(FORMATS)} file") from None
    except NoImage:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise NoImage(f"the image cannot be read: {error}") from None
    opaque = Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
    yield np.asarray(opaque.convert("L"), dtype=np.float32)
    opacity = np.asarray(colours.getchannel("A"), dtype=np.float32)
    if _paper(opacity) == 0:
        yield opacity


def _paper(shades: Pixels) -> float:
    """Return the shade of most of the border."""
    return float(np.median(np.concatenate([shades[0], shades[-1], shades[:, 0], shades[:, -1]])))


def _upright(image: Image.Image) -> Image.Image:
    """Return an image turned as its EXIF data says. Damaged data says nothing."""
    image.load()  # in a PNG file, EXIF data may follow the pixels
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except (OSError, SyntaxError, ValueError, struct.error):
        return image
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


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
