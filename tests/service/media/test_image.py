import base64
import io
import tracemalloc
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.media.image import NoImage, from_base64, read_image


def file_of(pixels: NDArray[np.generic], mode: str = "L", kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.asarray(pixels, dtype=np.uint8), mode).save(content, kind)
    return content.getvalue()


def bar(height: int, width: int, top: int, bottom: int, left: int, right: int) -> NDArray[np.uint8]:
    """White on black."""
    drawing = np.zeros((height, width), dtype=np.uint8)
    drawing[top:bottom, left:right] = 255
    return drawing


DIGIT = np.random.default_rng(1).integers(0, 17, size=(8, 8)) * (np.pad(np.ones((8, 6)), [(0, 0), (1, 1)]) > 0)
DIGIT[0, 3] = DIGIT[7, 3] = 16


@pytest.mark.parametrize("content", [b"1234", b"12345", b"123456"])
@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,", "\nDATA:image/jpeg;charset=x;base64,"])
def test_base64_may_be_a_data_url_in_lines_and_without_padding(content: bytes, prefix: str) -> None:
    code = base64.b64encode(content).decode()
    for written in (code, code.rstrip("="), "\r\n ".join(code) + "\n"):
        assert from_base64(prefix + written) == content


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ab=c", "has no character '='"),
        ("data:image/png,abcd", "has no character ':'"),
        ("abc-", "has no character '-'"),
        ("abcde", "cut off"),
    ],
)
def test_what_is_no_base64_is_told_precisely(text: str, reason: str) -> None:
    with pytest.raises(NoImage, match=reason):
        from_base64(text)


@pytest.mark.parametrize("scale", [1, 8, 13])
def test_an_enlarged_image_is_read_as_the_pixels_that_it_was_made_of(scale: int) -> None:
    large = np.kron(DIGIT * 255 / 16, np.ones((scale, scale)))
    np.testing.assert_allclose(read_image(file_of(large), 8, 16), DIGIT, atol=0.1)


def test_dark_on_light_is_the_same_as_light_on_dark() -> None:
    drawing = bar(40, 40, 5, 35, 12, 20)
    assert np.array_equal(read_image(file_of(drawing), 8, 16), read_image(file_of(255 - drawing), 8, 16))


def test_transparency_is_white_paper() -> None:
    ink = bar(40, 40, 5, 35, 12, 20)
    black_ink = np.stack([np.zeros_like(ink)] * 3 + [ink], axis=2)
    assert np.array_equal(read_image(file_of(black_ink, "RGBA"), 8, 16), read_image(file_of(ink), 8, 16))


def test_margins_above_and_below_are_left_out() -> None:
    tight, loose = bar(24, 24, 0, 24, 10, 14), bar(72, 72, 20, 44, 34, 38)
    assert np.array_equal(read_image(file_of(tight), 8, 16), read_image(file_of(loose), 8, 16))


@pytest.mark.parametrize(("left", "is_left"), [(2, True), (50, False)])
def test_left_stays_left_and_nothing_is_lost(left: int, is_left: bool) -> None:
    pixels = read_image(file_of(bar(60, 60, 18, 42, left, left + 6)), 8, 16)
    assert pixels.sum() == pytest.approx(16 * 16, rel=0.02)  # two columns of eight
    half = pixels[:, :4].sum() if is_left else pixels[:, 4:].sum()
    assert half == pytest.approx(pixels.sum())


def test_what_is_wider_than_high_is_read_whole() -> None:
    pixels = read_image(file_of(bar(20, 80, 8, 12, 0, 80)), 8, 16)
    assert pixels.any(axis=0).all()
    assert not pixels[0].any()


def test_jpeg_files_are_read_too() -> None:
    drawing = bar(64, 64, 0, 64, 24, 40)
    np.testing.assert_allclose(
        read_image(file_of(drawing, kind="JPEG"), 8, 16), read_image(file_of(drawing), 8, 16), atol=1
    )


def test_sixteen_bits_of_grey_are_read_as_eight_are() -> None:
    grey = 255 - bar(40, 40, 5, 35, 12, 20) // 2
    assert np.array_equal(read_image(sixteen_bits(grey), 8, 16), read_image(file_of(grey), 8, 16))


def sixteen_bits(pixels: NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint16) * 257).save(content, "PNG")
    return content.getvalue()


def test_a_long_thin_image_takes_no_more_memory_than_a_square_one() -> None:
    content = file_of(bar(3, 4096, 1, 2, 0, 4096))
    tracemalloc.start()
    try:
        read_image(content, 8, 16)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * 4096 * 4096 * 4


def with_text_of(num_bytes: int) -> bytes:
    """A small PNG file with a comment that is longer, once it is unpacked."""
    content = file_of(bar(9, 9, 1, 8, 4, 5))
    kind_and_text = b"zTXtk\0\0" + zlib.compress(bytes(num_bytes))
    length, checksum = len(kind_and_text) - 4, zlib.crc32(kind_and_text)
    header_end = 33
    return content[:header_end] + length.to_bytes(4) + kind_and_text + checksum.to_bytes(4) + content[header_end:]


def of_size(width: int, height: int) -> bytes:
    """A PNG file that says it is of that size."""
    content = file_of(bar(9, 9, 1, 8, 4, 5))
    header = b"IHDR" + width.to_bytes(4) + height.to_bytes(4) + content[24:29]
    return content[:12] + header + zlib.crc32(header).to_bytes(4) + content[33:]


def with_broken_second_part() -> bytes:
    """A PNG file of several parts of pixels, the second of which has no name."""
    before, first, rest = file_of(np.random.default_rng(1).integers(0, 256, size=(400, 400))).split(b"IDAT", 2)
    return before + b"IDAT" + first + bytes(4) + rest


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a PNG or JPEG"),
        (b"GIF89a nonsense", "not a PNG or JPEG"),
        (file_of(bar(40, 40, 5, 35, 12, 20))[:60], "cannot be read"),
        (file_of(DIGIT, kind="GIF"), "not a PNG or JPEG"),
        (file_of(DIGIT, kind="TIFF"), "not a PNG or JPEG"),
        (with_broken_second_part(), "cannot be read"),
        (of_size(20_000, 20_000), "cannot be read"),
        (file_of(np.full((9, 9), 120)), "blank"),
        (sixteen_bits(bar(9, 9, 1, 8, 4, 5) // 16), "blank"),
        (file_of(np.zeros((4097, 9))), "4096 pixels wide and high, not 9 x 4097"),
        (with_text_of(5 * 2**20), "cannot be read: Decompressed data too large"),
    ],
)
def test_what_is_no_drawing_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(NoImage, match=reason):
        read_image(content, 8, 16)
