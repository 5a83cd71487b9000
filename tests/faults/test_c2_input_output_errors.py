"""C2: fsync and rename fail in the middle of a save. It is reported, and the last save remains."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.settings import Settings
from core.store.database.tables import JobRow
from core.store.objects.store import Objects
from tests.builders import training_spec
from tests.faults.storage import Storage
from tests.faults.trainer_faults import worker_command
from tests.servers import MissingProgramError
from tests.worker.service import Service, get_job, submit, wait_for, wait_for_end

RENAME = "?rename,?renameat,?renameat2"
OPTIONS = ("--follow-forks", "--quiet=all", "--output=/dev/null", f"--trace=fsync,{RENAME}")
FAULTS = {
    "fsync fails with EIO": "fsync:error=EIO",
    "rename fails with EIO": f"{RENAME}:error=EIO",
    "rename fails with EACCES": f"{RENAME}:error=EACCES",
}
SENTENCES = ("Input/output error", "Input/output error", "Permission denied")

INTERPRETER = """#!/bin/sh
# Inject the next fault, if one remains, into the next trainer.
fault=$(ls {faults} | head -n 1)
case "$1 $2 $3" in
"-P -m core.distillation") [ -z "$fault" ] || {{
    expression=$(cat {faults}/$fault)
    rm {faults}/$fault
    exec strace {options} --seccomp-bpf --inject="$expression" {python} "$@"
}} ;;
esac
exec {python} "$@"
"""


@pytest.fixture(autouse=True)
def _require_strace() -> None:
    if shutil.which("strace") is None:
        raise MissingProgramError("strace is missing: apt-get install -y strace")


@pytest.fixture
def faults_folder(tmp_path: Path) -> Path:
    """A folder with one file per fault, each for one trainer."""
    folder = tmp_path / "faults"
    folder.mkdir()
    return folder


def start_worker(storage: Storage, faults_folder: Path) -> Service:
    script = INTERPRETER.format(
        faults=faults_folder, options=" ".join(OPTIONS), python=sys.executable
    )
    return storage.start_worker(command=worker_command(storage.folder / "interpreter", script))


def test_c2_failed_save_is_reported_and_previous_one_is_used(
    folder_storage: Storage, faults_folder: Path
) -> None:
    """The reason names the file and the error, and the job resumes from the save before it."""
    storage = folder_storage
    spec = training_spec(schedule={"epochs": 50, "batch_size": 64, "checkpoint_seconds": 0})
    job_id = submit(storage.engine, spec)
    with start_worker(storage, faults_folder) as worker:
        wait_for(lambda: storage.list_checkpoints(job_id), 60, "a checkpoint")
        for number, fault in enumerate(FAULTS.values()):
            (faults_folder / str(number)).write_text(fault)
        worker.trainers()[0].kill()
        wait_for(
            lambda: (
                not list(faults_folder.iterdir())
                and get_job(storage.engine, job_id).attempt == 2 + len(FAULTS)
            ),
            120,
            "every fault",
        )
        last_step = storage.latest_step(job_id)
        job = wait_for_end(storage.engine, job_id)
    assert job.status == "succeeded"
    assert_failed_saves_are_reported(storage, job)
    resumed_steps = [event["step"] for event in storage.event_data(job_id, "resumed")]
    assert resumed_steps == [resumed_steps[0]] * (1 + len(FAULTS)), (
        "a failed save has replaced the good one"
    )
    assert last_step >= resumed_steps[0] > 0
    assert len(storage.verify_checkpoints(job_id)) == 2


def assert_failed_saves_are_reported(storage: Storage, job: JobRow) -> None:
    reasons = [
        event["reason"]
        for event in storage.event_data(job.id, "status")
        if event["to"] == "queued" and event["from"] == "running"
    ]
    assert len(reasons) == 1 + len(FAULTS)
    for reason, sentence in zip(reasons[1:], SENTENCES, strict=True):
        assert "checkpoint-" in reason, reason
        assert f"could not be written: {sentence}" in reason, reason
    assert job.infrastructure_failures == len(reasons)


PUT_SCRIPT = """
import sys
from core.errors import Unavailable
from core.store.objects.store import Objects
try:
    Objects(sys.argv[1]).put_stream("jobs/job_1/1/report.json", [b"new"], 3)
except Unavailable as error:
    print(error)
"""


@pytest.mark.parametrize("fault", FAULTS.values(), ids=[name.replace(" ", "_") for name in FAULTS])
def test_c2_failed_put_leaves_the_previous_object(fault: str, tmp_path: Path) -> None:
    """An object that cannot be written leaves the previous one, and no other file."""
    url = f"file://{tmp_path}/objects"
    key = "jobs/job_1/1/report.json"
    objects = Objects.from_settings(Settings(objects_url=url))
    objects.put_stream(key, [b"earlier"], 7)
    command = ["strace", *OPTIONS, f"--inject={fault}", sys.executable, "-c", PUT_SCRIPT, url]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout == ("The object store does not answer; try again in a moment.\n"), (
        result.stderr
    )
    assert b"".join(objects.open(key)) == b"earlier"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["report.json"]
