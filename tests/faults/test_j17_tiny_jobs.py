"""J17: one supervisor runs very many very short jobs, and needs no more resources than before."""

from pathlib import Path

import psutil

from core.jobspec.job import ImportDatasetSpec
from core.store import jobs
from core.store.database.engine import write_session
from core.store.database.tables import DEFAULT_PROJECT
from core.store.registry import datasets, uploaded_items
from tests.faults.conftest import RecordFigure
from tests.faults.deployment import Deployment
from tests.measurements import SOAK

JOBS = 200 if SOAK else 15
TRAINER_INTERVAL = 1 if SOAK else 4
"""Every so many jobs, one starts a trainer, which takes longer than all else.

A job whose folder does not exist ends before that.
"""
MAX_GROWTH_BYTES = 20e6
MAX_GROWTH_DESCRIPTORS = 5


def submit_import(deployment: Deployment, name: str, folder: str) -> str:
    with write_session(deployment.engine) as session:
        row = datasets.create(session, DEFAULT_PROJECT, name, "folder", status="awaiting_upload")
        spec = ImportDatasetSpec(dataset_id=row.id, source="folder", folder=folder)
        job = jobs.submit(session, DEFAULT_PROJECT, spec)
        uploaded_items.begin_import(session, row, job.id)
        return job.id


def run_imports(deployment: Deployment, name: str, count: int, trainer_interval: int) -> None:
    """Run imports, one after another. Each is refused."""
    folders = ["junk" if number % trainer_interval == 0 else "missing" for number in range(count)]
    job_ids = [
        submit_import(deployment, f"{name}-{number}", folder)
        for number, folder in enumerate(folders)
    ]
    for job_id in job_ids:
        assert deployment.wait_for_end(job_id).status == "failed"


def test_j17_supervisor_does_not_grow_with_its_jobs(
    embedded_deployment: Deployment, tmp_path: Path, record_figure: RecordFigure
) -> None:
    """Memory, descriptors and threads of the worker's process; it never imports torch."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "junk").write_bytes(b"this is no archive" * 100)
    worker = embedded_deployment.start_worker(DISTILL_DATA_FOLDER=str(tmp_path / "data"))
    run_imports(embedded_deployment, "first", 4, 2)
    process = psutil.Process(worker.process.pid)
    memory_bytes = process.memory_info().rss
    descriptors = process.num_fds()
    threads = process.num_threads()
    run_imports(embedded_deployment, "later", JOBS, TRAINER_INTERVAL)
    growth_bytes = process.memory_info().rss - memory_bytes
    record_figure("jobs", JOBS)
    record_figure("growth of memory, MB", growth_bytes / 1e6, "at most 20")
    record_figure(
        "additional descriptors", process.num_fds() - descriptors, "at most 5 more or fewer"
    )
    assert growth_bytes < MAX_GROWTH_BYTES
    assert abs(process.num_fds() - descriptors) <= MAX_GROWTH_DESCRIPTORS
    assert abs(process.num_threads() - threads) <= MAX_GROWTH_DESCRIPTORS
    assert not [region.path for region in process.memory_maps() if "torch" in region.path]
    assert not process.children()
