"""An .npz of images and labels becomes a data set without test images, in memory that does not grow with it."""

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.distillation.data import load_extra
from core.distillation.data.images import ImageSource
from core.distillation.data.importing import npz
from core.distillation.jobs.dataset_import import import_dataset
from core.job_folder import JobFolder
from tests.distillation.data.building import import_job, imported

Import = Callable[..., JobFolder]


def pixels(count: int = 7, height: int = 8, width: int = 9, channels: int = 3) -> Any:
    return np.random.default_rng(count).integers(0, 256, (count, height, width, channels), np.uint8)


def npz_of(image: Any = None, label: Any = None, save: Any = np.savez, **others: Any) -> bytes:
    image = pixels() if image is None else image
    out = io.BytesIO()
    save(out, image=image, label=np.arange(len(image)) % 3 if label is None else label, **others)
    return out.getvalue()


def as_extra(job: JobFolder) -> ImageSource:
    """The imported data set as a training job finds it."""
    imported(job)
    job.dataset_file.replace(job.extra_file)
    job.dataset_description.replace(job.extra_description)
    found = load_extra(job)
    assert found is not None
    return found


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_and_labels_are_those_of_the_arrays(import_upload: Import, save: Any, channels: int):
    image = pixels(channels=channels)
    job = import_upload(npz_of(image, save=save))
    extra = as_extra(job)
    images_BCHW, labels_B = extra.batch(torch.arange(7))
    assert torch.equal(images_BCHW, torch.from_numpy(image).permute(0, 3, 1, 2).float().div(255))
    assert labels_B.tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_it_is_described_and_reported(import_upload: Import):
    event = imported(import_upload(npz_of(others=np.zeros(3), names=np.array(["a"]))))
    found = event.dataset
    assert found is not None
    assert (found.source, found.train_images, found.test_images) == ("packed", 7, 0)
    assert (found.channels, found.height, found.width, found.classes) == (3, 8, 9, 3)
    assert found.class_names == ("0", "1", "2")
    assert event.report["images"] == {
        "train": {"0": 3, "1": 2, "2": 2},
        "test": {"0": 0, "1": 0, "2": 0},
    }
    assert event.report["ignored_files"] == 2
    assert "no test images" in event.report["layout"]


def test_the_file_is_of_the_packed_layout(import_upload: Import):
    job = import_upload(npz_of())
    kinds = {
        name: (it.dtype, tuple(it.shape))
        for name, it in load_file(job.output / "dataset.safetensors").items()
    }
    assert kinds == {
        "train_images": (torch.uint8, (7, 3, 8, 9)),
        "train_labels": (torch.int64, (7,)),
        "test_images": (torch.uint8, (0, 3, 8, 9)),
        "test_labels": (torch.int64, (0,)),
    }


@pytest.mark.parametrize("dtype", ["u1", "i1", "<i2", ">i4", "<u8", ">i8"])
def test_labels_may_be_integers_of_any_width_and_order(import_upload: Import, dtype: str):
    job = import_upload(npz_of(label=np.array([0, 2, 1, 2, 0, 1, 2]).astype(dtype)))
    assert as_extra(job).labels_N.tolist() == [0, 2, 1, 2, 0, 1, 2]


def test_images_that_do_not_fill_a_block_or_a_piece_are_read_like_others(
    import_upload: Import, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(npz, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(npz, "LABELS_AT_ONCE", 4)
    monkeypatch.setattr("core.distillation.data.importing.archive.zip.CHUNK", 333)
    image, label = pixels(50), np.arange(50) % 11
    extra = as_extra(import_upload(npz_of(image, label)))
    assert torch.equal(
        extra.batch(torch.arange(50))[0],
        torch.from_numpy(image).permute(0, 3, 1, 2).float().div(255),
    )
    assert extra.labels_N.tolist() == label.tolist()


def test_an_npz_that_the_operator_offers_is_read(tmp_path: Path):
    (tmp_path / "extra.npz").write_bytes(npz_of())
    job = import_job(tmp_path / "job", source="folder", folder="extra.npz")
    job.upload.symlink_to(tmp_path / "extra.npz")
    import_dataset(job)
    event = imported(job)
    assert event.dataset is not None
    assert event.dataset.train_images == 7


def test_a_member_may_come_in_either_order_and_at_the_end_of_others(import_upload: Import):
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(npz_of())) as given, zipfile.ZipFile(out, "w") as archive:
        archive.writestr("z.npy", b"whatever")
        for name in ("label.npy", "image.npy"):
            archive.writestr(name, given.read(name))
    assert as_extra(import_upload(out.getvalue())).labels_N.tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_names_of_its_labels_may_be_given(tmp_path: Path):
    job = import_job(tmp_path / "job", classes=("plane", "car", "bird"))
    job.upload.write_bytes(npz_of())
    import_dataset(job)
    event = imported(job)
    assert event.dataset is not None
    assert event.dataset.class_names == ("plane", "car", "bird")
    assert event.report["images"]["train"] == {"plane": 3, "car": 2, "bird": 2}


MEASURED = """
import sys
from pathlib import Path

import torch

from core.distillation.data import load_extra, packed
from core.distillation.data.batches import Batches
from core.distillation.data.images import Images
from core.distillation.jobs.dataset_import import import_dataset
from core.job_folder import Imported, JobFolder
from core.jobspec.data import Augmentation

def kilobytes(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name + ":"))

folder = JobFolder(Path(sys.argv[1]))
torch.set_num_threads(1)
own = Images(torch.zeros(64, 3, 32, 32, dtype=torch.uint8), torch.zeros(64, dtype=torch.int64))
settings = dict(ratio=0.5, batch_size=32, augmentation=Augmentation(), seed=0, device=torch.device("cpu"))
Batches(own, own, **settings).at(0)  # whatever torch needs for a batch at all
open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
before = kilobytes("VmHWM")
import_dataset(folder)
print(kilobytes("VmHWM") - before)

event = folder.read_events()[0][-1]
folder.extra_description.write_text(event.dataset.model_dump_json())
(folder.output / "dataset.safetensors").rename(folder.extra_file)
before = kilobytes("RssAnon")
batches, most = Batches(own, load_extra(folder), **settings), 0
for step in range(50):
    batches.at(step)
    most = max(most, kilobytes("RssAnon"))
print(most - before)
"""


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_300_mb_are_imported_and_trained_on_in_less_than_64_mb(tmp_path: Path, compression: int):
    count = 100_000 if compression == zipfile.ZIP_STORED else 30_000
    job = import_job(tmp_path / "job")
    with zipfile.ZipFile(job.upload, "w", compression, compresslevel=1) as archive:
        write_npy(
            archive,
            "image.npy",
            (count, 32, 32, 3),
            "|u1",
            pixels(100, 32, 32).tobytes() * 10,
            count // 1000,
        )
        write_npy(
            archive, "label.npy", (count,), "<i8", (np.arange(1000) % 10).tobytes(), count // 1000
        )
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(job.path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    importing, training = map(int, done.stdout.split())
    assert importing < 64 * 1024
    assert training < 16 * 1024


def write_npy(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], descr: str, part: bytes, times: int
) -> None:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    with archive.open(name, "w", force_zip64=True) as member:
        member.write(head.getvalue())
        for _ in range(times):
            member.write(part)
