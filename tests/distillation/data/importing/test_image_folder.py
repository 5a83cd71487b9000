import io
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.distillation.data import load
from core.distillation.data.importing import image_folder
from core.distillation.jobs.dataset_import import import_dataset
from core.errors import Refused
from core.job_folder import JobFolder
from tests.distillation.data.builders import (
    ImportUpload,
    RefusalOf,
    class_folders,
    dataset_of,
    image_file,
    import_job,
    in_memory,
    install_import,
    labels_of,
    png_of_size,
    split_folders,
    write_files,
    zip_of,
)


def pixels(data: bytes, mode: str = "RGB") -> torch.Tensor:
    """Decode an image independently of the importer, [C, H, W]."""
    array = np.array(Image.open(io.BytesIO(data)).convert(mode))
    return torch.from_numpy(array[None] if mode == "L" else np.moveaxis(array, 2, 0))


def train_images(job: JobFolder) -> torch.Tensor:
    return in_memory(load(job).train).images_NCHW


def test_train_and_test_folders_are_the_split(import_upload: ImportUpload) -> None:
    files = split_folders()
    job = import_upload(zip_of(files))
    event = install_import(job)
    dataset = load(job)
    assert dataset_of(event).class_names == ("cat", "mouse")
    assert event.report["images"] == {
        "train": {"cat": 3, "mouse": 3},
        "test": {"cat": 2, "mouse": 2},
    }
    assert labels_of(dataset.train) == [0, 0, 0, 1, 1, 1]
    assert labels_of(dataset.test) == [0, 0, 1, 1]
    for part, images in (("train", dataset.train), ("test", dataset.test)):
        expected = [pixels(files[name]) for name in sorted(files) if name.startswith(part)]
        assert torch.equal(in_memory(images).images_NCHW, torch.stack(expected))


@pytest.mark.parametrize("test", ["val", "validation", "valid", "Test"])
def test_test_folder_may_have_other_names(import_upload: ImportUpload, test: str) -> None:
    dataset = dataset_of(install_import(import_upload(zip_of(split_folders(test=test)))))
    assert (dataset.train_images, dataset.test_images) == (6, 4)


def test_val_folder_beside_a_test_folder_is_not_used(import_upload: ImportUpload) -> None:
    """The report says so."""
    files = split_folders() | {"val/cat/0.png": image_file(), "val/mouse/0.png": image_file()}
    event = install_import(import_upload(zip_of(files)))
    assert dataset_of(event).test_images == 4
    assert 'Not used: "val".' in event.report["layout"]
    assert event.report["ignored_files"] == 2


def test_without_a_split_every_fifth_image_is_a_test_image(import_upload: ImportUpload) -> None:
    """Of each class."""
    files = class_folders(per_class=11)
    job = import_upload(zip_of(files))
    event = install_import(job)
    assert event.report["images"] == {
        "train": {"cat": 9, "mouse": 9},
        "test": {"cat": 2, "mouse": 2},
    }
    assert "every 5th image" in event.report["layout"]
    names = sorted(name for name in files if name.startswith("cat"))
    expected = torch.stack([pixels(files[names[4]]), pixels(files[names[9]])])
    assert torch.equal(in_memory(load(job).test).images_NCHW[:2], expected)


@pytest.mark.parametrize("prefix", ["pets/", "a/b/c/", "./"])
def test_wrapping_folders_are_skipped(import_upload: ImportUpload, prefix: str) -> None:
    event = install_import(import_upload(zip_of(split_folders(prefix))))
    assert dataset_of(event).class_names == ("cat", "mouse")


def test_train_folder_alone_is_split(import_upload: ImportUpload) -> None:
    dataset = dataset_of(install_import(import_upload(zip_of(class_folders("train/")))))
    assert (dataset.train_images, dataset.test_images) == (8, 2)


def test_classes_may_have_folders_inside(import_upload: ImportUpload) -> None:
    files = split_folders() | {"train/cat/images/more/9.png": image_file()}
    assert install_import(import_upload(zip_of(files))).report["images"]["train"] == {
        "cat": 4,
        "mouse": 3,
    }


def test_folder_gives_the_same_file_as_an_archive_of_it(
    import_upload: ImportUpload, tmp_path: Path
) -> None:
    """The operator's folder is not changed."""
    files = class_folders()
    job_of_archive = import_upload(zip_of(files))
    root = write_files(tmp_path / "pets", files | {"cat/.hidden.png": b"", "notes.txt": b"hello"})
    job = import_job(tmp_path / "folder-job", source="folder", folder="pets")
    job.upload.symlink_to(root)
    import_dataset(job)
    expected = (job_of_archive.output / "dataset.safetensors").read_bytes()
    assert (job.output / "dataset.safetensors").read_bytes() == expected
    assert install_import(job).report["ignored"] == [
        {"reason": "not an image", "files": 1, "first": ["notes.txt"]},
        {"reason": "hidden", "files": 1, "first": ["cat/.hidden.png"]},
    ]
    assert sorted(path.name for path in root.iterdir()) == ["cat", "mouse", "notes.txt"]


def test_links_in_a_folder_are_followed_and_loops_end(tmp_path: Path) -> None:
    """Links to folders and to files, and one that leads nowhere."""
    root = write_files(tmp_path / "pets", class_folders(per_class=4))
    (root / "cat" / "again").symlink_to(root)
    (root / "cat" / "gone.png").symlink_to(tmp_path / "nothing")
    other = write_files(tmp_path / "other", {"0.png": image_file()}) / "0.png"
    (root / "mouse" / "4.png").symlink_to(other)
    files = {f"{number}.png": image_file() for number in range(6)}
    (root / "zebra").symlink_to(write_files(tmp_path / "elsewhere", files))
    job = import_job(tmp_path / "job", source="folder", folder="pets")
    job.upload.symlink_to(root)
    import_dataset(job)
    assert install_import(job).report["images"] == {
        "train": {"cat": 4, "mouse": 4, "zebra": 5},
        "test": {"cat": 0, "mouse": 1, "zebra": 1},
    }


@pytest.mark.parametrize(
    "junk",
    ["__MACOSX/train/cat/._0.png", "train/.DS_Store", "train/cat/Thumbs.db", "test/.hidden/0.png"],
)
def test_junk_of_desktops_is_no_class_and_counted(import_upload: ImportUpload, junk: str) -> None:
    event = install_import(import_upload(zip_of(split_folders() | {junk: b"junk"})))
    assert dataset_of(event).class_names == ("cat", "mouse")
    assert event.report["ignored_files"] == 1
    assert event.report["ignored"][0]["first"] == [junk]


def test_files_that_are_no_images_are_left_out_and_counted(import_upload: ImportUpload) -> None:
    files = split_folders() | {
        "README": b"hello",
        "train/cat/notes.txt": b"",
        "train/inner.zip": zip_of({"a.png": image_file()}),
    }
    assert install_import(import_upload(zip_of(files))).report["ignored_files"] == 3


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "WEBP", "PPM"])
def test_lossless_images_survive_the_round_trip(
    import_upload: ImportUpload, image_format: str
) -> None:
    files = {
        name.replace(".png", f".{image_format}"): image_file(seed=seed, image_format=image_format)
        for seed, name in enumerate(class_folders())
    }
    job = import_upload(zip_of(files))
    install_import(job)
    assert torch.equal(train_images(job)[0], pixels(image_file(seed=0)))


def test_jpegs_are_read(import_upload: ImportUpload) -> None:
    data = image_file(image_format="JPEG", size=(24, 16))
    files = {name.replace("png", "JPEG"): data for name in class_folders()}
    dataset = dataset_of(install_import(import_upload(zip_of(files))))
    assert (dataset.channels, dataset.height, dataset.width) == (3, 16, 24)


def test_gray_images_have_one_channel(import_upload: ImportUpload) -> None:
    files = class_folders(mode="L") | {"cat/0.png": image_file("LA")}
    job = import_upload(zip_of(files))
    assert dataset_of(install_import(job)).channels == 1
    assert torch.equal(train_images(job)[0], pixels(files["cat/0.png"], "L"))


def test_one_color_image_gives_all_images_three_channels(import_upload: ImportUpload) -> None:
    files = class_folders(mode="L") | {"mouse/3.png": image_file("RGBA")}
    job = import_upload(zip_of(files))
    assert dataset_of(install_import(job)).channels == 3
    assert torch.equal(train_images(job)[0], pixels(files["cat/0.png"]))


def test_image_of_another_size_is_refused_by_name(refusal_of: RefusalOf) -> None:
    files = class_folders() | {
        "mouse/1.png": image_file(size=(8, 9)),
        "mouse/2.png": image_file(size=(9, 9)),
    }
    assert refusal_of(zip_of(files)) == (
        "mixed_sizes",
        '"mouse/1.png" has 8x9 pixels, and "cat/0.png" has 8x8; all images must have the same '
        "size. Set image_size to import images of different sizes.",
    )


def test_image_that_cannot_be_decoded_is_refused_by_name(refusal_of: RefusalOf) -> None:
    files = class_folders(size=(32, 32)) | {"cat/2.png": b"not an image"}
    code, message = refusal_of(zip_of(files))
    assert code == "unreadable_image"
    assert message.startswith('"cat/2.png" cannot be read as an image')


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "BMP", "WEBP", "PPM"])
def test_truncated_image_is_refused_by_name(refusal_of: RefusalOf, image_format: str) -> None:
    data = image_file(size=(32, 32), image_format=image_format)
    files = class_folders(size=(32, 32)) | {"cat/2.png": data[: len(data) // 2]}
    code, message = refusal_of(zip_of(files))
    assert (code, '"cat/2.png"' in message) == ("unreadable_image", True)


def test_pickle_named_as_an_image_is_refused_as_an_image(refusal_of: RefusalOf) -> None:
    files = class_folders() | {"cat/2.png": b"\x80\x04cos\nsystem\n"}
    assert refusal_of(zip_of(files))[0] == "unreadable_image"


def test_empty_image_is_refused_by_name(refusal_of: RefusalOf) -> None:
    assert refusal_of(zip_of(class_folders() | {"cat/2.png": b""})) == (
        "unreadable_image",
        '"cat/2.png" is empty; an image was expected.',
    )


def test_sixteen_bits_a_channel_are_refused_by_name(refusal_of: RefusalOf) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(buffer, "PNG")
    files = class_folders(mode="L") | {"cat/2.png": buffer.getvalue()}
    code, message = refusal_of(zip_of(files))
    assert code == "unreadable_image"
    assert '"cat/2.png" has more than 8 bits' in message


@pytest.mark.parametrize(
    ("size", "code"), [((7, 8), "too_small"), ((8, 513), "too_large"), ((513, 8), "too_large")]
)
def test_image_too_small_or_too_large_is_refused_by_name(
    refusal_of: RefusalOf, size: tuple[int, int], code: str
) -> None:
    actual_code, message = refusal_of(zip_of(class_folders(size=size)))
    assert (actual_code, '"cat/0.png"' in message) == (code, True)


def test_too_many_pixels_in_all_are_refused(
    refusal_of: RefusalOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = "core.distillation.data.importing.image_arrays.MAX_PACKED_BYTES"
    monkeypatch.setattr(limit, 10 * 3 * 64 - 1)
    code, message = refusal_of(zip_of(class_folders()))
    assert (code, "10 images of 8x8 pixels take 1920 bytes" in message) == ("too_large", True)


def test_class_without_images_is_refused_by_name(refusal_of: RefusalOf) -> None:
    code, message = refusal_of(zip_of(class_folders() | {"dog/": b""}))
    assert code == "empty_class"
    assert message.startswith('The class folder "dog" has no images')


def test_class_of_other_files_is_refused_by_name(refusal_of: RefusalOf) -> None:
    files = {"pets/test/dog/0.heic": b"x", "pets/train/dog/0.heic": b"x"}
    code, message = refusal_of(zip_of(split_folders("pets/") | files))
    assert code == "empty_class"
    assert message.startswith('The class folder "pets/train/dog" has no images')


@pytest.mark.parametrize("file", ["0.heic", "0.txt", ""])
@pytest.mark.parametrize(("missing", "present"), [("train", "test"), ("test", "train")])
def test_part_without_images_is_refused_by_name(
    refusal_of: RefusalOf, file: str, missing: str, present: str
) -> None:
    """Instead of dividing the images of the other part."""
    files = class_folders(f"{present}/") | {f"{missing}/{c}/{file}": b"" for c in ("cat", "mouse")}
    code, message = refusal_of(zip_of(files))
    assert code == "empty_class"
    assert message.startswith(f'The class folder "{missing}/cat" has no images')


@pytest.mark.parametrize("file", ["0.heic", "0.txt", ""])
def test_class_that_repeats_folders_is_refused_by_name(refusal_of: RefusalOf, file: str) -> None:
    files = {f"a/{side}/0.png": image_file() for side in ("left", "right")}
    files |= {"b/x/0.png": image_file(), f"c/left/{file}": b"", f"c/right/{file}": b""}
    code, message = refusal_of(zip_of(files))
    assert code == "empty_class"
    assert message.startswith('The class folder "c" has no images')


def test_class_without_training_images_is_refused_by_name(refusal_of: RefusalOf) -> None:
    assert refusal_of(zip_of(split_folders() | {"test/dog/0.png": image_file()})) == (
        "empty_class",
        '"test/dog" has no training images: "train/dog" is missing. '
        "Every class needs a folder in both.",
    )


def test_class_without_test_images_is_refused_by_name(refusal_of: RefusalOf) -> None:
    code, message = refusal_of(zip_of(split_folders() | {"train/dog/0.png": image_file()}))
    assert code == "empty_class"
    assert message.startswith('The class folder "test/dog" has no images')


@pytest.mark.parametrize(
    "files",
    [
        {"cat/0.png": image_file()},
        {"0.png": image_file(), "1.png": image_file()},
        {"README": b"x"},
    ],
)
def test_fewer_than_two_classes_are_refused(refusal_of: RefusalOf, files: dict[str, bytes]) -> None:
    assert refusal_of(zip_of(files))[0] == "too_few_classes"


def test_class_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    root = write_files(tmp_path / "pets", class_folders())
    (root / "caf\udce9").mkdir()
    job = import_job(tmp_path / "job", source="folder", folder="pets")
    job.upload.symlink_to(root)
    with pytest.raises(Refused, match="is not UTF-8") as caught:
        import_dataset(job)
    assert caught.value.code == "unknown_format"


def test_classes_too_small_to_be_split_are_refused(refusal_of: RefusalOf) -> None:
    assert refusal_of(zip_of(class_folders(per_class=4)))[0] == "no_test_images"


@pytest.mark.parametrize("side", [600, 10_000, 50_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_huge_image_is_refused_quickly_and_in_little_memory(
    refusal_of: RefusalOf, side: int
) -> None:
    upload = zip_of(class_folders() | {"cat/2.png": png_of_size(side, side)})
    tracemalloc.start()
    started = time.monotonic()
    code, message = refusal_of(upload)
    seconds = time.monotonic() - started
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (code, '"cat/2.png"' in message) == ("too_large", True)
    assert seconds < 5
    assert peak < 30 * 2**20


def test_pillows_own_limit_is_restored(import_upload: ImportUpload) -> None:
    before = Image.MAX_IMAGE_PIXELS
    import_upload(zip_of(class_folders()))
    assert before == Image.MAX_IMAGE_PIXELS


def test_images_of_a_class_are_in_the_order_of_their_names(import_upload: ImportUpload) -> None:
    """Whatever their order in the archive."""
    files = class_folders()
    job = import_upload(zip_of(dict(reversed(files.items()))))
    install_import(job)
    expected = [pixels(files[f"cat/{number}.png"]) for number in range(4)]
    assert torch.equal(train_images(job)[:4], torch.stack(expected))


def test_number_of_class_folders_has_a_limit(
    import_upload: ImportUpload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_folder, "MAX_CLASSES", 2)
    import_upload(zip_of(class_folders()))
    with pytest.raises(Refused, match="at most 2 classes") as caught:
        import_upload(zip_of(class_folders() | {"owl/0.png": image_file()}))
    assert caught.value.code == "too_large"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("c\x1bat", "has control characters"), ("c" * 201, "has 201 characters; it may have at most")],
)
def test_class_name_that_cannot_be_used_is_refused(
    refusal_of: RefusalOf, name: str, sentence: str
) -> None:
    code, message = refusal_of(zip_of(class_folders() | {f"{name}/0.png": image_file()}))
    assert (code, sentence in message) == ("unknown_format", True)


def test_class_name_may_have_200_characters(import_upload: ImportUpload) -> None:
    files = class_folders() | {f"{'z' * 200}/{n}.png": image_file() for n in range(5)}
    assert dataset_of(install_import(import_upload(zip_of(files)))).class_names[2] == "z" * 200
