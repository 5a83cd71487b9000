import contextlib
import gzip
import io
import lzma
import os
import pickle
import struct
import subprocess
import tarfile
import threading
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.distillation.data import load
from core.distillation.data.archive import unpack
from core.errors import Refused
from core.folder import JobFolder

from .building import ARCHIVES, imported, member, picture, split_classes, tar_of, tar_of_members, two_classes, write_files, zip_of

Import = Callable[[bytes], JobFolder]
Refusal = Callable[[bytes], tuple[str, str]]
CAT = "train/cat/0.png"


def unpacked(archive: bytes, folder: Path) -> dict[str, bytes]:
    path = folder / "upload"
    path.write_bytes(archive)
    with (folder / "heap").open("w+b") as heap:
        files = unpack(path, heap, lambda step, of: None)
        return {name: files.read(name) for name in files}


# -- what is read


@pytest.mark.parametrize("kind", ARCHIVES)
def test_every_kind_of_archive_is_read(import_upload: Import, kind: str):
    job = import_upload(ARCHIVES[kind](split_classes("pets/")))
    assert imported(job).report["images"] == {"train": {"cat": 3, "mouse": 3}, "test": {"cat": 2, "mouse": 2}}
    assert len(load(job).train) == 6


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(st.text("aé漢😀 -+", min_size=1, max_size=20), min_size=2, max_size=8, unique=True),
    data=st.binary(min_size=1, max_size=2000),
)
def test_tar_archives_of_every_dialect_come_out_as_they_went_in(tmp_path: Path, form: int, names: list[str], data: bytes):
    files = {f"{'/'.join(names)}/{at}{name}.png": bytes([at]) + data for at, name in enumerate(names)}
    if form == tarfile.USTAR_FORMAT:  # a hundred bytes a name
        files = {f"a/{names[0][:10]}/{at}.png": data for at, data in enumerate(files.values())}
    assert unpacked(tar_of(files, form=form), tmp_path) == files


@pytest.mark.parametrize(
    "options", [["--format=gnu"], ["--format=pax"], ["--format=ustar"], ["--format=v7"], ["-J"], ["-z"], ["-j"]]
)
def test_what_the_tar_command_writes_is_read(tmp_path: Path, options: list[str]):
    files = {f"train/cat/{at}{'x' * 60}.png": bytes([at]) * 700 for at in range(3)}
    write_files(tmp_path / "in", files)
    done = subprocess.run(["tar", "-c", *options, "-C", tmp_path / "in", "train"], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(done.stderr.decode())
    if options == ["--format=v7"]:
        with pytest.raises(Refused, match="not an archive"):
            unpacked(done.stdout, tmp_path)
    else:
        assert unpacked(done.stdout, tmp_path) == files


def test_several_xz_streams_one_after_the_other_are_one_archive(tmp_path: Path):
    archive = tar_of({"a/0.png": os.urandom(5000)})
    parts = [lzma.compress(archive[:3000]), bytes(4), lzma.compress(archive[3000:])]
    assert list(unpacked(b"".join(parts), tmp_path)) == ["a/0.png"]


def test_backslashes_of_windows_separate_folders(tmp_path: Path):
    archive = tar_of({"train\\cat\\0.png": b"x"})
    assert unpacked(archive, tmp_path) == {CAT: b"x"}


def test_files_can_be_read_from_several_threads_at_once(tmp_path: Path):
    path = tmp_path / "upload"
    path.write_bytes(zip_of({f"a/{at}.png": bytes([at]) * 5000 for at in range(50)}))
    wrong = []
    with (tmp_path / "heap").open("w+b") as heap:
        files = unpack(path, heap, lambda step, of: None)

        def read() -> None:
            wrong.extend(at for at in range(50) if files.read(f"a/{at}.png") != bytes([at]) * 5000)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_progress_is_said_in_bytes_of_the_archive(tmp_path: Path):
    path = tmp_path / "upload"
    path.write_bytes(zip_of({f"a/{at}.png": os.urandom(2000) for at in range(50)}))
    said = []
    with (tmp_path / "heap").open("w+b") as heap:
        unpack(path, heap, lambda *progress: said.append(progress))
    assert len(said) == 50
    assert all(0 < step <= of == path.stat().st_size for step, of in said)


# -- what leads elsewhere


@pytest.mark.parametrize("pack", [zip_of, tar_of], ids=["zip", "tar"])
@pytest.mark.parametrize(
    "name",
    [
        "../canary",
        "../canary.png",
        "train/../../canary.png",
        "../job-evil/0.png",
        "../../../../../../../../tmp/canary.png",
        "/tmp/canary.png",
        "//tmp/canary.png",
        "C:/canary.png",
        "c:\\canary.png",
        "..\\canary.png",
        "\\\\server\\share\\0.png",
        "train/cat/..",
        ".hidden/../../canary.png",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused_by_name(refused: Refusal, pack: Callable[[dict[str, bytes]], bytes], name: str):
    code, message = refused(pack(split_classes() | {name: b"x"}))
    assert (code, "leads elsewhere" in message) == ("unsafe_dataset", True)
    assert f'"{name}"' in message


LINKS = {
    "symlink": member("train/cat/9.png", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "relative symlink": member("train/cat/9.png", type=tarfile.SYMTYPE, linkname="../../../canary"),
    "hardlink": member("train/cat/9.png", type=tarfile.LNKTYPE, linkname="train/cat/0.png"),
    "folder symlink": member("train/dog", type=tarfile.SYMTYPE, linkname=".."),
    "character device": member("train/cat/9.png", type=tarfile.CHRTYPE, devmajor=1, devminor=5),
    "block device": member("train/cat/9.png", type=tarfile.BLKTYPE, devmajor=8, devminor=0),
    "pipe": member("train/cat/9.png", type=tarfile.FIFOTYPE),
    "sparse file": member("train/cat/9.png", type=tarfile.GNUTYPE_SPARSE),
    "unknown type": member("train/cat/9.png", type=b"Z"),
    "hidden symlink": member(".link", type=tarfile.SYMTYPE, linkname="/"),
}


@pytest.mark.parametrize("kind", LINKS)
def test_a_link_or_device_in_a_tar_is_refused_by_name(refused: Refusal, kind: str):
    info, data = LINKS[kind]
    code, message = refused(tar_of_members([*(member(name, it) for name, it in split_classes().items()), (info, data)]))
    assert (code, f'"{info.name}"' in message) == ("unsafe_dataset", True)


def test_a_chain_of_links_is_refused_at_the_first(refused: Refusal):
    chain = [member(f"l{at}", type=tarfile.SYMTYPE, linkname=f"l{at - 1}" if at else "..") for at in range(100)]
    assert refused(tar_of_members([*chain, member("l99/canary", b"overwritten")])) == (
        "unsafe_dataset",
        '"l0" is a link, a device or a sparse file; a data set has regular files and folders only.',
    )


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o060666, 0o010666])
def test_a_link_or_device_in_a_zip_is_refused_by_name(refused: Refusal, mode: int):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("train/cat/9.png")
        info.external_attr = mode << 16
        archive.writestr(info, "/etc/passwd")
    code, message = refused(out.getvalue())
    assert (code, '"train/cat/9.png"' in message) == ("unsafe_dataset", True)


# -- what could run code


@pytest.mark.parametrize("pack", [zip_of, tar_of], ids=["zip", "tar"])
@pytest.mark.parametrize("name", ["data.pkl", "train/cat/x.PT", "a/labels.npy", "arrays.npz", "model.pth", "x.joblib"])
def test_a_file_that_may_hold_a_pickle_is_refused_by_name(refused: Refusal, pack: Callable[[dict[str, bytes]], bytes], name: str):
    code, message = refused(pack(split_classes() | {name: b"anything"}))
    assert (code, f'"{name}"' in message) == ("unsafe_dataset", True)


@pytest.mark.parametrize("pack", [zip_of, tar_of], ids=["zip", "tar"])
def test_a_pickle_by_any_other_name_is_refused_and_does_not_run(
    refused: Refusal, pack: Callable[[dict[str, bytes]], bytes], tmp_path: Path
):
    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return (os.mkdir, (str(tmp_path / "it-ran"),))

    code, message = refused(pack(split_classes() | {"train/labels": pickle.dumps(Payload())}))
    assert (code, '"train/labels"' in message) == ("unsafe_dataset", True)
    assert not (tmp_path / "it-ran").exists()


def test_cifars_python_archive_is_refused_and_the_binary_version_named(refused: Refusal):
    code, message = refused(tar_of({"cifar-10-batches-py/data_batch_4": b"\x80\x02}q\x01(U\x0bbatch_label"}, "gz"))
    assert (code, "binary version" in message) == ("unsafe_dataset", True)


# -- what would fill the machine


def in_seconds(seconds: float, run: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    began = time.monotonic()
    result = run()
    assert time.monotonic() - began < seconds
    return result


def in_megabytes(megabytes: float, run: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    tracemalloc.start()
    try:
        result = run()
        assert tracemalloc.get_traced_memory()[1] < megabytes * 2**20
    finally:
        tracemalloc.stop()
    return result


def table_of(entries: int) -> bytes:
    name = b"e/1234"
    return (b"PK\x01\x02" + struct.pack("<HHHHHHIIIHHHHHII", 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name), *[0] * 6) + name) * entries


def zip_with(table: bytes, before: int) -> bytes:
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, len(table), before, 0)
    return b"PK\x03\x04".ljust(before, b"\0") + table + end


EMPTY_ENTRIES = {
    "zip": lambda: zip_with(table_of(100_000), before=6 * 10**6),
    "tar": lambda: tarfile.TarInfo("e/1234").tobuf() * 100_000 + bytes(1024),
    "tar.gz": lambda: gzip.compress(tarfile.TarInfo("e/1234").tobuf() * 100_000 + bytes(1024), 1),
    "tar.xz": lambda: lzma.compress(tarfile.TarInfo("e/1234").tobuf() * 100_000 + bytes(1024), preset=0),
}


@pytest.mark.parametrize("kind", EMPTY_ENTRIES)
def test_a_hundred_thousand_empty_entries_are_refused_quickly(refused: Refusal, kind: str):
    upload = EMPTY_ENTRIES[kind]()
    code, message = in_seconds(5, lambda: refused(upload))
    assert (code, "too many entries" in message) == ("too_large", True)


def test_a_zip_that_is_one_great_table_of_contents_is_refused_before_it_is_read(refused: Refusal):
    upload = zip_with(table_of(1_000_000), before=4)
    code, message = in_megabytes(5, lambda: in_seconds(2, lambda: refused(upload)))
    assert (code, "table of contents" in message) == ("too_large", True)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz", "tar.bz2"])
def test_a_bomb_is_refused_while_it_unfolds(refused: Refusal, kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("core.distillation.data.archive.entry.FREE_BYTES", 2**20)
    upload = ARCHIVES[kind]({"a/0.bmp": bytes(50 * 2**20)})
    code, message = in_megabytes(30, lambda: in_seconds(5, lambda: refused(upload)))
    assert (code, "100 times its size" in message) == ("too_large", True)


def test_entries_of_a_zip_that_share_their_bytes_are_counted_each(refused: Refusal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("core.distillation.data.archive.entry.FREE_BYTES", 2**20)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/0.bmp", bytes(2**20))
        shared = archive.infolist()[0]
        archive.filelist += [shared] * 500
    assert refused(out.getvalue())[0] in ("too_large", "corrupt_archive")


def test_an_entry_that_declares_gigabytes_is_refused_at_once(refused: Refusal):
    info = tarfile.TarInfo("a/0.bmp")
    info.size = 10**10
    code, message = in_seconds(2, lambda: refused(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)))
    assert (code, '"a/0.bmp" has 10000000000 bytes' in message) == ("too_large", True)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_an_extended_header_of_gigabytes_is_refused_at_once(refused: Refusal, kind: bytes):
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 10**9
    code, _ = in_seconds(2, lambda: refused(info.tobuf() + bytes(2**20)))
    assert code == "corrupt_archive"


def test_extended_headers_without_end_are_refused(refused: Refusal):
    info = tarfile.TarInfo("x")
    info.type = tarfile.XGLTYPE
    assert refused(info.tobuf() * 1000)[0] == "corrupt_archive"


def test_an_xz_stream_that_wants_gigabytes_of_dictionary_is_refused(refused: Refusal):
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**20}]
    upload = bytearray(lzma.compress(tar_of(split_classes()), filters=filters))
    at = upload.index(b"\x21\x01", 12) + 2  # the filter's id and the length of its properties: the dictionary's size
    upload[at] = 38
    upload[20:24] = struct.pack("<I", zlib.crc32(bytes(upload[12:20])))
    code, message = refused(bytes(upload))
    assert (code, "emory" in message) == ("corrupt_archive", True)


@pytest.mark.parametrize("name", ["/".join("abcdefghijk") + "/0.png", "x" * 1100 + ".png"])
def test_paths_too_deep_or_too_long_are_refused(refused: Refusal, name: str):
    code, message = refused(tar_of({name: b"x"}))
    assert code == "too_large"
    assert len(message) < 400


def test_archives_within_archives_stay_closed(refused: Refusal):
    inner = zip_of(split_classes())
    for _ in range(3):
        inner = zip_of({"inner.zip": inner, "inner.tar.gz": tar_of(split_classes(), "gz")})
    assert refused(inner)[0] == "too_few_classes"


# -- what is damaged


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_cut_short_anywhere_is_refused(refused: Refusal, kind: str, tmp_path: Path):
    whole = ARCHIVES[kind](two_classes(per_class=5, size=(16, 16)))
    ends = len(whole.rstrip(b"\0")) if kind == "tar" else len(whole)  # after a tar's data there are only zeros
    cuts = sorted({*range(0, 40), *range(40, ends, max(1, ends // 150)), *range(ends - 40, ends)})
    for cut in cuts:
        assert refused_code(whole[:cut], tmp_path) in ("corrupt_archive", "unknown_format", "unreadable_image"), cut


def refused_code(upload: bytes, folder: Path) -> str:
    with pytest.raises(Refused) as caught:
        unpacked(upload, folder)
    assert str(folder) not in caught.value.message
    return caught.value.code


@pytest.mark.parametrize("kind", ARCHIVES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bytes_are_refused_or_do_not_matter(kind: str, data: st.DataObject, tmp_path: Path):
    upload = bytearray(ARCHIVES[kind]({"a/0.png": picture(), "b/x/1.png": picture(seed=1), "notes.txt": b"hello"}))
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


@pytest.mark.parametrize("upload", [b"", b"Rar!\x1a\x07\x00", b"7z\xbc\xaf\x27\x1c", picture(), b"<html></html>" * 100])
def test_what_is_no_archive_is_refused(refused: Refusal, upload: bytes):
    assert refused(upload)[0] == "unknown_format"


def test_a_failing_disk_is_not_blamed_on_the_archive(import_upload: Import, monkeypatch: pytest.MonkeyPatch):
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.distillation.data.files.UnpackedFiles.add", no_space)
    with pytest.raises(OSError, match="No space left"):
        import_upload(zip_of(split_classes()))
