"""S2, S3, S4: what strangers upload is refused with a reason; nothing of it runs, unfolds, or is written anywhere.

Every file meets the importer here. Some of them go all the way: by REST to an API process, and into a trainer process.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.distillation.jobs.dataset_import import import_dataset
from core.distillation.models import build
from core.distillation.models.importers import load
from core.errors import Refused
from tests.distillation.data.builders import import_job
from tests.intruders import hostile_checkpoints, hostile_datasets
from tests.intruders.import_service import (
    MAX_GROWTH_BYTES,
    FileBuilder,
    ImportService,
    Kind,
    UploadResult,
)
from tests.measurements import RecordProperty

MODELS: Kind = "models"
DATASETS: Kind = "datasets"
Case = tuple[Kind, FileBuilder, str]


def checkpoints(builds: dict[str, FileBuilder], code: str) -> dict[str, Case]:
    return {f"model: {name}": (MODELS, build, code) for name, build in builds.items()}


def archives(builds: dict[str, tuple[FileBuilder, str]]) -> dict[str, Case]:
    return {f"data set: {name}": (DATASETS, build, code) for name, (build, code) in builds.items()}


DOOR = checkpoints(hostile_checkpoints.REFUSED_BY_SIGNATURE, "unsafe_checkpoint") | archives(
    hostile_datasets.REFUSED_BY_SIGNATURE
)
S2 = checkpoints(hostile_checkpoints.PICKLES, "unsafe_checkpoint") | archives(
    hostile_datasets.PICKLES
)
S3 = checkpoints(hostile_checkpoints.BOMBS, "unreadable_checkpoint") | archives(
    hostile_datasets.BOMBS
)
S4 = archives(hostile_datasets.LINKS)
GOOD = archives({name: (build, "") for name, build in hostile_datasets.UNUSUAL_BUT_VALID.items()})

ALL_THE_WAY = [
    "model: a payload deep in a state dict",
    "model: a TorchScript program",
    "data set: a .pkl among images",
    "data set: CIFAR's version for Python",
    "data set: an array of objects",
    "data set: an array described by code",
    "model: 10^10 elements in a safetensors header",
    "model: 10^10 elements of a storage of one",
    "model: weights deflated 1000 times",
    "data set: 10^10 elements in an array's header",
    "data set: zip, unfolding 1000 times",
    "data set: an image of 50,000 x 50,000",
    "data set: a colour profile of 100 MB",
    "data set: a symbolic link to the canary",
    "data set: a path upwards",
    "data set: 10^6 empty entries in a tar.gz",
]
"""A trainer's start costs seconds: one or two of each kind."""


TOLD_TO_TRAINERS = {"DISTILL_DEVICE", "DISTILL_THREADS", "DISTILL_IMPORT_SECONDS"}


def those(cases: dict[str, Case]) -> list[str]:
    return [name for name in ALL_THE_WAY if name in cases]


@pytest.fixture(scope="module")
def importing(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ImportService]:
    folder = tmp_path_factory.mktemp("importing")
    (folder / "distill.db").write_bytes(sqlite_template.read_bytes())
    service = ImportService(folder, f"sqlite:///{folder / 'distill.db'}")
    yield service
    service.close()


@pytest.fixture(scope="module")
def verdicts(importing: ImportService) -> dict[str, UploadResult]:
    """Of all files that go all the way, which are uploaded and opened at once."""
    cases = S2 | S3 | S4
    chosen = DOOR | GOOD | {name: cases[name] for name in ALL_THE_WAY}
    return importing.judge({name: (kind, build) for name, (kind, build, _) in chosen.items()})


def assert_refused(verdict: UploadResult, code: str, record_property: RecordProperty) -> None:
    """In one attempt, with a reason that gives nothing of this machine away."""
    record_property("seconds_with_the_trainers_start", verdict.seconds)
    assert (verdict.status, verdict.response, verdict.attempts) == ("refused", 202, 1)
    assert verdict.problem["code"] == code
    detail = verdict.problem["detail"]
    assert detail.endswith(".")
    assert detail.isprintable()
    assert len(detail) < 1000
    assert not any(word in detail for word in ("Traceback", "scratch", "site-packages", ".py"))


@pytest.mark.parametrize("name", DOOR)
def test_s2_a_pickle_by_its_first_bytes_is_refused_at_the_door(
    name: str, verdicts: dict[str, UploadResult]
) -> None:
    verdict = verdicts[name]
    assert (verdict.response, verdict.problem["code"]) == (422, DOOR[name][2])
    assert verdict.status == "awaiting_upload"


@pytest.mark.parametrize("name", those(S2))
def test_s2_what_would_run_when_it_is_opened_is_refused(
    name: str, verdicts: dict[str, UploadResult], record_property: RecordProperty
) -> None:
    assert_refused(verdicts[name], S2[name][2], record_property)


def test_s2_cifars_version_for_python_is_refused_with_advice(
    verdicts: dict[str, UploadResult],
) -> None:
    assert "binary version" in verdicts["data set: CIFAR's version for Python"].problem["detail"]


@pytest.mark.parametrize("name", those(S3))
def test_s3_a_bomb_is_refused(
    name: str, verdicts: dict[str, UploadResult], record_property: RecordProperty
) -> None:
    assert_refused(verdicts[name], S3[name][2], record_property)


@pytest.mark.parametrize("name", those(S4))
def test_s4_what_leads_elsewhere_or_never_ends_is_refused(
    name: str, verdicts: dict[str, UploadResult], record_property: RecordProperty
) -> None:
    assert_refused(verdicts[name], S4[name][2], record_property)


@pytest.mark.parametrize("name", GOOD)
def test_s4_names_that_only_a_file_system_would_mind_do_no_harm(
    name: str, verdicts: dict[str, UploadResult]
) -> None:
    assert (verdicts[name].status, verdicts[name].problem) == ("ready", {})


@pytest.mark.usefixtures("verdicts")
def test_s2_s4_nothing_ran_and_nothing_is_left(importing: ImportService) -> None:
    """No payload touched the canary, no archive wrote beside its staging, and the staging is gone."""
    assert not importing.canary.exists()
    assert importing.scratch == []
    database = {f"distill.db{suffix}" for suffix in ("", "-wal", "-shm")}
    assert {path.name for path in importing.folder.iterdir()} <= {"home", "worker.log"} | database


@pytest.mark.usefixtures("verdicts")
def test_s2_s5_a_trainer_that_opens_an_upload_is_confined(importing: ImportService) -> None:
    """Seen from outside, while they ran. The network is left where the kernel allows it, as it does where these tests run."""
    assert importing.seen
    for trainer in importing.seen.values():
        assert trainer.network != str(Path("/proc/self/ns/net").readlink())
        assert trainer.status["NoNewPrivs"] == "1"
        assert int(trainer.status["CapEff"], 16) == 0
        assert trainer.status["Umask"] == "0077"
        assert trainer.limits == {"CORE": 0, "DATA": 6 * 2**30, "FSIZE": 32 * 2**30, "NOFILE": 256}
        assert trainer.environment["HOME"] == trainer.folder
        assert (
            not {name for name in trainer.environment if name.startswith("DISTILL_")}
            - TOLD_TO_TRAINERS
        )


@pytest.mark.usefixtures("verdicts")
def test_s3_api_and_worker_need_little_more_memory(
    importing: ImportService, record_property: RecordProperty
) -> None:
    for process, memory in importing.memory.items():
        record_property(f"{process}_megabytes_more", round(memory.growth / 2**20, 1))
        assert memory.growth < MAX_GROWTH_BYTES, process


@pytest.mark.parametrize("name", S2 | S3 | S4)
def test_s2_s3_s4_the_importer_refuses_every_one_of_them(
    name: str, tmp_path: Path, record_property: RecordProperty
) -> None:
    """``seconds``: of this process's CPU."""
    kind, content, code = (S2 | S3 | S4)[name]
    canary, job = tmp_path / "canary", import_job(tmp_path / "job")
    job.upload.write_bytes(content(canary))
    start = time.process_time()
    with pytest.raises(Refused) as caught:
        load(build("small_cnn", 10, width=4), job.upload) if kind == "models" else import_dataset(
            job
        )
    record_property("seconds", round(time.process_time() - start, 2))
    assert caught.value.code == code
    assert {path.name for path in tmp_path.iterdir()} == {"job"}
    assert list(job.output.iterdir()) == []
