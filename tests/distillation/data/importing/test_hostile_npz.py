"""Objects, bombs, lies and damage in an .npz are refused with a sentence, in little memory."""

import contextlib
import io
import os
import pickle
import struct
import time
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.distillation.data.importing import npz
from core.distillation.jobs.dataset_import import import_dataset
from core.errors import Refused
from tests.distillation.data.builders import (
    ImportUpload,
    RefusalOf,
    class_folders,
    import_job,
    npy_with_header,
    npz_of,
    random_pixels,
    save_npy,
    zip_of,
)


def npz_of_files(
    image: bytes | None = None, label: bytes | None = None, compression: int = zipfile.ZIP_STORED
) -> bytes:
    """An .npz of two arrays' files, valid ones by default."""
    members = {
        "image.npy": save_npy(random_pixels(4)) if image is None else image,
        "label.npy": save_npy(np.arange(4)) if label is None else label,
    }
    return zip_of(members, compression)


class Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["image", "label"])
def test_array_of_objects_is_refused_and_does_not_run(
    refusal_of: RefusalOf, name: str, tmp_path: Path
) -> None:
    objects = np.array([Payload(tmp_path / "it-ran"), 1, 2, 3], dtype=object)
    data = save_npy(objects, allow_pickle=True)
    upload = npz_of_files(image=data) if name == "image" else npz_of_files(label=data)
    code, message = refusal_of(upload)
    assert code == "unsafe_dataset"
    assert f'"{name}.npy" is an array of Python objects' in message
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize("descr", ["[('a', '|O'), ('b', '<i8')]", "('|O', (2,))"])
def test_objects_inside_a_structure_are_refused(refusal_of: RefusalOf, descr: str) -> None:
    label = npy_with_header("(4,)", descr=descr, data=bytes(64))
    assert refusal_of(npz_of_files(label=label))[0] == "unsafe_dataset"


def test_pickle_named_as_an_array_is_refused_and_does_not_run(
    refusal_of: RefusalOf, tmp_path: Path
) -> None:
    label = pickle.dumps(Payload(tmp_path / "it-ran"))
    assert refusal_of(npz_of_files(label=label))[0] == "corrupt_archive"
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(
    "header",
    [
        npy_with_header("__import__('os').mkdir('it-ran')"),
        npy_with_header("(4,)", descr="__import__('os').mkdir('it-ran')"),
        npy_with_header("(" * 3000 + ")" * 3000),
        npy_with_header("-" * 4000 + "1"),
        npy_with_header("(4,)" + " " * 70_000, version=2),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(1000),
        b"\x93NUMPY\x09\x00" + bytes(100),
        b"\x93NUMPY",
        npy_with_header("(4.0,)"),
        npy_with_header("(True,)"),
        npy_with_header("(-4,)"),
        npy_with_header("(2, -2)"),
        npy_with_header("4"),
        npy_with_header("(4,)", descr="'|nonsense'"),
        npy_with_header("(4,)", descr="'|u1', 'x': 1"),
        npy_with_header("(4,)", fortran="1"),
    ],
)
def test_invalid_header_is_refused(
    refusal_of: RefusalOf, header: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, message = refusal_of(npz_of_files(label=header))
    assert (code, '"label.npy"' in message) == ("corrupt_archive", True)
    assert len(message) < 500
    assert not Path("it-ran").exists()


@pytest.mark.parametrize(
    "shape",
    ["(10000000000, 8, 8, 3)", "(5, 8, 9, 3)", "(3, 8, 9, 3)", "(9" + "9" * 300 + ", 8, 8, 3)"],
)
def test_shape_of_other_size_is_refused_before_allocation(
    refusal_of: RefusalOf, shape: str
) -> None:
    upload = npz_of_files(image=npy_with_header(shape, data=random_pixels(4).tobytes()))
    code, message = refusal_within_limits(refusal_of, upload)
    assert (code, '"image.npy" cannot be read' in message) == ("corrupt_archive", True)
    assert len(message) < 500


def refusal_within_limits(
    refusal_of: RefusalOf, upload: bytes, megabytes: float = 30
) -> tuple[str, str]:
    """Return the refusal, and check that it took five seconds and so much memory at most."""
    started = time.monotonic()
    tracemalloc.start()
    try:
        refusal = refusal_of(upload)
        assert tracemalloc.get_traced_memory()[1] < megabytes * 2**20
    finally:
        tracemalloc.stop()
    assert time.monotonic() - started < 5
    return refusal


def test_bomb_is_refused_while_it_is_unpacked(
    refusal_of: RefusalOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "core.distillation.data.importing.archive.limits.ALWAYS_ALLOWED_BYTES", 2**20
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        count = 100 * 2**20 // (32 * 32 * 3)
        archive.writestr("label.npy", save_npy(np.arange(count, dtype=np.uint16) % 10))
        with archive.open("image.npy", "w") as member:
            member.write(npy_with_header(f"({count}, 32, 32, 3)"))
            for _ in range(count):
                member.write(bytes(32 * 32 * 3))
    code, message = refusal_within_limits(refusal_of, buffer.getvalue())
    assert (code, "100 times its size" in message) == ("too_large", True)


def test_member_larger_than_the_directory_says_is_refused(refusal_of: RefusalOf) -> None:
    upload = npz_of_files()
    size = struct.pack("<I", len(save_npy(random_pixels(4))))
    smaller_size = struct.pack("<I", len(save_npy(random_pixels(3))))
    assert upload.count(size) >= 2
    assert refusal_of(upload.replace(size, smaller_size))[0] == "corrupt_archive"


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_npz_truncated_anywhere_is_refused(refusal_of: RefusalOf, compression: int) -> None:
    complete = npz_of_files(
        image=save_npy(random_pixels(30, 16, 16)),
        label=save_npy(np.arange(30)),
        compression=compression,
    )
    lengths = [
        *range(4, 60),
        *range(60, len(complete), len(complete) // 60),
        *range(len(complete) - 30, len(complete)),
    ]
    for length in lengths:
        assert refusal_of(complete[:length])[0] == "corrupt_archive", length


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_changed_bytes_are_refused_or_do_not_matter(data: st.DataObject, tmp_path: Path) -> None:
    compression = data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    upload = bytearray(npz_of_files(compression=compression))
    for _ in range(data.draw(st.integers(1, 4))):
        upload[data.draw(st.integers(4, len(upload) - 1))] = data.draw(st.integers(0, 255))
    job = import_job(tmp_path / "job")
    job.upload.write_bytes(upload)
    with contextlib.suppress(Refused):
        import_dataset(job)
        (job.output / "dataset.safetensors").unlink()
        (job.output / "thumbnails-000.webp").unlink()
    assert list(job.output.iterdir()) == []


@pytest.mark.parametrize(
    ("image", "label", "code", "sentence"),
    [
        (
            random_pixels(4).astype(np.float32),
            None,
            "unusable_array",
            '"image.npy" is float32 [4, 8, 9, 3]; it must be uint8 [N, H, W, C]',
        ),
        (random_pixels(4).reshape(4, -1), None, "unusable_array", '"image.npy" is uint8 [4, 216]'),
        (random_pixels(4, channels=2), None, "unusable_array", "1 or 3 channels"),
        (random_pixels(4)[..., None], None, "unusable_array", "[4, 8, 9, 3, 1]"),
        (np.asfortranarray(random_pixels(4)), None, "unknown_format", "in Fortran order"),
        (random_pixels(4, height=7), None, "too_small", "9x7 pixels"),
        (random_pixels(1, height=600), None, "too_large", "9x600 pixels"),
        (random_pixels(0), None, "unusable_array", '"image.npy" has no images'),
        (None, np.arange(5), "unusable_array", "There are 4 images and 5 labels; every image"),
        (None, np.arange(3), "unusable_array", "There are 4 images and 3 labels; every image"),
        (
            None,
            np.arange(4.0),
            "unusable_array",
            '"label.npy" is float64 [4]; it must be integer [N] or [N, 1]',
        ),
        (None, np.arange(8).reshape(4, 2), "unusable_array", '"label.npy" is int64 [4, 2]'),
        (None, np.array([True, False] * 2), "unusable_array", "bool [4]"),
        (None, np.arange(4).astype("m8[s]"), "unusable_array", '"label.npy" is timedelta64[s] [4]'),
        (None, np.array([0, 1, -1, 2]), "unusable_array", "the label -1; labels begin with 0."),
        (
            None,
            np.array([0, 1, 2, 2**63], dtype=np.uint64),
            "too_large",
            "the label 9223372036854775808",
        ),
        (None, np.array([0, 1, 2, 100_000]), "too_large", "at most 100000 classes"),
        (None, np.zeros(4, np.int64), "too_few_classes", "must have at least two classes"),
    ],
)
def test_arrays_other_than_images_and_labels_are_refused(
    refusal_of: RefusalOf, image: Any, label: Any, code: str, sentence: str
) -> None:
    image = random_pixels(4) if image is None else image
    label = np.arange(len(image)) if label is None else label
    actual_code, message = refusal_of(npz_of(image, label))
    assert (actual_code, sentence in message) == (code, True), message


def test_too_many_images_are_refused(
    refusal_of: RefusalOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npz, "MAX_IMAGES", 3)
    assert refusal_of(npz_of_files()) == (
        "too_large",
        "There are 4 images; an .npz may have at most 3.",
    )


@pytest.mark.parametrize("missing", ["image.npy", "label.npy"])
def test_npz_without_one_of_its_arrays_is_refused(refusal_of: RefusalOf, missing: str) -> None:
    members = {"image.npy": save_npy(random_pixels(4)), "label.npy": save_npy(np.arange(4))}
    del members[missing]
    code, message = refusal_of(zip_of(members))
    assert (code, f'The .npz has no "{missing}"' in message) == ("unknown_format", True)


def test_array_that_occurs_twice_is_refused(refusal_of: RefusalOf) -> None:
    buffer = io.BytesIO(npz_of_files())
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("label.npy", save_npy(np.arange(4)))
    code, message = refusal_of(buffer.getvalue())
    assert (code, '"label.npy" occurs 2 times' in message) == ("corrupt_archive", True)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_without_bounded_steps_is_refused(
    refusal_of: RefusalOf, compression: int
) -> None:
    assert refusal_of(npz_of_files(compression=compression))[0] == "unknown_format"


def test_failing_disk_is_not_the_archives_fault(
    import_upload: ImportUpload, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is raised unchanged, and nothing is left behind."""

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(npz, "_copy_images", no_space)
    with pytest.raises(OSError, match="No space left"):
        import_upload(npz_of())


# -- names and labels


@pytest.mark.parametrize("names", [("arr_0", "arr_1"), ("pixels", "classes")])
def test_npz_of_other_names_is_told_which_are_needed(
    refusal_of: RefusalOf, names: tuple[str, str]
) -> None:
    arrays = (random_pixels(4), np.arange(4))
    upload = zip_of({f"{n}.npy": save_npy(a) for n, a in zip(names, arrays, strict=True)})
    code, message = refusal_of(upload)
    assert code == "unknown_format"
    assert f'but "{names[0]}.npy", "{names[1]}.npy"; images and labels must be called' in message
    assert "run code" not in message


def test_two_arrays_that_may_be_the_images_are_refused(refusal_of: RefusalOf) -> None:
    members = {"images": random_pixels(4), "x_train": random_pixels(4), "labels": np.arange(4)}
    upload = zip_of({f"{name}.npy": save_npy(array) for name, array in members.items()})
    assert refusal_of(upload) == (
        "unknown_format",
        '"images.npy" and "x_train.npy" may both be the images of the .npz; save it with one of '
        "them.",
    )


def test_array_in_an_archive_of_images_is_refused_by_name(refusal_of: RefusalOf) -> None:
    """Not as a pickle: an array of numbers runs no code."""
    code, message = refusal_of(zip_of(class_folders() | {"cat/labels.npy": save_npy(np.arange(4))}))
    assert code == "unsafe_dataset"
    assert message.startswith('"cat/labels.npy" is a file of NumPy arrays')
    assert "run code" not in message


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        ([0] * 19 + [99_999], "go from 0 to 99999, and 99998 of these classes, beginning with 1,"),
        ([1, 2, 3, 2], "go from 0 to 3, and 1 of these classes, beginning with 0,"),
        ([0, 1, 4, 1], "go from 0 to 4, and 2 of these classes, beginning with 2,"),
    ],
)
def test_classes_without_images_are_refused(
    refusal_of: RefusalOf, label: list[int], sentence: str
) -> None:
    code, message = refusal_of(npz_of(random_pixels(len(label)), np.array(label)))
    assert (code, sentence in message) == ("empty_class", True), message


@pytest.mark.parametrize(
    ("train", "test", "array"),
    [
        ([0, 1, 2, 1], [0, 1, 1], "test_images"),
        ([0, 1, 1, 1], [0, 1, 2], "train_images"),
    ],
)
def test_class_must_have_training_and_test_images(
    refusal_of: RefusalOf, train: list[int], test: list[int], array: str
) -> None:
    code, message = refusal_of(split_npz(train, test))
    assert (code, f'beginning with 2, have no image in "{array}.npy"' in message) == (
        "empty_class",
        True,
    )


def split_npz(train: list[int], test: list[int], test_height: int = 8) -> bytes:
    """An .npz with these labels."""
    arrays = {
        "train_images": random_pixels(len(train)),
        "train_labels": np.array(train),
        "test_images": random_pixels(len(test), test_height),
        "test_labels": np.array(test),
    }
    return zip_of({f"{name}.npy": save_npy(array) for name, array in arrays.items()})


def test_test_images_of_another_size_are_refused(refusal_of: RefusalOf) -> None:
    code, message = refusal_of(split_npz([0, 1], [0, 1], test_height=10))
    assert code == "unusable_array"
    assert '"train_images.npy" are [3, 8, 9] and those of "test_images.npy" [3, 10, 9]' in message


def test_training_and_test_images_count_together(
    refusal_of: RefusalOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npz, "MAX_IMAGES", 4)
    assert refusal_of(split_npz([0, 1, 0], [0, 1]))[0] == "too_large"


def test_sentence_for_floats_says_how_to_save_them(refusal_of: RefusalOf) -> None:
    code, message = refusal_of(npz_of(random_pixels(4) / 255, np.arange(4)))
    assert code == "unusable_array"
    assert 'save numpy.rint(255 * images).astype("uint8")' in message
