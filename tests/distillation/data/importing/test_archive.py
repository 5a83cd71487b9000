import io
import lzma
import os
import struct
import subprocess
import tarfile
import threading
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.distillation.data import load
from core.distillation.data.importing.archive import unpack
from core.errors import Refused
from tests.distillation.data.builders import (
    ARCHIVES,
    ImportUpload,
    install_import,
    split_folders,
    tar_of,
    unpack_files,
    write_files,
    zip_of,
)

CAT = "train/cat/0.png"


@pytest.mark.parametrize("kind", ARCHIVES)
def test_every_kind_of_archive_is_imported(import_upload: ImportUpload, kind: str) -> None:
    job = import_upload(ARCHIVES[kind](split_folders("pets/")))
    assert install_import(job).report["images"] == {
        "train": {"cat": 3, "mouse": 3},
        "test": {"cat": 2, "mouse": 2},
    }
    assert len(load(job).train) == 6


@pytest.mark.parametrize(
    "tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    names=st.lists(
        st.text("aé漢😀 -+", min_size=1, max_size=20), min_size=2, max_size=8, unique=True
    ),
    data=st.binary(min_size=1, max_size=2000),
)
def test_tar_archives_of_every_format_survive_the_round_trip(
    tmp_path: Path, tar_format: int, names: list[str], data: bytes
) -> None:
    files = {
        f"{'/'.join(names)}/{number}{name}.png": bytes([number]) + data
        for number, name in enumerate(names)
    }
    if tar_format == tarfile.USTAR_FORMAT:  # has room for a hundred bytes a name
        files = {
            f"a/{names[0][:10]}/{number}.png": data for number, data in enumerate(files.values())
        }
    assert unpack_files(tar_of(files, tar_format=tar_format), tmp_path) == files


@pytest.mark.parametrize(
    "options",
    [
        ["--format=gnu"],
        ["--format=pax"],
        ["--format=ustar"],
        ["--format=v7"],
        ["-J"],
        ["-z"],
        ["-j"],
    ],
)
def test_output_of_the_tar_command_is_read(tmp_path: Path, options: list[str]) -> None:
    files = {f"train/cat/{number}{'x' * 60}.png": bytes([number]) * 700 for number in range(3)}
    write_files(tmp_path / "in", files)
    process = subprocess.run(
        ["tar", "-c", *options, "-C", tmp_path / "in", "train"], capture_output=True, check=False
    )
    if process.returncode != 0:
        pytest.skip(process.stderr.decode())
    if options == ["--format=v7"]:
        with pytest.raises(Refused, match="not an archive"):
            unpack_files(process.stdout, tmp_path)
    else:
        assert unpack_files(process.stdout, tmp_path) == files


def test_several_xz_streams_in_a_row_are_one_archive(tmp_path: Path) -> None:
    archive = tar_of({"a/0.png": os.urandom(5000)})
    parts = [lzma.compress(archive[:3000]), bytes(4), lzma.compress(archive[3000:])]
    assert list(unpack_files(b"".join(parts), tmp_path)) == ["a/0.png"]


def test_backslashes_of_windows_separate_folders(tmp_path: Path) -> None:
    archive = tar_of({"train\\cat\\0.png": b"x"})
    assert unpack_files(archive, tmp_path) == {CAT: b"x"}


def test_backslash_beside_a_slash_is_part_of_a_name(tmp_path: Path) -> None:
    """As in the second byte of these characters in CP932; else both were in a folder "\u00f2"."""
    names = ["\u8868/0.png", "\u8868\u8868/0.png"]
    archive = zip_without_flag([name.encode("cp932") for name in names])
    assert list(unpack_files(archive, tmp_path)) == ["\u00f2\\/0.png", "\u00f2\\\u00f2\\/0.png"]


@pytest.mark.parametrize("name", ["a\\..\\..\\0.png", "a/..\\0.png", "\\a/0.png", "\\0.png"])
def test_backslashes_do_not_lead_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused, match="leads out of the archive") as caught:
        unpack_files(tar_of({name: b"x"}), tmp_path)
    assert caught.value.code == "unsafe_dataset"


def test_files_can_be_read_from_several_threads(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    contents = {f"a/{number}.png": bytes([number]) * 5000 for number in range(50)}
    path.write_bytes(zip_of(contents))
    wrong: list[str] = []
    with (tmp_path / "storage").open("w+b") as storage:
        files = unpack(path, storage, lambda completed, total: None)

        def read() -> None:
            wrong.extend(name for name, data in contents.items() if files.read(name) != data)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_progress_counts_bytes_of_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(zip_of({f"a/{number}.png": os.urandom(2000) for number in range(50)}))
    calls: list[tuple[int, int]] = []
    with (tmp_path / "storage").open("w+b") as storage:
        unpack(path, storage, lambda *progress: calls.append(progress))
    assert len(calls) == 50
    assert all(0 < completed <= total == path.stat().st_size for completed, total in calls)


# -- names

NFC = "M\u00f6we"
NFD = "Mo\u0308we"
GREEK = "\u03b3\u03ac\u03c4\u03b1"


class PlainZipInfo(zipfile.ZipInfo):
    """An entry whose name is written as it is, without the flag that says it is UTF-8."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        name: Any = self.filename.encode("utf-8", "surrogateescape")
        return name, self.flag_bits & ~0x800


def zip_without_flag(names: list[bytes], extra: bytes = b"") -> bytes:
    """A zip of files of these names, which does not say in which encoding they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            info = PlainZipInfo(name.decode("utf-8", "surrogateescape"))
            info.extra = extra
            archive.writestr(info, b"x")
    return buffer.getvalue()


def unpacked_names(archive: bytes, folder: Path) -> list[str]:
    return [name.removesuffix("/0.png") for name in unpack_files(archive, folder)]


@pytest.mark.parametrize("name", [NFC, NFD, GREEK, "\u732b", "plain"])
def test_zip_names_in_utf_8_need_no_flag(tmp_path: Path, name: str) -> None:
    """macOS writes none. Composed and decomposed names are the same name."""
    archive = zip_without_flag([f"{name}/0.png".encode()])
    assert zipfile.ZipFile(io.BytesIO(archive)).infolist()[0].flag_bits & 0x800 == 0
    assert unpacked_names(archive, tmp_path) == [NFC if name == NFD else name]
    assert unpacked_names(zip_of({f"{name}/0.png": b"x"}), tmp_path) == [
        NFC if name == NFD else name
    ]


def test_other_zip_names_are_in_code_page_437(tmp_path: Path) -> None:
    archive = zip_without_flag([NFC.encode("cp437") + b"/0.png", b"cat/0.png"])
    assert unpacked_names(archive, tmp_path) == [NFC, "cat"]
    path = tmp_path / "upload"
    with (tmp_path / "storage").open("w+b") as storage:
        files = unpack(path, storage, lambda completed, total: None)
    assert files.remarks == [
        "1 names in the zip are not in UTF-8; they were read in code page 437."
    ]


@pytest.mark.parametrize(
    ("version", "checksum_of", "expected"),
    [(1, b"M\x94we/0.png", GREEK), (2, b"M\x94we/0.png", NFC), (1, b"other", NFC)],
)
def test_unicode_path_of_info_zip_is_the_name(
    tmp_path: Path, version: int, checksum_of: bytes, expected: str
) -> None:
    """If its version is 1 and its checksum that of the name; else it belongs to another entry."""
    field = struct.pack("<BI", version, zlib.crc32(checksum_of)) + f"{GREEK}/0.png".encode()
    extra = struct.pack("<HHI", 0x6375, 4, 7) + struct.pack("<HH", 0x7075, len(field)) + field
    assert unpacked_names(zip_without_flag([b"M\x94we/0.png"], extra), tmp_path) == [expected]


def test_tar_names_are_composed(tmp_path: Path) -> None:
    assert unpacked_names(tar_of({f"{NFD}/0.png": b"x"}), tmp_path) == [NFC]


def test_file_in_two_forms_of_unicode_occurs_twice(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="occurs twice") as caught:
        unpack_files(zip_of({f"{NFC}/0.png": b"x", f"{NFD}/0.png": b"y"}), tmp_path)
    assert caught.value.code == "corrupt_archive"


def test_folder_in_two_forms_of_unicode_is_remarked(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    files = {f"{NFC}/a/0.png": b"x", f"{NFD}/b/0.png": b"x", f"{NFC}/c/0.png": b"x", "a/0": b""}
    path.write_bytes(zip_of(files))
    with (tmp_path / "storage").open("w+b") as storage:
        source = unpack(path, storage, lambda completed, total: None)
    assert source.folders == {NFC, f"{NFC}/a", f"{NFC}/b", f"{NFC}/c", "a"}
    assert source.remarks == [
        "1 folders have their names in two forms of Unicode in the archive, and were read as one "
        f'each, such as "{NFC}".'
    ]


def test_folders_and_empty_files_are_kept_or_named(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    files = {"a/0.png": b"", "b/": b"", "c/d/": b"", ".hidden/": b"", "__MACOSX/a/._0": b"x"}
    path.write_bytes(zip_of(files))
    with (tmp_path / "storage").open("w+b") as storage:
        source = unpack(path, storage, lambda completed, total: None)
    assert (list(source), source.size("a/0.png")) == (["a/0.png"], 0)
    assert source.folders == {"a", "b", "c", "c/d"}
    assert {group["reason"]: group["first"] for group in source.ignored.as_json()} == {
        "left behind by a desktop": ["__MACOSX/a/._0"],
        "an empty folder": [".hidden", "b", "c/d"],
    }
