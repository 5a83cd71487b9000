"""The job that imports an uploaded archive, a folder or a download as one data set file."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

from core.distillation.data.importing import cifar_binary, image_folder, npz, torchvision_download
from core.distillation.data.importing.archive import unpack
from core.distillation.data.importing.file_source import FileSource, ProgressCallback
from core.distillation.data.importing.import_result import ImportResult
from core.distillation.data.importing.layout.folder_source import FolderSource
from core.distillation.data.thumbnails.stored import draw_thumbnails
from core.job_folder import Imported, JobFolder
from core.jobspec.data import DatasetDescription, ImportOptions, ThumbnailSheet
from core.jobspec.job import ImportDatasetSpec

PACKED_NAME = "dataset.safetensors"
THUMBNAILS_TYPE = "image/webp"
MAX_REPORTED_CLASSES = 1000
"""Classes whose images the report counts; the description names all."""


def import_dataset(
    folder: JobFolder, progress: ProgressCallback = lambda completed, total: None
) -> None:
    """Save output/dataset.safetensors and thumbnails; the job's result is an Imported event.

    Raises Refused with a sentence that names the file at fault, and whatever ``progress`` raises.
    Archives are unpacked into a temporary file without a name, which ends with the process.
    """
    spec = folder.read_spec()
    if not isinstance(spec, ImportDatasetSpec):
        raise TypeError(f"import_dataset runs import_dataset jobs; this is a {spec.kind} job.")
    target = folder.output / PACKED_NAME
    if spec.download is not None:
        with TemporaryDirectory(
            dir=folder.path, prefix="staging", ignore_cleanup_errors=True
        ) as staging:
            result = torchvision_download.import_download(
                spec.download, Path(staging), spec, target, progress
            )
    elif folder.upload.is_dir():
        files = FolderSource(folder.upload.resolve(), progress)
        result = _import_files(files, spec, target, progress)
    else:
        result = _import_archive(folder, spec, target, progress)
    folder.emit_file_ready(PACKED_NAME, kind="dataset", progress=progress)
    sheets = _save_thumbnails(folder, target, result.description, progress)
    folder.emit(
        Imported(dataset=result.description, report=_import_report(result), sheets=tuple(sheets))
    )


def _save_thumbnails(
    folder: JobFolder, path: Path, description: DatasetDescription, progress: ProgressCallback
) -> Iterator[ThumbnailSheet]:
    """Save the pictures of thumbnails in output/, and yield what each of them shows."""
    images = description.train_images + description.test_images
    for drawing in draw_thumbnails(path, description):
        file = drawing.sheet.file
        folder.save_file(file, drawing.content, "thumbnails", media_type=THUMBNAILS_TYPE)
        progress(images, images)  # which ends the import where it was asked to stop
        yield drawing.sheet


def _import_archive(
    folder: JobFolder, options: ImportOptions, target: Path, progress: ProgressCallback
) -> ImportResult:
    with folder.upload.open("rb") as file:
        arrays = npz.find_arrays(file)
        if arrays is not None:
            return npz.import_npz(arrays, options, target, progress)
    with TemporaryFile(dir=folder.path) as staging:
        files = unpack(folder.upload, staging, progress)
        return _import_files(files, options, target, progress)


def _import_files(
    files: FileSource, options: ImportOptions, target: Path, progress: ProgressCallback
) -> ImportResult:
    batches = cifar_binary.find_batches(files)
    if batches is None:
        return image_folder.import_image_folder(files, options, target, progress)
    return cifar_binary.import_cifar(files, *batches, options, target)


def _import_report(result: ImportResult) -> dict[str, Any]:
    """Return what the user is told of the import, as JSON whose size has a limit."""
    names = result.description.class_names[:MAX_REPORTED_CLASSES]
    images_per_class = {"train": result.train_K, "test": result.test_K}
    return {
        "layout": result.layout,
        "remarks": result.remarks,
        "ignored_files": len(result.ignored),
        "ignored": result.ignored.as_json(),
        "images": {
            part: dict(zip(names, images_K.tolist(), strict=False))
            for part, images_K in images_per_class.items()
        },
    }
