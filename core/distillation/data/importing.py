"""The body of an import job: somebody's archive or folder -> one packed file, or a refusal that says why."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import torch

from core.distillation.data import cifar_binary, download, image_folder, packed
from core.distillation.data.archive import unpack
from core.distillation.data.files import Files, FolderFiles, Progress
from core.distillation.data.images import Found, Images
from core.folder import Imported, JobFolder
from core.folder import Progress as ProgressEvent
from core.spec.job import ImportDataset

PACKED_NAME = "dataset.safetensors"


def import_dataset(folder: JobFolder) -> None:
    """Writes and announces output/dataset.safetensors, and says Imported.

    Raises Refused with a sentence that names the file; what is unpacked on the way has no name, and is gone with the process.
    """
    spec = folder.read_spec()
    if not isinstance(spec, ImportDataset):
        raise TypeError(f"{spec.kind} is not an import of a data set.")
    progress = _progress(folder)
    if spec.download is not None:
        with TemporaryDirectory(dir=folder.path, prefix="staging") as scratch:
            found = download.read(spec.download, Path(scratch))
    elif folder.upload.is_dir():
        found = _read(FolderFiles(folder.upload.resolve()), progress)
    else:
        with TemporaryFile(dir=folder.path) as staging:
            found = _read(unpack(folder.upload, staging, progress), progress)
    packed.write(folder.output / PACKED_NAME, found.train, found.test)
    folder.announce(PACKED_NAME, kind="dataset")
    folder.say(Imported(dataset=found.description, report=_report(found)))


def _read(files: Files, progress: Progress) -> Found:
    batches = cifar_binary.find(files)
    return image_folder.read(files, progress) if batches is None else cifar_binary.read(files, *batches)


def _report(found: Found) -> dict[str, Any]:
    names = found.description.class_names
    parts = {"train": found.train, "test": found.test}
    return {
        "layout": found.layout,
        "ignored_files": found.ignored_files,
        "images": {part: _count(images, names) for part, images in parts.items()},
    }


def _count(images: Images, class_names: tuple[str, ...]) -> dict[str, int]:
    images_K = torch.bincount(images.labels_N, minlength=len(class_names))
    return dict(zip(class_names, images_K.tolist(), strict=True))


def _progress(folder: JobFolder) -> Progress:
    """Says at most once a second how far it is: in bytes of the archive, then in images."""
    said = time.monotonic()

    def say(step: int, of: int) -> None:
        nonlocal said
        if time.monotonic() - said >= 1:
            said = time.monotonic()
            folder.say(ProgressEvent(phase="preparing", step=step, of=of))

    return say
