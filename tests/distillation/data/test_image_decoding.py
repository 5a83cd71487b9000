"""Limits of image files, each just kept and just exceeded."""

import io

import numpy as np
import pytest
from PIL import Image

from core.distillation.data import image_decoding
from core.distillation.data.image_decoding import (
    DECODED_LIMITS,
    ENCODED_LIMITS,
    MAX_FILE_BYTES,
    SizeLimits,
    check_file_size,
    exif_orientation,
    has_more_frames,
    large_image_lock,
    open_image,
    pillow_pixel_limit,
    turn_upright,
    upright_size,
)
from core.errors import Refused
from tests.distillation.data.builders import image_file


def refusal(data: bytes, limits: SizeLimits = DECODED_LIMITS) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        open_image("a", data, limits)
    return caught.value.code, caught.value.message


def test_file_has_a_largest_size() -> None:
    check_file_size("a.png", 16 * 2**20)
    with pytest.raises(Refused, match="16777217 bytes") as caught:
        check_file_size("a.png", MAX_FILE_BYTES + 1)
    assert caught.value.code == "too_large"


@pytest.mark.parametrize("size", [(8, 8), (512, 8), (8, 512), (512, 512)])
def test_sides_within_the_limits_are_opened(size: tuple[int, int]) -> None:
    assert open_image("a", image_file(size=size), DECODED_LIMITS).size == size


@pytest.mark.parametrize(
    ("size", "code"),
    [
        ((7, 8), "too_small"),
        ((8, 7), "too_small"),
        ((513, 8), "too_large"),
        ((8, 513), "too_large"),
    ],
)
def test_sides_beyond_the_limits_are_refused(size: tuple[int, int], code: str) -> None:
    actual, message = refusal(image_file(size=size))
    assert actual == code
    assert ("image_size" in message) == (code == "too_large")


def test_encoded_image_has_a_largest_side_and_number_of_pixels() -> None:
    limits = SizeLimits(side=100, pixels=1000)
    assert open_image("a", image_file(size=(100, 10)), limits).size == (100, 10)
    assert refusal(image_file(size=(101, 8)), limits)[0] == "too_large"
    code, message = refusal(image_file(size=(91, 11)), limits)
    assert (code, "100x100 and 1000 pixels in all" in message) == ("too_large", True)
    assert (ENCODED_LIMITS.side, ENCODED_LIMITS.pixels) == (16_384, 2**26)


@pytest.mark.parametrize("image_format", ["PCX", "TGA", "SGI", "ICO", "JPEG2000"])
def test_other_formats_of_pillow_are_not_read(image_format: str) -> None:
    data = image_file(size=(16, 16), image_format=image_format)
    assert Image.open(io.BytesIO(data)).format == image_format
    assert refusal(data)[0] == "unreadable_image"


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_more_than_eight_bits_a_channel_are_refused(mode: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (8, 8)).save(buffer, "TIFF")
    code, message = refusal(buffer.getvalue())
    assert (code, f"({mode})" in message) == ("unreadable_image", True)


def test_pillows_limit_is_that_of_the_images() -> None:
    before = Image.MAX_IMAGE_PIXELS
    with pillow_pixel_limit(DECODED_LIMITS):
        assert Image.MAX_IMAGE_PIXELS == 512 * 512
    assert before == Image.MAX_IMAGE_PIXELS


def test_large_images_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_decoding, "LARGE_PIXELS", 64)
    with large_image_lock(Image.new("L", (8, 8))), large_image_lock(Image.new("L", (8, 8))):
        pass
    lock = large_image_lock(Image.new("L", (8, 9)))
    assert lock is large_image_lock(Image.new("L", (9, 8)))


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, [[1, 2, 3], [4, 5, 6]]),
        (2, [[3, 2, 1], [6, 5, 4]]),
        (3, [[6, 5, 4], [3, 2, 1]]),
        (4, [[4, 5, 6], [1, 2, 3]]),
        (5, [[1, 4], [2, 5], [3, 6]]),
        (6, [[4, 1], [5, 2], [6, 3]]),
        (7, [[6, 3], [5, 2], [4, 1]]),
        (8, [[3, 6], [2, 5], [1, 4]]),
    ],
)
def test_orientations_of_exif(orientation: int, expected: list[list[int]]) -> None:
    """Where row 0 and column 0 of what is stored are, as Exif 2.32 says.

    6: row 0 is the right side, and column 0 the top.
    """
    image = Image.fromarray(np.array([[1, 2, 3], [4, 5, 6]], np.uint8))
    assert np.asarray(turn_upright(image, orientation)).tolist() == expected
    size = (len(expected[0]), len(expected))
    assert upright_size((3, 2), orientation) == size


def test_damaged_metadata_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise SyntaxError("not a TIFF file")

    monkeypatch.setattr(Image.Image, "getexif", fail)
    assert exif_orientation(Image.new("L", (8, 8))) == 1


def test_frames_that_cannot_be_counted_are_more_than_one() -> None:
    class Damaged:
        format = "GIF"

        @property
        def is_animated(self) -> bool:
            raise OSError("broken")

    image: object = Damaged()
    assert has_more_frames(image)  # type: ignore[arg-type]
    assert not has_more_frames(Image.open(io.BytesIO(image_file(image_format="GIF"))))
