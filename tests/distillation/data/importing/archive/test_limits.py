"""Limits of an archive and of its entries, each just kept and just exceeded."""

import io
import tarfile
from pathlib import Path

import pytest

from core.distillation.data.importing.archive import entry, limits, unpacking
from core.distillation.data.importing.archive.limits import DecompressionBudget
from core.errors import Refused
from tests.distillation.data.builders import tar_of, unpack_files, zip_of


def spend(archive_bytes: int, count: int) -> None:
    DecompressionBudget(archive_bytes).spend(count)


def test_budget_is_a_ratio_beyond_what_is_always_allowed() -> None:
    spend(1000, 64 * 2**20 + 100_000)
    with pytest.raises(Refused, match="100 times its size"):
        spend(1000, 64 * 2**20 + 100_001)


def test_budget_has_a_maximum() -> None:
    spend(2**40, 16 * 2**30)
    with pytest.raises(Refused, match="16 GiB"):
        spend(2**40, 16 * 2**30 + 1)
    assert (limits.MAX_RATIO, limits.MAX_UNPACKED_BYTES) == (100, 16 * 2**30)


def test_budget_is_spent_in_all() -> None:
    budget = DecompressionBudget(0)
    budget.spend(64 * 2**20)
    with pytest.raises(Refused):
        budget.spend(1)


def refusal(data: bytes, folder: Path) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        unpack_files(data, folder)
    return caught.value.code, caught.value.message


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_entry_has_a_largest_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: object
) -> None:
    monkeypatch.setattr(unpacking, "MAX_FILE_BYTES", 500)
    assert callable(pack)
    assert unpack_files(pack({"a/0.png": b"x" * 500}), tmp_path) == {"a/0.png": b"x" * 500}
    assert refusal(pack({"a/0.png": b"x" * 501}), tmp_path) == (
        "too_large",
        '"a/0.png" has 501 bytes; a file may have at most 500.',
    )


@pytest.mark.parametrize("name", ["x" * 996 + ".png", "/".join("abcdefghi") + "/0.png"])
def test_path_has_a_limit(tmp_path: Path, name: str) -> None:
    """1000 characters, and ten parts."""
    assert list(unpack_files(tar_of({name: b"x"}), tmp_path)) == [name]
    longer = f"y/{name}" if "/" in name else f"x{name}"
    assert refusal(tar_of({longer: b"x"}), tmp_path)[0] == "too_large"


def test_ignored_entries_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three, and two more for each file of the data set."""
    monkeypatch.setattr(unpacking, "MAX_IGNORED_ENTRIES", 3)
    files = {"a/0.png": b"x", **{f"{number}.txt": b"x" for number in range(5)}}
    assert list(unpack_files(zip_of(files), tmp_path)) == ["a/0.png"]
    code, message = refusal(zip_of(files | {"5.txt": b"x"}), tmp_path)
    assert (code, "1 files of a data set and 6 others" in message) == ("too_large", True)


def test_files_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MAX_FILES", 2)
    files = {"a/0.png": b"x", "a/1.png": b"x"}
    assert len(unpack_files(zip_of(files), tmp_path)) == 2
    assert refusal(zip_of(files | {"a/2.png": b"x"}), tmp_path)[0] == "too_large"


@pytest.mark.parametrize("pickle", [b"\x80\x02}q\x01.", b"\x80\x05K\x01."])
def test_pickle_without_an_ending_is_refused(tmp_path: Path, pickle: bytes) -> None:
    assert refusal(zip_of({"a/0": pickle}), tmp_path)[0] == "unsafe_dataset"


def test_errors_of_a_damaged_archive_are_refusals() -> None:
    for error in (EOFError(), ValueError("x"), OSError("not gzipped"), OSError(22, "seek")):
        with pytest.raises(Refused, match="damaged or incomplete"), entry.refuse_corruption():
            raise error
    with pytest.raises(OSError, match="Input/output"), entry.refuse_corruption():
        raise OSError(5, "Input/output error")


def test_zero_byte_in_a_name_is_refused(tmp_path: Path) -> None:
    """A header's name ends at one; an extended header's does not."""
    info = tarfile.TarInfo("a/0.png")
    info.pax_headers = {"path": "a/0.png\0.exe"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    assert refusal(buffer.getvalue(), tmp_path)[0] == "unsafe_dataset"
