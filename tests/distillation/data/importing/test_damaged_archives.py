import contextlib
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import Refused
from core.job_folder import JobFolder
from tests.distillation.data.building import (
    ARCHIVES,
    member,
    picture,
    split_classes,
    tar_of_members,
    two_classes,
    unpacked,
    zip_of,
)

Import = Callable[[bytes], JobFolder]
Refusal = Callable[[bytes], tuple[str, str]]
CAT = "train/cat/0.png"


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_cut_short_anywhere_is_refused(refused: Refusal, kind: str, tmp_path: Path):
    whole = ARCHIVES[kind](two_classes(per_class=5, size=(16, 16)))
    ends = (
        len(whole.rstrip(b"\0")) if kind == "tar" else len(whole)
    )  # after a tar's data there are only zeros
    cuts = sorted({*range(0, 40), *range(40, ends, max(1, ends // 150)), *range(ends - 40, ends)})
    for cut in cuts:
        assert refused_code(whole[:cut], tmp_path) in (
            "corrupt_archive",
            "unknown_format",
            "unreadable_image",
        ), cut


def refused_code(upload: bytes, folder: Path) -> str:
    with pytest.raises(Refused) as caught:
        unpacked(upload, folder)
    assert str(folder) not in caught.value.message
    return caught.value.code


@pytest.mark.parametrize("kind", ARCHIVES)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_flipped_bytes_are_refused_or_do_not_matter(kind: str, data: st.DataObject, tmp_path: Path):
    upload = bytearray(
        ARCHIVES[kind]({"a/0.png": picture(), "b/x/1.png": picture(seed=1), "notes.txt": b"hello"})
    )
    for _ in range(data.draw(st.integers(1, 4))):
        upload[data.draw(st.integers(0, len(upload) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Refused):
        unpacked(bytes(upload), tmp_path)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_file_that_is_there_twice_is_refused_by_name(refused: Refusal, kind: str):
    if kind == "tar":
        upload = tar_of_members([member(CAT, b"one"), member(f"./{CAT}", b"two")])
    else:
        upload = zip_of({CAT: b"one", "train//cat/0.png": b"two"})
    code, message = refused(upload)
    assert (code, f'"{CAT}" is in it twice' in message) == ("corrupt_archive", True)


def test_a_name_that_is_not_utf_8_is_refused(refused: Refusal):
    info = tarfile.TarInfo("caf\udce9/0.png")
    assert refused(tar_of_members([(info, b"")], form=tarfile.GNU_FORMAT))[0] == "corrupt_archive"


def test_an_entry_without_a_name_is_left_out(tmp_path: Path):
    upload = zip_of({"a/0.png": b"x", "notes": b"hello"}).replace(b"notes", b"\0otes")
    assert unpacked(upload, tmp_path) == {"a/0.png": b"x"}


def test_an_encrypted_zip_is_refused(refused: Refusal):
    upload = bytearray(zip_of({"a/0.png": b"x"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        upload[upload.index(signature) + offset] |= 1
    code, message = refused(bytes(upload))
    assert (code, "encrypted" in message) == ("unknown_format", True)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_compressed_otherwise_is_refused(refused: Refusal, compression: int):
    code, message = refused(zip_of({"a/0.png": b"x"}, compression))
    assert (code, "use deflate" in message) == ("unknown_format", True)


@pytest.mark.parametrize(
    "upload", [b"", b"Rar!\x1a\x07\x00", b"7z\xbc\xaf\x27\x1c", picture(), b"<html></html>" * 100]
)
def test_what_is_no_archive_is_refused(refused: Refusal, upload: bytes):
    assert refused(upload)[0] == "unknown_format"


def test_a_failing_disk_is_not_blamed_on_the_archive(
    import_upload: Import, monkeypatch: pytest.MonkeyPatch
):
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.distillation.data.importing.file_source.UnpackedFiles.add", no_space)
    with pytest.raises(OSError, match="No space left"):
        import_upload(zip_of(split_classes()))
