"""Encoded images are imported and trained on in memory that does not grow with their number."""

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.distillation.data.builders import image_file, import_job

MEASURE_MEMORY = """
import sys
from pathlib import Path

import torch

from core.distillation.data import load
from core.distillation.data.batches import Batches
from core.distillation.jobs.dataset_import import import_dataset
from core.job_folder import JobFolder
from core.jobspec.data import Augmentation, ResizedCrop


def kilobytes(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def run_import(folder):
    import_dataset(folder)
    folder.dataset_description.write_text(folder.read_events()[0][-1].dataset.model_dump_json())
    (folder.output / "dataset.safetensors").rename(folder.dataset_file)


def train(folder, steps):
    batches = Batches(
        load(folder).train,
        batch_size=4,
        augmentation=Augmentation(resized_crop=ResizedCrop()),
        seed=0,
        device=torch.device("cpu"),
    )
    highest = 0
    for step in range(steps):
        batches.at(step)
        highest = max(highest, kilobytes("RssAnon"))
    return highest


folder, small_folder = JobFolder(Path(sys.argv[1])), JobFolder(Path(sys.argv[2]))
torch.set_num_threads(1)
run_import(small_folder)  # allocates what decoders and torch need in any case
train(small_folder, 3)
open("/proc/self/clear_refs", "w").write("5")  # resets the peak
before = kilobytes("VmHWM")
run_import(folder)
print(kilobytes("VmHWM") - before)
before = kilobytes("RssAnon")
print(train(folder, 20) - before)
"""


def test_120_mb_of_files_need_less_than_64_mb_of_memory(tmp_path: Path) -> None:
    """For the import as for the training."""
    folders = []
    for name, images in (("many", 40), ("few", 5)):
        job = import_job(tmp_path / name, image_size=32)
        with zipfile.ZipFile(job.upload, "w") as archive:
            for number in range(images):
                data = image_file(size=(700, 700), seed=number, image_format="BMP")
                for class_name in "ab":
                    archive.writestr(f"{class_name}/{number}.bmp", data)
        folders.append(str(job.path))
    assert Path(folders[0], "upload").stat().st_size > 115 * 10**6
    process = subprocess.run(
        [sys.executable, "-c", MEASURE_MEMORY, *folders],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    importing, training = map(int, process.stdout.split())
    assert importing < 64 * 1024
    assert training < 64 * 1024
