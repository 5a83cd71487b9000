"""J17: one supervisor after very many very short jobs is what it was before."""

from pathlib import Path

import psutil

from core.jobspec.job import ImportDatasetSpec
from core.store import datasets, jobs, uploaded_items
from core.store.database.engine import write_session
from core.store.database.tables import DEFAULT_PROJECT
from tests.faults.conftest import Figure
from tests.faults.deployment import Deployment
from tests.measurements import SOAK

JOBS, WITH_TRAINER_EVERY = (200, 1) if SOAK else (15, 4)
"""A job whose folder is not there ends before its trainer starts; starting one takes longer than all else."""
MOST_BYTES, MOST_DESCRIPTORS = 20e6, 5


def an_import(deployment: Deployment, name: str, folder: str) -> str:
    with write_session(deployment.engine) as session:
        row = datasets.create(session, DEFAULT_PROJECT, name, "folder", status="awaiting_upload")
        job = jobs.submit(
            session,
            DEFAULT_PROJECT,
            ImportDatasetSpec(dataset_id=row.id, source="folder", folder=folder),
        )
        uploaded_items.begin_import(session, row, job.id)
        return job.id


def run(deployment: Deployment, name: str, count: int, every: int) -> None:
    """So many imports, each of which is refused, one after another."""
    made = [
        an_import(deployment, f"{name}-{n}", "junk" if n % every == 0 else "missing")
        for n in range(count)
    ]
    for job_id in made:
        assert deployment.until_done(job_id).status == "failed"


def test_j17_a_supervisor_keeps_nothing_of_the_jobs_it_has_had(
    embedded: Deployment, tmp_path: Path, figure: Figure
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "junk").write_bytes(b"this is no archive" * 100)
    worker = embedded.worker(DISTILL_DATA_FOLDER=str(tmp_path / "data"))
    run(embedded, "first", 4, 2)
    process = psutil.Process(worker.process.pid)
    memory, descriptors, threads = (
        process.memory_info().rss,
        process.num_fds(),
        process.num_threads(),
    )
    run(embedded, "later", JOBS, WITH_TRAINER_EVERY)
    grown = process.memory_info().rss - memory
    figure("jobs", JOBS)
    figure("memory, MB more", grown / 1e6, "at most 20")
    figure("descriptors more", process.num_fds() - descriptors, "at most 5 either way")
    assert grown < MOST_BYTES
    assert abs(process.num_fds() - descriptors) <= MOST_DESCRIPTORS
    assert abs(process.num_threads() - threads) <= MOST_DESCRIPTORS
    assert not [region.path for region in process.memory_maps() if "torch" in region.path]
    assert not process.children()
