"""The body of an import job: somebody's archive or folder -> one packed file, or a refusal that says why."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from core.distillation.data import cifar_binary, download, image_folder, packed
from core.distillation.data.archive import Progress, unpack
from core.distillation.data.images import Found, Images
from core.folder import Imported, JobFolder
from core.folder import Progress as ProgressEvent
from core.spec.job import ImportDataset

PACKED_NAME = "dataset.safetensors"


def import_dataset(folder: JobFolder) -> None:
    """Writes and announces output/dataset.safetensors, and says Imported.

    Raises Refused with a sentence that names the file; what was unpacked on the way is removed in every case.
    """
    spec = folder.read_spec()
    if not isinstance(spec, ImportDataset):
        raise TypeError(f"{spec.kind} is not an import of a data set.")
    progress = _progress(folder)
    with _staging(folder) as staging:
        if spec.download is not None:
            found = download.read(spec.download, staging)
        else:
            found = _read_upload(folder.upload.resolve(), staging, progress)
    packed.write(folder.output / PACKED_NAME, found.dataset.train, found.dataset.test)
    folder.announce(PACKED_NAME, kind="dataset")
    folder.say(Imported(dataset=found.dataset.description, report=_report(found)))


def _read_upload(upload: Path, staging: Path, progress: Progress) -> Found:
    if upload.is_dir():
        return _read(upload, 0, progress)
    left_out = unpack(upload, staging, progress)
    return _read(staging, left_out, progress)


def _read(root: Path, left_out: int, progress: Progress) -> Found:
    batches = cifar_binary.find(root)
    found = image_folder.read(root, progress) if batches is None else cifar_binary.read(root, *batches)
    return Found(found.dataset, found.layout, found.ignored_files + left_out)


def _report(found: Found) -> dict[str, Any]:
    names = found.dataset.description.class_names
    parts = {"train": found.dataset.train, "test": found.dataset.test}
    return {
        "layout": found.layout,
        "ignored_files": found.ignored_files,
        "images": {part: _count(images, names) for part, images in parts.items()},
    }


def _count(images: Images, class_names: tuple[str, ...]) -> dict[str, int]:
    images_K = torch.bincount(images.labels_N, minlength=len(class_names))
    return dict(zip(class_names, images_K.tolist(), strict=True))


@contextmanager
def _staging(folder: JobFolder) -> Iterator[Path]:
    path = folder.path / "staging"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _progress(folder: JobFolder) -> Progress:
    """Says at most once a second how far it is: in bytes of the archive, then in images."""
    said = time.monotonic()

    def say(step: int, of: int) -> None:
        nonlocal said
        if time.monotonic() - said >= 1:
            said = time.monotonic()
            folder.say(ProgressEvent(phase="preparing", step=step, of=of))

    return say
