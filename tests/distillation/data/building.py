"""Builders: a test states only what matters to it."""

import io
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.distillation.data.images import Images
from core.distillation.data.importing.archive import unpack
from core.job_folder import Imported, JobFolder
from core.jobspec.job import ImportDatasetSpec


def picture(
    mode: str = "RGB", size: tuple[int, int] = (8, 8), seed: int = 0, form: str = "PNG"
) -> bytes:
    channels = {"L": (), "RGB": (3,), "RGBA": (4,), "LA": (2,)}
    pixels = np.random.default_rng(seed).integers(
        0, 256, (size[1], size[0], *channels[mode]), np.uint8
    )
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, **({"lossless": True} if form == "WEBP" else {}))
    return out.getvalue()


def png_that_says(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + chunk(b"IEND", b"")
    )


def two_classes(prefix: str = "", per_class: int = 5, **changes) -> dict[str, bytes]:
    return {
        f"{prefix}{name}/{at}.png": picture(seed=at + 100 * len(name), **changes)
        for name in ("cat", "mouse")
        for at in range(per_class)
    }


def split_classes(prefix: str = "", test: str = "test") -> dict[str, bytes]:
    return two_classes(f"{prefix}train/", 3) | two_classes(f"{prefix}{test}/", 2)


def zip_of(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tar_of(
    files: dict[str, bytes],
    compression: str = "",
    form: int = tarfile.PAX_FORMAT,
    folders: tuple[str, ...] = (),
) -> bytes:
    return tar_of_members(
        [
            *(member(name, type=tarfile.DIRTYPE) for name in folders),
            *(member(name, data) for name, data in files.items()),
        ],
        compression,
        form,
    )


def member(name: str, data: bytes = b"", **changes) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in changes.items():
        setattr(info, key, value)
    return info, data


def tar_of_members(
    members: list[tuple[tarfile.TarInfo, bytes]],
    compression: str = "",
    form: int = tarfile.PAX_FORMAT,
) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{compression}", format=form) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def npy_of(
    shape: str, descr: str = "'|u1'", fortran: str = "False", data: bytes = b"", version: int = 1
) -> bytes:
    """An array's file with whatever header."""
    head = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
    length = struct.pack("<H" if version == 1 else "<I", len(head))
    return b"\x93NUMPY" + bytes([version, 0]) + length + head + data


def saved(array: Any, **changes: Any) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, array, **changes)
    return out.getvalue()


ARCHIVES = {
    "zip": zip_of,
    "zip, stored": lambda files: zip_of(files, zipfile.ZIP_STORED),
    "tar": tar_of,
    "tar.gz": lambda files: tar_of(files, "gz"),
    "tar.xz": lambda files: tar_of(files, "xz"),
    "tar.bz2": lambda files: tar_of(files, "bz2"),
}


def write_files(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def import_job(path: Path, **changes) -> JobFolder:
    folder = JobFolder(path)
    folder.create(ImportDatasetSpec(**{"dataset_id": "d1", "source": "upload"} | changes))
    return folder


def imported(folder: JobFolder) -> Imported:
    """The last event, and its data set's description laid where a training job would find it."""
    event = folder.read_events()[0][-1]
    assert isinstance(event, Imported)
    folder.dataset_description.write_text(event.dataset.model_dump_json())
    (folder.output / "dataset.safetensors").replace(folder.dataset_file)
    return event


def labels_of(images: Images) -> list[int]:
    return images.labels_N.tolist()


def unpacked(archive: bytes, folder: Path) -> dict[str, bytes]:
    path = folder / "upload"
    path.write_bytes(archive)
    with (folder / "heap").open("w+b") as heap:
        files = unpack(path, heap, lambda step, of: None)
        return {name: files.read(name) for name in files}
