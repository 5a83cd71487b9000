"""Image files of unusual endings, orientations and frames, and many that cannot be used."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from core.distillation.data import load
from core.distillation.data.image_decoding import DECODED_LIMITS, open_image
from core.distillation.data.importing.image_files import UnusableImages
from core.distillation.jobs.dataset_import import import_dataset
from core.errors import Refused
from tests.distillation.data.builders import (
    ImportUpload,
    RefusalOf,
    class_folders,
    dataset_of,
    image_file,
    import_job,
    in_memory,
    install_import,
    png_of_size,
    split_folders,
    tar_of,
    write_files,
    zip_of,
)

ORIENTATION = 0x0112
"""The tag of Exif, and of TIFF."""


def oriented_file(orientation: int, image_format: str = "PNG", side: int = 12) -> bytes:
    """An image of 8 x ``side`` pixels that is stored in this orientation."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, 8, 3), np.uint8)
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options: dict[str, Any] = {"lossless": True} if image_format == "WEBP" else {}
    buffer = io.BytesIO()
    image.save(buffer, image_format, exif=exif, **options)
    return buffer.getvalue()


def pixels_of(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.moveaxis(np.array(image.convert("RGB")), 2, 0).copy())


# -- endings


@pytest.mark.parametrize("pack", [zip_of, tar_of], ids=["zip", "tar"])
@pytest.mark.parametrize(
    ("suffix", "image_format"),
    [
        (".jfif", "JPEG"),
        (".tif", "TIFF"),
        (".tiff", "TIFF"),
        (".gif", "GIF"),
        (".pnm", "PPM"),
        ("", "PNG"),
        (".jpg_large", "JPEG"),
        (".bak", "WEBP"),
        (".png", "TIFF"),
    ],
)
def test_images_of_any_ending_are_imported(
    import_upload: ImportUpload, pack: Any, suffix: str, image_format: str
) -> None:
    files = class_folders() | {
        f"{name}/more{number}{suffix}": image_file(image_format=image_format)
        for name in ("cat", "mouse")
        for number in range(5)
    }
    event = install_import(import_upload(pack(files)))
    assert (dataset_of(event).train_images, dataset_of(event).test_images) == (16, 4)
    assert event.report["ignored_files"] == 0


def test_images_of_any_ending_are_found_in_a_folder(tmp_path: Path) -> None:
    files = {f"{name}/{number}": image_file() for name in "ab" for number in range(5)}
    root = write_files(tmp_path / "pets", files | {"a/notes": b"hello", "a/0.avif": b"x"})
    job = import_job(tmp_path / "job", source="folder", folder="pets")
    job.upload.symlink_to(root)
    import_dataset(job)
    event = install_import(job)
    assert dataset_of(event).train_images == 8
    assert event.report["ignored"] == [
        {
            "reason": "of an image format that is not read; save it as PNG or JPEG",
            "files": 1,
            "first": ["a/0.avif"],
        },
        {"reason": "not an image", "files": 1, "first": ["a/notes"]},
    ]


def test_refusal_of_an_empty_class_says_what_was_ignored(refusal_of: RefusalOf) -> None:
    files = class_folders() | {"owl/0.heic": b"x", "owl/1.heic": b"x", "README": b"x"}
    code, message = refusal_of(zip_of(files))
    assert code == "empty_class"
    assert message.endswith(
        " Ignored: 2 of an image format that is not read; save it as PNG or JPEG (such as "
        '"owl/0.heic"); 1 not an image (such as "README").'
    )


def test_unused_images_are_named_with_their_reasons(import_upload: ImportUpload) -> None:
    files = {f"train/{name}/{n}.png": image_file() for name in "ab" for n in range(2)}
    files |= {f"test/{name}/0.png": image_file() for name in "ab"}
    files |= {"val/0.png": image_file(), "train/loose.png": image_file(), "top.png": image_file()}
    files |= {"train/a/empty/": b""}
    event = install_import(import_upload(zip_of(files)))
    assert {group["reason"]: group["first"] for group in event.report["ignored"]} == {
        "an empty folder": ["train/a/empty"],
        "in a folder that is not used": ["val/0.png"],
        "outside of the class folders": ["train/loose.png", "top.png"],
    }


def test_images_of_other_classes_are_counted(tmp_path: Path) -> None:
    files = {f"{name}/{n}.png": image_file() for name in "abc" for n in range(5)}
    job = import_job(tmp_path / "job", classes=["c", "a"])
    job.upload.write_bytes(zip_of(files))
    import_dataset(job)
    assert install_import(job).report["ignored"] == [
        {
            "reason": "of a class that is not imported",
            "files": 5,
            "first": [f"b/{n}.png" for n in range(5)],
        }
    ]


# -- images that cannot be used


def test_all_images_that_cannot_be_opened_are_named(refusal_of: RefusalOf) -> None:
    files = class_folders() | {
        "cat/1.png": b"no image",
        "cat/3.png": b"",
        "mouse/0.png": image_file(size=(7, 8)),
        "mouse/2.png": b"no image either",
    }
    assert refusal_of(zip_of(files)) == (
        "unreadable_image",
        '4 images cannot be used. "cat/1.png", "mouse/2.png": cannot be read as an image; '
        "supported formats are PNG, JPEG, BMP, WEBP, PPM, GIF, TIFF. "
        '"cat/3.png": is empty; an image was expected. '
        '"mouse/0.png": has 7x8 pixels; an image must have at least 8x8.',
    )


def test_twenty_images_that_cannot_be_opened_are_named(refusal_of: RefusalOf) -> None:
    """And all are counted; also where the first image of all is one of them."""
    broken = {f"train/ant/{number:02}.png": b"no image" for number in range(23)}
    files = split_folders() | broken | {"test/ant/0.png": image_file()}
    code, message = refusal_of(zip_of(files))
    assert code == "unreadable_image"
    names = ", ".join(f'"train/ant/{number:02}.png"' for number in range(20))
    assert message == (
        f"23 images cannot be used. {names}: cannot be read as an image; supported formats are "
        "PNG, JPEG, BMP, WEBP, PPM, GIF, TIFF. And 3 more."
    )


def test_all_broken_images_of_an_encoded_set_are_named(tmp_path: Path) -> None:
    files = class_folders(per_class=20)
    files |= {f"cat/{number}.png": b"no image" for number in (2, 7, 11)}
    files |= {"mouse/19.png": png_of_size(20_000, 8)}
    job = import_job(tmp_path / "job", image_size=32)
    job.upload.write_bytes(zip_of(files))
    with pytest.raises(Refused) as caught:
        import_dataset(job)
    assert caught.value.message.startswith(
        '4 images cannot be used. "cat/11.png", "cat/2.png", "cat/7.png": cannot be read'
    )
    assert '"mouse/19.png": has 20000x8 pixels' in caught.value.message
    assert list(job.output.iterdir()) == []


def test_fault_of_the_whole_data_set_is_raised_at_once() -> None:
    error = Refused("All images must have the same size.", code="mixed_sizes")
    with pytest.raises(Refused) as caught:
        UnusableImages().add("a.png", error)
    assert caught.value is error


def tiled_tiff(width: int, length: int) -> bytes:
    """A gray TIFF of 16x16 pixels in one tile of this size, with the pixels of 256 alone."""
    fields = [(256, 16), (257, 16), (258, 8), (259, 1), (262, 1), (277, 1)]
    fields += [(322, width), (323, length), (324, 8), (325, 256)]
    directory = struct.pack("<H", len(fields))
    directory += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
    return b"II*\0" + struct.pack("<I", 264) + bytes(256) + directory + bytes(4)


@pytest.mark.parametrize(
    ("width", "length"), [(2**16, 2**16), (16_400, 16), (16, 16_400), (8208, 8208)]
)
def test_tile_that_would_take_much_memory_is_refused(width: int, length: int) -> None:
    """libtiff allocates a whole tile, however small the image is."""
    with pytest.raises(Refused, match=f"tiles of {width}x{length} pixels") as caught:
        open_image("a.tif", tiled_tiff(width, length), DECODED_LIMITS)
    assert caught.value.code == "too_large"
    assert open_image("a.tif", tiled_tiff(16, 16), DECODED_LIMITS).size == (16, 16)


# -- orientation and frames


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(
    import_upload: ImportUpload, orientation: int, image_format: str
) -> None:
    data = oriented_file(orientation, image_format)
    job = import_upload(zip_of({f"{c}/{n}.png": data for c in "ab" for n in range(5)}))
    event = install_import(job)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert (dataset_of(event).width, dataset_of(event).height) == expected.size
    assert expected.size == ((8, 12) if orientation < 5 else (12, 8))
    images = in_memory(load(job).train).images_NCHW
    assert torch.equal(images[0], pixels_of(expected))
    turned = [] if orientation == 1 else [10]
    assert event.report["remarks"] == [
        f"Images turned upright, as their Exif orientation says: {count}." for count in turned
    ]


def test_turned_image_fits_among_upright_ones(import_upload: ImportUpload) -> None:
    """Sizes are compared upright."""
    upright = image_file(size=(12, 8))
    files = {f"{c}/{n}.png": upright for c in "ab" for n in range(5)}
    job = import_upload(zip_of(files | {"b/3.png": oriented_file(6)}))
    assert (dataset_of(install_import(job)).width, load(job).description.height) == (12, 8)


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_unknown_orientation_is_upright(import_upload: ImportUpload, orientation: int) -> None:
    data = oriented_file(orientation)
    job = import_upload(zip_of({f"{c}/{n}.png": data for c in "ab" for n in range(5)}))
    event = install_import(job)
    assert (dataset_of(event).width, event.report["remarks"]) == (8, [])


@pytest.mark.parametrize("image_format", ["GIF", "TIFF", "WEBP", "PNG"])
def test_first_of_several_frames_is_imported_and_counted(
    import_upload: ImportUpload, image_format: str
) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ((255, 0, 0), (0, 255, 0))]
    buffer = io.BytesIO()
    options: dict[str, Any] = {"lossless": True} if image_format == "WEBP" else {}
    frames[0].save(buffer, image_format, save_all=True, append_images=frames[1:], **options)
    files = class_folders() | {"cat/0.png": buffer.getvalue()}
    job = import_upload(zip_of(files))
    assert install_import(job).report["remarks"] == [
        "Files with more than one image, of which the first was imported: 1."
    ]
    first = in_memory(load(job).train).images_NCHW[0]
    assert torch.equal(first, pixels_of(frames[0]))


def test_images_that_stay_encoded_are_counted_alike(tmp_path: Path) -> None:
    """Pillow turns the TIFF itself."""
    files = class_folders() | {"cat/0.png": oriented_file(6), "mouse/4.png": oriented_file(8)}
    files |= {"mouse/3.png": oriented_file(3, "TIFF"), "mouse/2.png": oriented_file(1, "TIFF")}
    job = import_job(tmp_path / "job", image_size=16)
    job.upload.write_bytes(zip_of(files))
    import_dataset(job)
    assert install_import(job).report["remarks"] == [
        "Images turned upright, as their Exif orientation says: 3."
    ]
