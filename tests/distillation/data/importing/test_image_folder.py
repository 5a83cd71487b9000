import io
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.distillation.data import load
from core.distillation.jobs.dataset_import import import_dataset
from core.errors import Refused
from core.job_folder import JobFolder
from tests.distillation.data.building import (
    import_job,
    imported,
    labels_of,
    picture,
    png_that_says,
    split_classes,
    two_classes,
    write_files,
    zip_of,
)

Import = Callable[[bytes], JobFolder]
Refusal = Callable[[bytes], tuple[str, str]]


def pixels(data: bytes, mode: str = "RGB") -> torch.Tensor:
    """[C, H, W], by another road than the importer's."""
    array = np.array(Image.open(io.BytesIO(data)).convert(mode))
    return torch.from_numpy(array[None] if mode == "L" else np.moveaxis(array, 2, 0))


def test_train_and_test_folders_are_the_split(import_upload: Import):
    files = split_classes()
    job = import_upload(zip_of(files))
    event = imported(job)
    dataset = load(job)
    assert event.dataset.class_names == ("cat", "mouse")
    assert event.report["images"] == {
        "train": {"cat": 3, "mouse": 3},
        "test": {"cat": 2, "mouse": 2},
    }
    assert labels_of(dataset.train) == [0, 0, 0, 1, 1, 1]
    assert labels_of(dataset.test) == [0, 0, 1, 1]
    for part, images in (("train", dataset.train), ("test", dataset.test)):
        expected = [pixels(files[name]) for name in sorted(files) if name.startswith(part)]
        assert torch.equal(images.images_NCHW, torch.stack(expected))


@pytest.mark.parametrize("test", ["val", "validation", "valid", "Test"])
def test_the_test_folder_has_other_names_too(import_upload: Import, test: str):
    event = imported(import_upload(zip_of(split_classes(test=test))))
    assert (event.dataset.train_images, event.dataset.test_images) == (6, 4)


def test_beside_a_test_folder_a_val_folder_is_not_used_and_the_report_says_so(
    import_upload: Import,
):
    files = split_classes() | {"val/cat/0.png": picture(), "val/mouse/0.png": picture()}
    event = imported(import_upload(zip_of(files)))
    assert event.dataset.test_images == 4
    assert 'Not used: "val".' in event.report["layout"]
    assert event.report["ignored_files"] == 2


def test_without_a_split_every_fifth_image_of_each_class_becomes_a_test_image(
    import_upload: Import,
):
    files = two_classes(per_class=11)
    job = import_upload(zip_of(files))
    event = imported(job)
    assert event.report["images"] == {
        "train": {"cat": 9, "mouse": 9},
        "test": {"cat": 2, "mouse": 2},
    }
    assert "every 5th image" in event.report["layout"]
    names = sorted(name for name in files if name.startswith("cat"))
    expected = torch.stack([pixels(files[names[4]]), pixels(files[names[9]])])
    assert torch.equal(load(job).test.images_NCHW[:2], expected)


@pytest.mark.parametrize("prefix", ["pets/", "a/b/c/", "./"])
def test_wrapping_folders_are_looked_through(import_upload: Import, prefix: str):
    event = imported(import_upload(zip_of(split_classes(prefix))))
    assert event.dataset.class_names == ("cat", "mouse")


def test_a_train_folder_alone_is_split(import_upload: Import):
    event = imported(import_upload(zip_of(two_classes("train/"))))
    assert (event.dataset.train_images, event.dataset.test_images) == (8, 2)


def test_classes_may_have_folders_inside(import_upload: Import):
    files = split_classes() | {"train/cat/images/more/9.png": picture()}
    assert imported(import_upload(zip_of(files))).report["images"]["train"] == {
        "cat": 4,
        "mouse": 3,
    }


def test_a_folder_of_the_operator_gives_the_same_file_as_an_archive_of_it(
    import_upload: Import, tmp_path: Path
):
    files = two_classes()
    uploaded = import_upload(zip_of(files))
    root = write_files(tmp_path / "pets", files | {"cat/.hidden.png": b"", "notes.txt": b"hello"})
    job = import_job(tmp_path / "folder-job", source="folder", folder="pets")
    job.upload.symlink_to(root)
    import_dataset(job)
    assert (job.output / "dataset.safetensors").read_bytes() == (
        uploaded.output / "dataset.safetensors"
    ).read_bytes()
    assert imported(job).report["ignored_files"] == 1
    assert sorted(path.name for path in root.iterdir()) == ["cat", "mouse", "notes.txt"]


def test_linked_folders_and_files_of_the_operator_are_followed_and_loops_end(tmp_path: Path):
    root = write_files(tmp_path / "pets", two_classes(per_class=4))
    (root / "cat" / "again").symlink_to(root)
    (root / "cat" / "gone.png").symlink_to(tmp_path / "nothing")
    (root / "mouse" / "4.png").symlink_to(root / "mouse" / "3.png")
    elsewhere = write_files(tmp_path / "elsewhere", {f"{at}.png": picture() for at in range(6)})
    (root / "zebra").symlink_to(elsewhere)
    job = import_job(tmp_path / "job", source="folder", folder="pets")
    job.upload.symlink_to(root)
    import_dataset(job)
    assert imported(job).report["images"] == {
        "train": {"cat": 4, "mouse": 4, "zebra": 5},
        "test": {"cat": 0, "mouse": 1, "zebra": 1},
    }


@pytest.mark.parametrize(
    "junk",
    ["__MACOSX/train/cat/._0.png", "train/.DS_Store", "train/cat/Thumbs.db", "test/.hidden/0.png"],
)
def test_what_desktops_leave_behind_is_not_even_counted(import_upload: Import, junk: str):
    event = imported(import_upload(zip_of(split_classes() | {junk: b"junk"})))
    assert event.dataset.class_names == ("cat", "mouse")
    assert event.report["ignored_files"] == 0


def test_files_that_are_no_images_are_left_out_and_counted(import_upload: Import):
    files = split_classes() | {
        "README": b"hello",
        "train/cat/notes.txt": b"",
        "train/inner.zip": zip_of({"a.png": picture()}),
    }
    assert imported(import_upload(zip_of(files))).report["ignored_files"] == 3


@pytest.mark.parametrize("form", ["PNG", "BMP", "WEBP", "PPM"])
def test_lossless_formats_come_out_as_they_went_in(import_upload: Import, form: str):
    files = {
        name.replace(".png", f".{form}"): picture(seed=at, form=form)
        for at, name in enumerate(two_classes())
    }
    job = import_upload(zip_of(files))
    imported(job)
    assert torch.equal(load(job).train.images_NCHW[0], pixels(picture(seed=0)))


def test_jpegs_are_read(import_upload: Import):
    files = {
        name.replace("png", "JPEG"): picture(form="JPEG", size=(24, 16)) for name in two_classes()
    }
    dataset = imported(import_upload(zip_of(files))).dataset
    assert (dataset.channels, dataset.height, dataset.width) == (3, 16, 24)


def test_grey_images_have_one_channel(import_upload: Import):
    files = two_classes(mode="L") | {"cat/0.png": picture("LA")}
    job = import_upload(zip_of(files))
    assert imported(job).dataset.channels == 1
    assert torch.equal(load(job).train.images_NCHW[0], pixels(files["cat/0.png"], "L"))


def test_one_colour_image_among_grey_ones_makes_all_three_channels(import_upload: Import):
    files = two_classes(mode="L") | {"mouse/3.png": picture("RGBA")}
    job = import_upload(zip_of(files))
    assert imported(job).dataset.channels == 3
    assert torch.equal(load(job).train.images_NCHW[0], pixels(files["cat/0.png"]))


def test_an_image_of_another_size_is_refused_by_name(refused: Refusal):
    files = two_classes() | {
        "mouse/1.png": picture(size=(8, 9)),
        "mouse/2.png": picture(size=(9, 9)),
    }
    code, message = refused(zip_of(files))
    assert code == "mixed_sizes"
    assert (
        message == '"mouse/1.png" has 8x9 pixels, "cat/0.png" 8x8; all images must have one size.'
    )


def test_an_undecodable_image_is_refused_by_name(refused: Refusal):
    code, message = refused(zip_of(two_classes(size=(32, 32)) | {"cat/2.png": b"not an image"}))
    assert code == "unreadable_image"
    assert message.startswith('"cat/2.png" cannot be read as an image')


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "WEBP", "PPM"])
def test_an_image_cut_in_half_is_refused_by_name(refused: Refusal, form: str):
    whole = picture(size=(32, 32), form=form)
    code, message = refused(
        zip_of(two_classes(size=(32, 32)) | {"cat/2.png": whole[: len(whole) // 2]})
    )
    assert (code, '"cat/2.png"' in message) == ("unreadable_image", True)


def test_a_pickle_that_calls_itself_an_image_is_refused_as_an_image(refused: Refusal):
    assert (
        refused(zip_of(two_classes() | {"cat/2.png": b"\x80\x04cos\nsystem\n"}))[0]
        == "unreadable_image"
    )


def test_an_empty_image_is_refused_by_name(refused: Refusal):
    assert refused(zip_of(two_classes() | {"cat/2.png": b""})) == (
        "unreadable_image",
        '"cat/2.png" is empty.',
    )


def test_sixteen_bits_a_channel_are_refused_by_name(refused: Refusal):
    out = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(out, "PNG")
    code, message = refused(zip_of(two_classes(mode="L") | {"cat/2.png": out.getvalue()}))
    assert code == "unreadable_image"
    assert '"cat/2.png" has more than 8 bits' in message


@pytest.mark.parametrize(
    ("size", "code"), [((7, 8), "too_small"), ((8, 513), "too_large"), ((513, 8), "too_large")]
)
def test_images_too_small_or_too_large_are_refused_by_name(
    refused: Refusal, size: tuple[int, int], code: str
):
    found, message = refused(zip_of(two_classes(size=size)))
    assert (found, '"cat/0.png"' in message) == (code, True)


def test_more_pixels_than_a_data_set_may_have_are_refused(
    refused: Refusal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        "core.distillation.data.importing.image_arrays.MAX_PACKED_BYTES", 10 * 3 * 64 - 1
    )
    code, message = refused(zip_of(two_classes()))
    assert (code, "10 images of 8x8 pixels take 1920 bytes" in message) == ("too_large", True)


def test_a_class_without_images_is_refused_by_name(refused: Refusal):
    code, message = refused(zip_of(two_classes() | {"dog/": b""}))
    assert (code, message.startswith('The class "dog" has no images')) == ("empty_class", True)


def test_a_class_of_files_that_are_no_images_is_refused_by_name(refused: Refusal):
    code, message = refused(
        zip_of(
            split_classes("pets/") | {"pets/test/dog/0.tiff": b"x", "pets/train/dog/0.tiff": b"x"}
        )
    )
    assert (code, message.startswith('The class "pets/train/dog" has no images')) == (
        "empty_class",
        True,
    )


def test_a_class_that_is_only_tested_is_refused_by_name(refused: Refusal):
    code, message = refused(zip_of(split_classes() | {"test/dog/0.png": picture()}))
    assert (code, message) == (
        "empty_class",
        '"test/dog" has no training images: "train/dog" is missing.',
    )


def test_a_class_that_is_never_tested_is_refused_by_name(refused: Refusal):
    code, message = refused(zip_of(split_classes() | {"train/dog/0.png": picture()}))
    assert (code, message.startswith('The class "test/dog" has no images')) == ("empty_class", True)


@pytest.mark.parametrize(
    "files", [{"cat/0.png": picture()}, {"0.png": picture(), "1.png": picture()}, {"README": b"x"}]
)
def test_fewer_than_two_classes_are_refused(refused: Refusal, files: dict[str, bytes]):
    assert refused(zip_of(files))[0] == "too_few_classes"


def test_a_class_whose_name_is_not_utf_8_is_refused(tmp_path: Path):
    root = write_files(tmp_path / "pets", two_classes())
    (root / "caf\udce9").mkdir()
    job = import_job(tmp_path / "job", source="folder", folder="pets")
    job.upload.symlink_to(root)
    with pytest.raises(Refused, match="is not UTF-8") as caught:
        import_dataset(job)
    assert caught.value.code == "unknown_format"


def test_classes_too_small_to_be_split_are_refused(refused: Refusal):
    assert refused(zip_of(two_classes(per_class=4)))[0] == "no_test_images"


@pytest.mark.parametrize("side", [600, 10_000, 50_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_huge_image_is_refused_quickly_and_with_little_memory(refused: Refusal, side: int):
    upload = zip_of(two_classes() | {"cat/2.png": png_that_says(side, side)})
    tracemalloc.start()
    began = time.monotonic()
    code, message = refused(upload)
    seconds = time.monotonic() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (code, '"cat/2.png"' in message) == ("too_large", True)
    assert seconds < 5
    assert peak < 30 * 2**20


def test_pillows_own_limit_is_as_before_afterwards(import_upload: Import):
    before = Image.MAX_IMAGE_PIXELS
    import_upload(zip_of(two_classes()))
    assert before == Image.MAX_IMAGE_PIXELS
