import contextlib
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import Refused
from tests.distillation.data.builders import (
    ARCHIVES,
    ImportUpload,
    RefusalOf,
    class_folders,
    image_file,
    split_folders,
    tar_member,
    tar_of_members,
    unpack_files,
    zip_of,
)

CAT = "train/cat/0.png"


@pytest.mark.parametrize("kind", ARCHIVES)
def test_archive_truncated_anywhere_is_refused(
    refusal_of: RefusalOf, kind: str, tmp_path: Path
) -> None:
    complete = ARCHIVES[kind](class_folders(per_class=5, size=(16, 16)))
    # After a tar's data there are only zeros.
    end = len(complete.rstrip(b"\0")) if kind == "tar" else len(complete)
    lengths = {*range(0, 40), *range(40, end, max(1, end // 150)), *range(end - 40, end)}
    for length in sorted(lengths):
        assert refusal_code(complete[:length], tmp_path) in (
            "corrupt_archive",
            "unknown_format",
            "unreadable_image",
        ), length


def refusal_code(upload: bytes, folder: Path) -> str:
    with pytest.raises(Refused) as caught:
        unpack_files(upload, folder)
    assert str(folder) not in caught.value.message
    return caught.value.code


@pytest.mark.parametrize("kind", ARCHIVES)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_changed_bytes_are_refused_or_do_not_matter(
    kind: str, data: st.DataObject, tmp_path: Path
) -> None:
    files = {"a/0.png": image_file(), "b/x/1.png": image_file(seed=1), "notes.txt": b"hello"}
    upload = bytearray(ARCHIVES[kind](files))
    for _ in range(data.draw(st.integers(1, 4))):
        upload[data.draw(st.integers(0, len(upload) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Refused):
        unpack_files(bytes(upload), tmp_path)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_file_that_occurs_twice_is_refused_by_name(refusal_of: RefusalOf, kind: str) -> None:
    if kind == "tar":
        upload = tar_of_members([tar_member(CAT, b"one"), tar_member(f"./{CAT}", b"two")])
    else:
        upload = zip_of({CAT: b"one", "train//cat/0.png": b"two"})
    code, message = refusal_of(upload)
    assert (code, f'"{CAT}" occurs twice' in message) == ("corrupt_archive", True)


def test_name_that_is_not_utf_8_is_refused(refusal_of: RefusalOf) -> None:
    info = tarfile.TarInfo("caf\udce9/0.png")
    upload = tar_of_members([(info, b"")], tar_format=tarfile.GNU_FORMAT)
    assert refusal_of(upload)[0] == "corrupt_archive"


def test_entry_without_a_name_is_left_out(tmp_path: Path) -> None:
    upload = zip_of({"a/0.png": b"x", "notes": b"hello"}).replace(b"notes", b"\0otes")
    assert unpack_files(upload, tmp_path) == {"a/0.png": b"x"}


def test_encrypted_zip_is_refused(refusal_of: RefusalOf) -> None:
    upload = bytearray(zip_of({"a/0.png": b"x"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        upload[upload.index(signature) + offset] |= 1
    code, message = refusal_of(bytes(upload))
    assert (code, "encrypted" in message) == ("unknown_format", True)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_of_another_compression_is_refused(refusal_of: RefusalOf, compression: int) -> None:
    code, message = refusal_of(zip_of({"a/0.png": b"x"}, compression))
    assert (code, "use deflate" in message) == ("unknown_format", True)


@pytest.mark.parametrize(
    "upload",
    [b"", b"Rar!\x1a\x07\x00", b"7z\xbc\xaf\x27\x1c", image_file(), b"<html></html>" * 100],
)
def test_file_that_is_no_archive_is_refused(refusal_of: RefusalOf, upload: bytes) -> None:
    assert refusal_of(upload)[0] == "unknown_format"


def test_failing_disk_is_not_the_archives_fault(
    import_upload: ImportUpload, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is raised unchanged."""

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    add = "core.distillation.data.importing.file_source.UnpackedSource.add"
    monkeypatch.setattr(add, no_space)
    with pytest.raises(OSError, match="No space left"):
        import_upload(zip_of(split_folders()))
