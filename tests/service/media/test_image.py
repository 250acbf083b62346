import base64
import io
import tracemalloc
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

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
        ("data:,", "the data URL is empty or not in base64"),
        ("data:image/png;base64,\n", "the data URL is empty or not in base64"),
        ("Data:image/png,abcd", "the data URL is empty or not in base64"),
        ("x:abcd", "has no character ':'"),
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


@pytest.mark.parametrize("colour", [255, 244])
def test_white_ink_on_no_paper_is_read_as_black_ink_is(colour: int) -> None:
    ink = bar(40, 40, 5, 35, 12, 20)
    white_ink = np.stack([np.full_like(ink, colour)] * 3 + [ink], axis=2)
    assert np.array_equal(read_image(file_of(white_ink, "RGBA"), 8, 16), read_image(file_of(ink), 8, 16))


def oriented(pixels: NDArray[np.generic], orientation: int, kind: str) -> bytes:
    content, exif = io.BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(content, kind, exif=exif, quality=100)
    return content.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_image_is_turned_as_its_exif_orientation_says(kind: str) -> None:
    seven = bar(40, 40, 5, 9, 8, 28) + bar(40, 40, 9, 35, 22, 28)
    as_stored = {
        1: seven,
        2: seven[:, ::-1],
        3: seven[::-1, ::-1],
        4: seven[::-1],
        5: seven.T,
        6: np.rot90(seven),
        7: seven[::-1, ::-1].T,
        8: np.rot90(seven, -1),
    }
    upright = read_image(file_of(seven), 8, 16)
    for orientation, stored in as_stored.items():
        np.testing.assert_allclose(read_image(oriented(stored, orientation, kind), 8, 16), upright, atol=0.3)


def test_sixteen_bits_of_grey_are_turned_too() -> None:
    content, exif = io.BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    drawing = bar(40, 40, 5, 35, 12, 20)
    Image.fromarray(np.rot90(drawing).astype(np.uint16) * 257).save(content, "PNG", exif=exif)
    assert np.array_equal(read_image(content.getvalue(), 8, 16), read_image(file_of(drawing), 8, 16))


@pytest.mark.parametrize("orientation", [0, 9])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int) -> None:
    drawing = bar(40, 40, 5, 35, 12, 20)
    assert np.array_equal(read_image(oriented(drawing, orientation, "PNG"), 8, 16), read_image(file_of(drawing), 8, 16))


@pytest.mark.parametrize("damaged", [b"nonsense", b"II*\0", b"MM\0*\0", b"II*\0\x08\0", b"II+\0"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_exif_data_turns_nothing(damaged: bytes) -> None:
    drawing = bar(40, 40, 5, 35, 12, 20)
    content = with_chunk(file_of(drawing), b"eXIf" + damaged)
    assert np.array_equal(read_image(content, 8, 16), read_image(file_of(drawing), 8, 16))


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


def with_chunk(content: bytes, kind_and_data: bytes) -> bytes:
    """A PNG file with one more chunk, after its header."""
    length, checksum = len(kind_and_data) - 4, zlib.crc32(kind_and_data)
    header_end = 33
    return content[:header_end] + length.to_bytes(4) + kind_and_data + checksum.to_bytes(4) + content[header_end:]


def with_text_of(num_bytes: int) -> bytes:
    """A small PNG file with a comment that is longer, once it is unpacked."""
    return with_chunk(file_of(bar(9, 9, 1, 8, 4, 5)), b"zTXtk\0\0" + zlib.compress(bytes(num_bytes)))


def with_transparent_corners(side: int) -> NDArray[np.generic]:
    """A white page without ink, RGBA."""
    page = np.full((side, side, 4), 255)
    for row in (slice(0, 4), slice(-4, None)):
        for column in (slice(0, 4), slice(-4, None)):
            page[row, column, 3] = 0
    return page


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
        (file_of(np.full((9, 9, 4), [255, 255, 255, 99]), "RGBA"), "blank"),
        (file_of(with_transparent_corners(40), "RGBA"), "blank"),
        (sixteen_bits(bar(9, 9, 1, 8, 4, 5) // 16), "blank"),
        (file_of(np.zeros((4097, 9))), "4096 pixels wide and high, not 9 x 4097"),
        (with_text_of(5 * 2**20), "cannot be read: Decompressed data too large"),
    ],
)
def test_what_is_no_drawing_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(NoImage, match=reason):
        read_image(content, 8, 16)
