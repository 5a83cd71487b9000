"""What an .npz must not be: objects, bombs, lies, damage. Refused with a sentence, quickly, with little memory."""

import contextlib
import io
import os
import pickle
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.distillation.data.importing import npz
from core.distillation.jobs.dataset_import import import_dataset
from core.errors import Refused
from tests.distillation.data.building import import_job, npy_of, saved, zip_of
from tests.distillation.data.importing.test_npz import npz_of, pixels

Refusal = Callable[[bytes], tuple[str, str]]


def packed(
    image: bytes | None = None, label: bytes | None = None, compression: int = zipfile.ZIP_STORED
) -> bytes:
    members = {
        "image.npy": saved(pixels(4)) if image is None else image,
        "label.npy": saved(np.arange(4)) if label is None else label,
    }
    return zip_of(members, compression)


class Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("member", ["image", "label"])
def test_an_array_of_objects_is_refused_and_nothing_in_it_runs(
    refused: Refusal, member: str, tmp_path: Path
):
    objects = np.array([Payload(tmp_path / "it-ran"), 1, 2, 3], dtype=object)
    code, message = refused(packed(**{member: saved(objects, allow_pickle=True)}))
    assert (code, f'"{member}.npy" is an array of Python objects' in message) == (
        "unsafe_dataset",
        True,
    )
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize("descr", ["[('a', '|O'), ('b', '<i8')]", "('|O', (2,))"])
def test_objects_inside_a_structure_are_refused_too(refused: Refusal, descr: str):
    assert refused(packed(label=npy_of("(4,)", descr=descr, data=bytes(64))))[0] == "unsafe_dataset"


def test_a_pickle_that_calls_itself_an_array_is_refused_and_does_not_run(
    refused: Refusal, tmp_path: Path
):
    assert refused(packed(label=pickle.dumps(Payload(tmp_path / "it-ran"))))[0] == "corrupt_archive"
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(
    "head",
    [
        npy_of("__import__('os').mkdir('it-ran')"),
        npy_of("(4,)", descr="__import__('os').mkdir('it-ran')"),
        npy_of("(" * 3000 + ")" * 3000),
        npy_of("-" * 4000 + "1"),
        npy_of("(4,)" + " " * 70_000, version=2),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(1000),
        b"\x93NUMPY\x09\x00" + bytes(100),
        b"\x93NUMPY",
        npy_of("(4.0,)"),
        npy_of("(True,)"),
        npy_of("(-4,)"),
        npy_of("(2, -2)"),
        npy_of("4"),
        npy_of("(4,)", descr="'|nonsense'"),
        npy_of("(4,)", descr="'|u1', 'x': 1"),
        npy_of("(4,)", fortran="1"),
    ],
)
def test_a_header_that_is_none_is_refused(
    refused: Refusal, head: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    code, message = refused(packed(label=head))
    assert (code, '"label.npy"' in message) == ("corrupt_archive", True)
    assert len(message) < 500
    assert not Path("it-ran").exists()


@pytest.mark.parametrize(
    "shape",
    ["(10000000000, 8, 8, 3)", "(5, 8, 9, 3)", "(3, 8, 9, 3)", "(9" + "9" * 300 + ", 8, 8, 3)"],
)
def test_a_shape_that_takes_other_bytes_than_there_are_is_refused_before_any_memory_is_taken(
    refused: Refusal, shape: str
):
    upload = packed(image=npy_of(shape, data=pixels(4).tobytes()))
    code, message = cheaply(refused, upload)
    assert (code, '"image.npy" cannot be read' in message) == ("corrupt_archive", True)
    assert len(message) < 500


def cheaply(refused: Refusal, upload: bytes, megabytes: float = 30) -> tuple[str, str]:
    """In five seconds, and so many megabytes."""
    began = time.monotonic()
    tracemalloc.start()
    try:
        found = refused(upload)
        assert tracemalloc.get_traced_memory()[1] < megabytes * 2**20
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < 5
    return found


def test_a_bomb_is_refused_while_it_unfolds(refused: Refusal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("core.distillation.data.importing.archive.entry.FREE_BYTES", 2**20)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        count = 100 * 2**20 // (32 * 32 * 3)
        archive.writestr("label.npy", saved(np.arange(count, dtype=np.uint16) % 10))
        with archive.open("image.npy", "w") as member:
            member.write(npy_of(f"({count}, 32, 32, 3)"))
            for _ in range(count):
                member.write(bytes(32 * 32 * 3))
    code, message = cheaply(refused, out.getvalue())
    assert (code, "100 times its size" in message) == ("too_large", True)


def test_a_member_that_is_larger_than_the_table_of_contents_says_is_refused(refused: Refusal):
    upload = packed()
    size = struct.pack("<I", len(saved(pixels(4))))
    lying = struct.pack("<I", len(saved(pixels(3))))
    assert upload.count(size) >= 2
    assert refused(upload.replace(size, lying))[0] == "corrupt_archive"


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_cut_short_anywhere_it_is_refused(refused: Refusal, compression: int):
    whole = packed(
        image=saved(pixels(30, 16, 16)), label=saved(np.arange(30)), compression=compression
    )
    for cut in [
        *range(4, 60),
        *range(60, len(whole), len(whole) // 60),
        *range(len(whole) - 30, len(whole)),
    ]:
        assert refused(whole[:cut])[0] == "corrupt_archive", cut


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_flipped_bytes_are_refused_or_do_not_matter(data: st.DataObject, tmp_path: Path):
    upload = bytearray(
        packed(compression=data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        upload[data.draw(st.integers(4, len(upload) - 1))] = data.draw(st.integers(0, 255))
    job = import_job(tmp_path / "job")
    job.upload.write_bytes(upload)
    with contextlib.suppress(Refused):
        import_dataset(job)
        (job.output / "dataset.safetensors").unlink()
    assert list(job.output.iterdir()) == []


@pytest.mark.parametrize(
    ("image", "label", "code", "said"),
    [
        (
            pixels(4).astype(np.float32),
            None,
            "unusable_array",
            '"image.npy" is float32 [4, 8, 9, 3]; uint8 [N, H, W, C]',
        ),
        (pixels(4).reshape(4, -1), None, "unusable_array", '"image.npy" is uint8 [4, 216]'),
        (pixels(4, channels=2), None, "unusable_array", "1 or 3 channels"),
        (pixels(4).transpose(0, 3, 1, 2).copy(), None, "unusable_array", "[4, 3, 8, 9]"),
        (np.asfortranarray(pixels(4)), None, "unknown_format", "Fortran's order"),
        (pixels(4, height=7), None, "too_small", "9x7 pixels"),
        (pixels(1, height=600), None, "too_large", "9x600 pixels"),
        (pixels(0), None, "unusable_array", "holds no image"),
        (None, np.arange(5), "unusable_array", "There are 4 images and 5 labels."),
        (
            None,
            np.arange(4.0),
            "unusable_array",
            '"label.npy" is float64 [4]; integer [N] is needed.',
        ),
        (None, np.arange(4).reshape(4, 1), "unusable_array", '"label.npy" is int64 [4, 1]'),
        (None, np.array([True, False] * 2), "unusable_array", "bool [4]"),
        (None, np.arange(4).astype("m8[s]"), "unusable_array", '"label.npy" is timedelta64[s] [4]'),
        (None, np.array([0, 1, -1, 2]), "unusable_array", "a label -1; labels begin with 0."),
        (
            None,
            np.array([0, 1, 2, 2**63], dtype=np.uint64),
            "too_large",
            "a label 9223372036854775808",
        ),
        (None, np.array([0, 1, 2, 100_000]), "too_large", "at most 100000 classes"),
        (None, np.zeros(4, np.int64), "too_few_classes", "at least two classes are needed"),
    ],
)
def test_arrays_that_are_not_images_and_labels_are_refused(
    refused: Refusal, image: Any, label: Any, code: str, said: str
):
    image = pixels(4) if image is None else image
    found, message = refused(npz_of(image, np.arange(len(image)) if label is None else label))
    assert (found, said in message) == (code, True), message


def test_more_images_than_are_possible_are_refused(
    refused: Refusal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(npz, "MAX_IMAGES", 3)
    assert refused(packed()) == ("too_large", "There are 4 images; at most 3 are possible.")


@pytest.mark.parametrize("missing", ["image.npy", "label.npy"])
def test_an_npz_without_one_of_its_arrays_is_refused(refused: Refusal, missing: str):
    there = {"image.npy": saved(pixels(4)), "label.npy": saved(np.arange(4))}
    del there[missing]
    code, message = refused(zip_of(there))
    assert (code, f'The .npz has no "{missing}"' in message) == ("unknown_format", True)


def test_an_array_that_is_there_twice_is_refused(refused: Refusal):
    out = io.BytesIO(packed())
    with zipfile.ZipFile(out, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("label.npy", saved(np.arange(4)))
    code, message = refused(out.getvalue())
    assert (code, '"label.npy" is in it twice' in message) == ("corrupt_archive", True)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_that_unfolds_without_bounds_is_refused(refused: Refusal, compression: int):
    assert refused(packed(compression=compression))[0] == "unknown_format"


def test_a_failing_disk_is_not_blamed_on_the_archive_and_leaves_nothing(
    import_upload: Any, monkeypatch: pytest.MonkeyPatch
):
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(npz, "_copy_images", no_space)
    with pytest.raises(OSError, match="No space left"):
        import_upload(npz_of())
