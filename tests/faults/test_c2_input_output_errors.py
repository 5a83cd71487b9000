"""C2: fsync and rename fail in the middle of a save: it is reported as failed, and the one before is kept."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.settings import Settings
from core.store.objects.store import Objects
from tests.builders import training_spec
from tests.faults.places import Place, on_a_folder
from tests.faults.sabotage import with_interpreter
from tests.servers import MissingProgramError
from tests.worker.service import Service, get_job, submit, wait_for, wait_for_end

RENAME = "?rename,?renameat,?renameat2"
OPTIONS = ("--follow-forks", "--quiet=all", "--output=/dev/null", f"--trace=fsync,{RENAME}")
FAULTS = {
    "fsync says EIO": "fsync:error=EIO",
    "rename says EIO": f"{RENAME}:error=EIO",
    "rename says EACCES": f"{RENAME}:error=EACCES",
}
SENTENCES = ("Input/output error", "Input/output error", "Permission denied")

INTERPRETER = """#!/bin/sh
# The next trainer meets the next fault, if one is left.
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


@pytest.fixture
def place(tmp_path: Path, sqlite_url: str) -> Iterator[Place]:
    with on_a_folder(tmp_path, sqlite_url) as found:
        yield found


@pytest.fixture(autouse=True)
def _strace() -> None:
    if shutil.which("strace") is None:
        raise MissingProgramError("strace is missing: apt-get install -y strace")


@pytest.fixture
def faults(tmp_path: Path) -> Path:
    """A folder of faults, one a file, each for one trainer."""
    folder = tmp_path / "faults"
    folder.mkdir()
    return folder


def worker(place: Place, faults: Path) -> Service:
    text = INTERPRETER.format(faults=faults, options=" ".join(OPTIONS), python=sys.executable)
    return place.worker(command=with_interpreter(place.folder / "interpreter", text))


def test_c2_a_save_that_fails_is_reported_and_the_job_goes_on_from_the_one_before(
    place: Place, faults: Path
) -> None:
    job_id = submit(
        place.engine,
        training_spec(schedule={"epochs": 50, "batch_size": 64, "checkpoint_seconds": 0}),
    )
    with worker(place, faults) as service:
        wait_for(lambda: place.checkpoints(job_id), 60, "a checkpoint")
        for number, fault in enumerate(FAULTS.values()):
            (faults / str(number)).write_text(fault)
        service.trainers()[0].kill()
        wait_for(
            lambda: (
                not list(faults.iterdir()) and get_job(place.engine, job_id).attempt == 2 + len(FAULTS)
            ),
            120,
            "every fault",
        )
        kept = place.step(job_id)
        job = wait_for_end(place.engine, job_id)
    assert job.status == "succeeded"
    reasons = [
        it["reason"]
        for it in place.said(job_id, "status")
        if it["to"] == "queued" and it["from"] == "running"
    ]
    assert len(reasons) == 1 + len(FAULTS)
    for reason, sentence in zip(reasons[1:], SENTENCES, strict=True):
        assert "checkpoint-" in reason, reason
        assert f"could not be written: {sentence}" in reason, reason
    assert job.infrastructure_failures == len(reasons)
    resumed = [it["step"] for it in place.said(job_id, "resumed")]
    assert resumed == [resumed[0]] * (1 + len(FAULTS)), (
        "none of the failed saves has replaced the good one"
    )
    assert kept >= resumed[0] > 0
    assert len(place.verified(job_id)) == 2


PUTTING = """
import sys
from core.errors import Unavailable
from core.store.objects.store import Objects
try:
    Objects(sys.argv[1]).put_stream("jobs/job_1/1/report.json", [b"new"], 3)
except Unavailable as error:
    print(error)
"""


@pytest.mark.parametrize("fault", FAULTS.values(), ids=[name.replace(" ", "_") for name in FAULTS])
def test_c2_an_object_that_cannot_be_written_leaves_the_earlier_one_and_nothing_else(
    fault: str, tmp_path: Path
) -> None:
    url, key = f"file://{tmp_path}/objects", "jobs/job_1/1/report.json"
    objects = Objects.from_settings(Settings(objects_url=url))
    objects.put_stream(key, [b"earlier"], 7)
    command = ["strace", *OPTIONS, f"--inject={fault}", sys.executable, "-c", PUTTING, url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "The object store does not answer; try again in a moment.\n", done.stderr
    assert b"".join(objects.open(key)) == b"earlier"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["report.json"]
