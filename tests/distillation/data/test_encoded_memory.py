"""Encoded images are imported and trained on in memory that does not grow with them."""

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.distillation.data.building import import_job, picture

MEASURED = """
import sys
from pathlib import Path

import torch

from core.distillation.data import load
from core.distillation.data.batches import Batches
from core.distillation.jobs.dataset_import import import_dataset
from core.job_folder import JobFolder
from core.jobspec.data import Augmentation, ResizedCrop

def kilobytes(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name + ":"))

folder, few = JobFolder(Path(sys.argv[1])), JobFolder(Path(sys.argv[2]))
torch.set_num_threads(1)

def prepare(folder):
    import_dataset(folder)
    folder.dataset_description.write_text(folder.read_events()[0][-1].dataset.model_dump_json())
    (folder.output / "dataset.safetensors").rename(folder.dataset_file)

def train(folder, steps):
    settings = dict(batch_size=4, augmentation=Augmentation(resized_crop=ResizedCrop()), seed=0, device=torch.device("cpu"))
    batches, most = Batches(load(folder).train, **settings), 0
    for step in range(steps):
        batches.at(step)
        most = max(most, kilobytes("RssAnon"))
    return most

prepare(few)  # whatever decoders and torch need at all
train(few, 3)
open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
before = kilobytes("VmHWM")
prepare(folder)
print(kilobytes("VmHWM") - before)
before = kilobytes("RssAnon")
print(train(folder, 20) - before)
"""


def test_120_mb_of_files_are_imported_and_trained_on_in_less_than_64_mb(tmp_path: Path):
    folders = []
    for name, images in (("many", 40), ("few", 5)):
        job = import_job(tmp_path / name, image_size=32)
        with zipfile.ZipFile(job.upload, "w") as archive:
            for at in range(images):
                noise = picture(size=(700, 700), seed=at, form="BMP")
                for label in "ab":
                    archive.writestr(f"{label}/{at}.bmp", noise)
        folders.append(str(job.path))
    assert Path(folders[0], "upload").stat().st_size > 115 * 10**6
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *folders], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    importing, training = map(int, done.stdout.split())
    assert importing < 64 * 1024
    assert training < 64 * 1024
