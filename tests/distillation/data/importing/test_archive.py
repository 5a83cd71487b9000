import lzma
import os
import subprocess
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.distillation.data import load
from core.distillation.data.importing.archive import unpack
from core.errors import Refused
from core.job_folder import JobFolder
from tests.distillation.data.building import (
    ARCHIVES,
    imported,
    split_classes,
    tar_of,
    unpacked,
    write_files,
    zip_of,
)

Import = Callable[[bytes], JobFolder]
CAT = "train/cat/0.png"


@pytest.mark.parametrize("kind", ARCHIVES)
def test_every_kind_of_archive_is_read(import_upload: Import, kind: str):
    job = import_upload(ARCHIVES[kind](split_classes("pets/")))
    assert imported(job).report["images"] == {
        "train": {"cat": 3, "mouse": 3},
        "test": {"cat": 2, "mouse": 2},
    }
    assert len(load(job).train) == 6


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    names=st.lists(
        st.text("aé漢😀 -+", min_size=1, max_size=20), min_size=2, max_size=8, unique=True
    ),
    data=st.binary(min_size=1, max_size=2000),
)
def test_tar_archives_of_every_dialect_come_out_as_they_went_in(
    tmp_path: Path, form: int, names: list[str], data: bytes
):
    files = {
        f"{'/'.join(names)}/{at}{name}.png": bytes([at]) + data for at, name in enumerate(names)
    }
    if form == tarfile.USTAR_FORMAT:  # a hundred bytes a name
        files = {f"a/{names[0][:10]}/{at}.png": data for at, data in enumerate(files.values())}
    assert unpacked(tar_of(files, form=form), tmp_path) == files


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
def test_what_the_tar_command_writes_is_read(tmp_path: Path, options: list[str]):
    files = {f"train/cat/{at}{'x' * 60}.png": bytes([at]) * 700 for at in range(3)}
    write_files(tmp_path / "in", files)
    done = subprocess.run(
        ["tar", "-c", *options, "-C", tmp_path / "in", "train"], capture_output=True, check=False
    )
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
