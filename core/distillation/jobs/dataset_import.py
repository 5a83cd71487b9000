"""The body of an import job: somebody's archive or folder -> one file, or a refusal that says why."""

from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

from core.distillation.data.images import Found
from core.distillation.data.importing import cifar_binary, image_folder, npz, torchvision_download
from core.distillation.data.importing.archive import unpack
from core.distillation.data.importing.file_source import Files, FolderFiles, Progress
from core.job_folder import Imported, JobFolder
from core.jobspec.data import Reading
from core.jobspec.job import ImportDatasetSpec

PACKED_NAME = "dataset.safetensors"


def import_dataset(folder: JobFolder, progress: Progress = lambda done, of: None) -> None:
    """Writes and announces output/dataset.safetensors, and says Imported.

    Raises Refused with a sentence that names the file, and whatever ``progress`` does; what is unpacked on the way has no name,
    and is gone with the process.
    """
    spec = folder.read_spec()
    if not isinstance(spec, ImportDatasetSpec):
        raise TypeError(f"{spec.kind} is not an import of a data set.")
    target = folder.output / PACKED_NAME
    if spec.download is not None:
        with TemporaryDirectory(
            dir=folder.path, prefix="staging", ignore_cleanup_errors=True
        ) as scratch:
            found = torchvision_download.read(spec.download, Path(scratch), spec, target, progress)
    elif folder.upload.is_dir():
        found = _read(FolderFiles(folder.upload.resolve(), progress), spec, target, progress)
    else:
        found = _read_archive(folder, spec, target, progress)
    folder.emit_file_ready(PACKED_NAME, kind="dataset", progress=progress)
    folder.emit(Imported(dataset=found.description, report=_report(found)))


def _read_archive(folder: JobFolder, wanted: Reading, target: Path, progress: Progress) -> Found:
    with folder.upload.open("rb") as file:
        arrays = npz.find(file)
        if arrays is not None:
            return npz.read(arrays, wanted, target, progress)
    with TemporaryFile(dir=folder.path) as staging:
        return _read(unpack(folder.upload, staging, progress), wanted, target, progress)


def _read(files: Files, wanted: Reading, target: Path, progress: Progress) -> Found:
    batches = cifar_binary.find(files)
    if batches is None:
        return image_folder.read(files, wanted, target, progress)
    return cifar_binary.read(files, *batches, wanted, target)


def _report(found: Found) -> dict[str, Any]:
    names = found.description.class_names
    parts = {"train": found.train_K, "test": found.test_K}
    return {
        "layout": found.layout,
        "ignored_files": found.ignored_files,
        "images": {
            part: dict(zip(names, images_K.tolist(), strict=True))
            for part, images_K in parts.items()
        },
    }
