"""An .npz of images and labels becomes a data set without test images."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.distillation.data import load, load_extra
from core.distillation.data.images import ImageSource
from core.distillation.data.importing import npz
from core.distillation.jobs.dataset_import import import_dataset
from core.job_folder import JobFolder
from tests.distillation.data.builders import (
    ImportUpload,
    dataset_of,
    import_job,
    in_memory,
    install_import,
    labels_of,
    npz_of,
    random_pixels,
)


def as_extra(job: JobFolder) -> ImageSource:
    """Load the imported data set as a training job loads extra images."""
    install_import(job)
    job.dataset_file.replace(job.extra_file)
    job.dataset_description.replace(job.extra_description)
    extra = load_extra(job)
    assert extra is not None
    return extra


def as_floats(image_NHWC: Any) -> torch.Tensor:
    """Return what batches have of an array of images."""
    return torch.from_numpy(image_NHWC).permute(0, 3, 1, 2).float().div(255)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_and_labels_are_those_of_the_arrays(
    import_upload: ImportUpload, save: Any, channels: int
) -> None:
    image_NHWC = random_pixels(channels=channels)
    extra = as_extra(import_upload(npz_of(image_NHWC, save=save)))
    images_BCHW, labels_B = extra.batch(torch.arange(7))
    assert torch.equal(images_BCHW, as_floats(image_NHWC))
    assert labels_B.tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_description_and_report(import_upload: ImportUpload) -> None:
    event = install_import(import_upload(npz_of(others=np.zeros(3), names=np.array(["a"]))))
    dataset = dataset_of(event)
    assert (dataset.source, dataset.train_images, dataset.test_images) == ("packed", 7, 0)
    assert (dataset.channels, dataset.height, dataset.width, dataset.classes) == (3, 8, 9, 3)
    assert dataset.class_names == ("0", "1", "2")
    assert event.report["images"] == {
        "train": {"0": 3, "1": 2, "2": 2},
        "test": {"0": 0, "1": 0, "2": 0},
    }
    assert event.report["ignored_files"] == 2
    assert "no test images" in event.report["layout"]


def test_file_has_the_packed_layout(import_upload: ImportUpload) -> None:
    job = import_upload(npz_of())
    tensors = load_file(job.output / "dataset.safetensors")
    assert {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()} == {
        "train_images": (torch.uint8, (7, 3, 8, 9)),
        "train_labels": (torch.int64, (7,)),
        "test_images": (torch.uint8, (0, 3, 8, 9)),
        "test_labels": (torch.int64, (0,)),
    }


@pytest.mark.parametrize("dtype", ["u1", "i1", "<i2", ">i4", "<u8", ">i8"])
def test_labels_may_be_integers_of_any_width_and_byte_order(
    import_upload: ImportUpload, dtype: str
) -> None:
    job = import_upload(npz_of(label=np.array([0, 2, 1, 2, 0, 1, 2]).astype(dtype)))
    assert labels_of(as_extra(job)) == [0, 2, 1, 2, 0, 1, 2]


def test_images_need_not_fill_blocks_or_chunks(
    import_upload: ImportUpload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npz, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(npz, "LABELS_PER_BLOCK", 4)
    monkeypatch.setattr("core.distillation.data.importing.archive.zip.CHUNK_BYTES", 333)
    image_NHWC = random_pixels(50)
    label_N = np.arange(50) % 11
    extra = as_extra(import_upload(npz_of(image_NHWC, label_N)))
    assert torch.equal(extra.batch(torch.arange(50))[0], as_floats(image_NHWC))
    assert labels_of(extra) == label_N.tolist()


def test_npz_of_the_operator_is_imported(tmp_path: Path) -> None:
    (tmp_path / "extra.npz").write_bytes(npz_of())
    job = import_job(tmp_path / "job", source="folder", folder="extra.npz")
    job.upload.symlink_to(tmp_path / "extra.npz")
    import_dataset(job)
    assert dataset_of(install_import(job)).train_images == 7


def test_members_may_be_in_any_order_and_after_others(import_upload: ImportUpload) -> None:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(npz_of())) as source,
        zipfile.ZipFile(buffer, "w") as archive,
    ):
        archive.writestr("z.npy", b"anything")
        for name in ("label.npy", "image.npy"):
            archive.writestr(name, source.read(name))
    assert labels_of(as_extra(import_upload(buffer.getvalue()))) == [0, 1, 2, 0, 1, 2, 0]


def test_labels_may_be_named(tmp_path: Path) -> None:
    job = import_job(tmp_path / "job", classes=("plane", "car", "bird"))
    job.upload.write_bytes(npz_of())
    import_dataset(job)
    event = install_import(job)
    assert dataset_of(event).class_names == ("plane", "car", "bird")
    assert event.report["images"]["train"] == {"plane": 3, "car": 2, "bird": 2}


def save_npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def split_arrays(names: dict[str, str], parts: tuple[str, ...]) -> dict[str, Any]:
    """Gray images of three classes; MedMNIST has labels [N, 1]."""
    arrays = {}
    for number, part in enumerate(parts):
        images = random_pixels(6 + 3 * number, 8, 9, 1)[..., 0]
        arrays[names["images"].format(part)] = images
        arrays[names["labels"].format(part)] = (np.arange(len(images)) % 3).astype("u1")[:, None]
    return arrays


@pytest.mark.parametrize(
    "names",
    [
        {"images": "{}_images", "labels": "{}_labels"},
        {"images": "x_{}", "labels": "y_{}"},
        {"images": "X_{}", "labels": "y_{}"},
        {"images": "{}_data", "labels": "{}-targets"},
    ],
)
def test_arrays_may_be_split(import_upload: ImportUpload, names: dict[str, str]) -> None:
    """As MedMNIST's and Keras's are. Validation images are not used beside test images."""
    arrays = split_arrays(names, ("train", "val", "test"))
    job = import_upload(save_npz(**arrays))
    event = install_import(job)
    data = load(job)
    assert event.report["images"] == {
        "train": {"0": 2, "1": 2, "2": 2},
        "test": {"0": 4, "1": 4, "2": 4},
    }
    train = arrays[names["images"].format("train")]
    test = arrays[names["images"].format("test")]
    assert torch.equal(in_memory(data.train).images_NCHW, torch.from_numpy(train)[:, None])
    assert torch.equal(in_memory(data.test).images_NCHW, torch.from_numpy(test)[:, None])
    assert labels_of(data.test) == [0, 1, 2] * 4
    train_name, test_name = (names["images"].format(part) for part in ("train", "test"))
    assert event.report["layout"] == (
        f"An .npz with training images in {train_name}.npy and test images in {test_name}.npy."
    )
    assert sorted(event.report["ignored"][0]["first"]) == sorted(
        f"{names[content].format('val')}.npy" for content in ("images", "labels")
    )


def test_validation_arrays_serve_where_there_are_no_others(import_upload: ImportUpload) -> None:
    names = {"images": "{}_images", "labels": "{}_labels"}
    arrays = split_arrays(names, ("train", "val")) | {"test_images": random_pixels(3, 8, 9, 1)}
    event = install_import(import_upload(save_npz(**arrays)))
    assert (dataset_of(event).train_images, dataset_of(event).test_images) == (6, 9)
    assert event.report["layout"].endswith("test images in val_images.npy.")
    assert event.report["ignored"][0]["first"] == ["test_images.npy"]


@pytest.mark.parametrize(
    ("images", "labels"), [("images", "labels"), ("X", "y"), ("x_train", "y_train"), ("img", "y")]
)
def test_arrays_may_have_other_names(import_upload: ImportUpload, images: str, labels: str) -> None:
    upload = save_npz(**{images: random_pixels(6), labels: np.arange(6) % 2, "note": np.zeros(2)})
    event = install_import(import_upload(upload))
    assert (dataset_of(event).train_images, dataset_of(event).test_images) == (6, 0)
    assert event.report["ignored"] == [
        {"reason": "not an array that is used", "files": 1, "first": ["note.npy"]}
    ]


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_may_come_first(import_upload: ImportUpload, channels: int) -> None:
    image_NHWC = random_pixels(channels=channels)
    upload = npz_of(np.ascontiguousarray(image_NHWC.transpose(0, 3, 1, 2)))
    images_BCHW, _ = as_extra(import_upload(upload)).batch(torch.arange(7))
    assert torch.equal(images_BCHW, as_floats(image_NHWC))


def test_gray_images_need_no_axis_of_channels(import_upload: ImportUpload) -> None:
    image_NHWC = random_pixels(channels=1)
    extra = as_extra(import_upload(npz_of(image_NHWC[..., 0])))
    assert torch.equal(extra.batch(torch.arange(7))[0], as_floats(image_NHWC))


MEASURE_MEMORY = """
import sys
from pathlib import Path

import torch

from core.distillation.data import load_extra
from core.distillation.data.batches import Batches
from core.distillation.data.images import Images
from core.distillation.jobs.dataset_import import import_dataset
from core.job_folder import JobFolder
from core.jobspec.data import Augmentation


def kilobytes(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


folder = JobFolder(Path(sys.argv[1]))
torch.set_num_threads(1)
images = Images(torch.zeros(64, 3, 32, 32, dtype=torch.uint8), torch.zeros(64, dtype=torch.int64))
settings = dict(
    ratio=0.5, batch_size=32, augmentation=Augmentation(), seed=0, device=torch.device("cpu")
)
Batches(images, images, **settings).at(0)  # allocates what torch needs in any case
open("/proc/self/clear_refs", "w").write("5")  # resets the peak
before = kilobytes("VmHWM")
import_dataset(folder)
print(kilobytes("VmHWM") - before)

event = folder.read_events()[0][-1]
folder.extra_description.write_text(event.dataset.model_dump_json())
(folder.output / "dataset.safetensors").rename(folder.extra_file)
before = kilobytes("RssAnon")
batches = Batches(images, load_extra(folder), **settings)
highest = 0
for step in range(50):
    batches.at(step)
    highest = max(highest, kilobytes("RssAnon"))
print(highest - before)
"""


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_300_mb_need_less_than_64_mb_of_memory(tmp_path: Path, compression: int) -> None:
    """For the import; a training needs less than 16 MB."""
    count = 100_000 if compression == zipfile.ZIP_STORED else 30_000
    job = import_job(tmp_path / "job")
    image = random_pixels(100, 32, 32).tobytes() * 10
    label = (np.arange(1000) % 10).tobytes()
    with zipfile.ZipFile(job.upload, "w", compression, compresslevel=1) as archive:
        write_npy(archive, "image.npy", (count, 32, 32, 3), "|u1", image, count // 1000)
        write_npy(archive, "label.npy", (count,), "<i8", label, count // 1000)
    process = subprocess.run(
        [sys.executable, "-c", MEASURE_MEMORY, str(job.path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    importing, training = map(int, process.stdout.split())
    assert importing < 64 * 1024
    assert training < 16 * 1024


def write_npy(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], descr: str, part: bytes, times: int
) -> None:
    """Write an array that consists of a part, repeated."""
    header = io.BytesIO()
    fields = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    with archive.open(name, "w", force_zip64=True) as member:
        member.write(header.getvalue())
        for _ in range(times):
            member.write(part)
