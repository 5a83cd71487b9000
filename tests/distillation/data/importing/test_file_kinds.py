"""Which files of an upload are images, and why others are ignored."""

import io
from typing import Any

import pytest
from PIL import Image

from core.distillation.data.importing.file_kinds import (
    begins_as_image,
    file_kind,
    reason_to_ignore,
)
from core.distillation.data.importing.layout import ignored_files
from tests.distillation.data.builders import image_file

IMAGE_ENDINGS = (
    ".png .JPG .jpeg .jpe .jfif .pjpeg .bmp .dib .webp .gif .tif .TIFF .ppm .pgm .pbm .pnm .apng"
)


@pytest.mark.parametrize("suffix", IMAGE_ENDINGS.split())
def test_kind_of_an_image_by_its_ending(suffix: str) -> None:
    assert file_kind(f"cat/0{suffix}") == "image"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a/data_batch_3.bin", "cifar"),
        ("fine_label_names.txt", "cifar"),
        ("a/x.pt", "pickle"),
        ("a/x.JOBLIB", "pickle"),
        ("x.npy", "array"),
        ("x.npz", "array"),
        ("__MACOSX/cat/0.png", "junk"),
        ("cat/.0.png", "junk"),
        (".data/cat/0.png", "junk"),
        ("cat/desktop.ini", "junk"),
        ("cat/0.png.txt", "other"),
        ("cat/0", "other"),
        ("cat/0.heic", "other"),
    ],
)
def test_kind_of_other_files(path: str, kind: str) -> None:
    assert file_kind(path) == kind


@pytest.mark.parametrize(
    "image_format", ["PNG", "JPEG", "BMP", "WEBP", "PPM", "GIF", "TIFF", "DIB"]
)
@pytest.mark.parametrize("name", ["0", "0.jpg_large", "0.unknown", "0.heic"])
def test_image_of_any_name_is_known_by_its_content(image_format: str, name: str) -> None:
    """Except a TIFF whose ending is that of another format, and DIB, which has no signature."""
    is_image = image_format != "DIB" and not (image_format == "TIFF" and name == "0.heic")
    assert begins_as_image(name, image_file(image_format=image_format)) == is_image


@pytest.mark.parametrize(
    "pbm", [b"P4\n8 8\n" + bytes(8), b"P5 # gray\n# more\n 9 8 255 " + bytes(72)]
)
def test_images_of_the_ppm_family_are_known_by_their_heads(pbm: bytes) -> None:
    assert begins_as_image("0", pbm)
    assert min(Image.open(io.BytesIO(pbm)).size) == 8


NO_IMAGES = [
    b"BMW is a car of some make, and no bitmap",
    b"BM" + bytes(62),
    b"P5 is a number",
    b"P7 8 8 ",
    b"RIFF1234WAVE",
    b"",
    b"GIF",
    b"\xff\xd8",
    b"II*",
    b"MM\0+",
    b"\x89PNG\r\n\x1a",
]


@pytest.mark.parametrize("text", NO_IMAGES)
def test_other_files_do_not_begin_as_images(text: bytes) -> None:
    assert not begins_as_image("0.jpg_large", text)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("cat/.git/0", ignored_files.HIDDEN),
        ("cat/.DS_Store", ignored_files.DESKTOP),
        ("__MACOSX/cat/0.png", ignored_files.DESKTOP),
        ("cat/._0.png", ignored_files.DESKTOP),
        ("cat/Thumbs.db", ignored_files.DESKTOP),
        ("cat/@eaDir/0.png", ignored_files.DESKTOP),
        ("$RECYCLE.BIN/0.png", ignored_files.DESKTOP),
        ("System Volume Information/0.heic", ignored_files.DESKTOP),
        ("cat/0.HEIC", ignored_files.UNREAD_FORMAT),
        ("cat/0.avif", ignored_files.UNREAD_FORMAT),
        ("cat/0.dng", ignored_files.UNREAD_FORMAT),
        ("README", ignored_files.NOT_AN_IMAGE),
    ],
)
def test_reason_to_ignore_a_file(path: str, reason: Any) -> None:
    assert reason_to_ignore(path) == reason
