"""Image files, archives, arrays and import jobs: a test states only what matters to it."""

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.distillation.data.images import Images, ImageSource
from core.distillation.data.importing.archive import unpack
from core.job_folder import Imported, JobFolder
from core.jobspec.data import DatasetDescription
from core.jobspec.job import ImportDatasetSpec

ImportUpload = Callable[[bytes], JobFolder]
RefusalOf = Callable[[bytes], tuple[str, str]]
"""An upload -> code and message of its refusal."""
ImportEncoded = Callable[..., JobFolder]
"""An upload, and changes of the import's spec."""

# -- image files


def image_file(
    mode: str = "RGB",
    size: tuple[int, int] = (8, 8),
    seed: int = 0,
    image_format: str = "PNG",
) -> bytes:
    """An image of random pixels."""
    channels: dict[str, tuple[int, ...]] = {"L": (), "RGB": (3,), "RGBA": (4,), "LA": (2,)}
    shape = (size[1], size[0], *channels[mode])
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    options: dict[str, Any] = {"lossless": True} if image_format == "WEBP" else {}
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, image_format, **options)
    return buffer.getvalue()


def photo_file(
    size: tuple[int, int], seed: int = 0, image_format: str = "JPEG", mode: str = "RGB"
) -> bytes:
    """A smooth image: scaling it twice makes little difference."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    options: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options.get(image_format, {}))
    return buffer.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header declares this size, whatever its pixels are."""

    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + chunk(b"IEND", b"")
    )


# -- folders of images, as {path: bytes}


def class_folders(prefix: str = "", per_class: int = 5, **changes: Any) -> dict[str, bytes]:
    """Two classes, not split."""
    return {
        f"{prefix}{name}/{number}.png": image_file(seed=number + 100 * len(name), **changes)
        for name in ("cat", "mouse")
        for number in range(per_class)
    }


def split_folders(prefix: str = "", test: str = "test") -> dict[str, bytes]:
    """Two classes in a train and a test folder."""
    return class_folders(f"{prefix}train/", 3) | class_folders(f"{prefix}{test}/", 2)


def photo_folders(train: int = 6, test: int = 3, **changes: Any) -> dict[str, bytes]:
    """Photographs of two classes, of various sizes; one in three a PNG, one in three a WebP."""
    files = {}
    for part, count in (("train", train), ("test", test)):
        for number in range(count):
            for label, name in enumerate(("cat", "mouse")):
                image_format = ("JPEG", "PNG", "WEBP")[number % 3]
                size = (90 + 13 * number, 70 + 29 * ((number + label) % 4))
                files[f"{part}/{name}/{number}.{image_format.lower()}"] = photo_file(
                    size, seed=2 * number + label, image_format=image_format, **changes
                )
    return files


def write_files(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


# -- archives


def zip_of(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tar_of(
    files: dict[str, bytes],
    compression: str = "",
    tar_format: int = tarfile.PAX_FORMAT,
    folders: tuple[str, ...] = (),
) -> bytes:
    members = [
        *(tar_member(name, type=tarfile.DIRTYPE) for name in folders),
        *(tar_member(name, data) for name, data in files.items()),
    ]
    return tar_of_members(members, compression, tar_format)


def tar_member(name: str, data: bytes = b"", **changes: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in changes.items():
        setattr(info, key, value)
    return info, data


def tar_of_members(
    members: list[tuple[tarfile.TarInfo, bytes]],
    compression: str = "",
    tar_format: int = tarfile.PAX_FORMAT,
) -> bytes:
    buffer = io.BytesIO()
    mode: Any = f"w:{compression}"
    with tarfile.open(fileobj=buffer, mode=mode, format=tar_format) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


ARCHIVES: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "zip": zip_of,
    "zip, stored": lambda files: zip_of(files, zipfile.ZIP_STORED),
    "tar": tar_of,
    "tar.gz": lambda files: tar_of(files, "gz"),
    "tar.xz": lambda files: tar_of(files, "xz"),
    "tar.bz2": lambda files: tar_of(files, "bz2"),
}


def unpack_files(archive: bytes, folder: Path) -> dict[str, bytes]:
    path = folder / "upload"
    path.write_bytes(archive)
    with (folder / "storage").open("w+b") as storage:
        files = unpack(path, storage, lambda completed, total: None)
        return {name: files.read(name) for name in files}


# -- arrays


def random_pixels(count: int = 7, height: int = 8, width: int = 9, channels: int = 3) -> Any:
    """uint8 [N, H, W, C]."""
    shape = (count, height, width, channels)
    return np.random.default_rng(count).integers(0, 256, shape, np.uint8)


def npz_of(image: Any = None, label: Any = None, save: Any = np.savez, **others: Any) -> bytes:
    """An .npz of images and labels, by default with three classes."""
    image = random_pixels() if image is None else image
    label = np.arange(len(image)) % 3 if label is None else label
    buffer = io.BytesIO()
    save(buffer, image=image, label=label, **others)
    return buffer.getvalue()


def save_npy(array: Any, **changes: Any) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **changes)
    return buffer.getvalue()


def npy_with_header(
    shape: str, descr: str = "'|u1'", fortran: str = "False", data: bytes = b"", version: int = 1
) -> bytes:
    """An array's file with any header, valid or not."""
    header = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + data


# -- import jobs


def import_job(path: Path, **changes: Any) -> JobFolder:
    folder = JobFolder(path)
    folder.create(ImportDatasetSpec(**{"dataset_id": "d1", "source": "upload"} | changes))
    return folder


def install_import(folder: JobFolder) -> Imported:
    """Move the imported data set to where a training job would find it; return the last event."""
    event = folder.read_events()[0][-1]
    assert isinstance(event, Imported)
    folder.dataset_description.write_text(dataset_of(event).model_dump_json())
    (folder.output / "dataset.safetensors").replace(folder.dataset_file)
    return event


def dataset_of(event: Imported) -> DatasetDescription:
    assert event.dataset is not None
    return event.dataset


def in_memory(source: ImageSource) -> Images:
    """The same images, known to be in memory."""
    assert isinstance(source, Images)
    return source


def labels_of(images: ImageSource) -> list[int]:
    labels: list[int] = images.labels_N.tolist()
    return labels
