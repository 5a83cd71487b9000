"""S2, S3, S4: hostile uploads are refused with a reason. They run nothing and write nothing.

The importer reads every file in this process. Some are also uploaded to an API process and opened
in a trainer process.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.distillation.jobs.dataset_import import import_dataset
from core.distillation.models import build
from core.distillation.models.importers import load
from core.errors import Refused
from core.job_folder import JobFolder
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
"""The last item is the code of the refusal."""


def checkpoints(file_builders: dict[str, FileBuilder], code: str) -> dict[str, Case]:
    return {
        f"model: {name}": (MODELS, file_builder, code)
        for name, file_builder in file_builders.items()
    }


def archives(file_builders: dict[str, tuple[FileBuilder, str]]) -> dict[str, Case]:
    return {
        f"data set: {name}": (DATASETS, file_builder, code)
        for name, (file_builder, code) in file_builders.items()
    }


REFUSED_BY_SIGNATURE = checkpoints(
    hostile_checkpoints.REFUSED_BY_SIGNATURE, "unsafe_checkpoint"
) | archives(hostile_datasets.REFUSED_BY_SIGNATURE)
S2 = checkpoints(hostile_checkpoints.PICKLES, "unsafe_checkpoint") | archives(
    hostile_datasets.PICKLES
)
S3 = checkpoints(hostile_checkpoints.BOMBS, "unreadable_checkpoint") | archives(
    hostile_datasets.BOMBS
)
S4 = archives(hostile_datasets.HOSTILE_ENTRIES)
VALID = archives(
    {name: (file_builder, "") for name, file_builder in hostile_datasets.UNUSUAL_BUT_VALID.items()}
)

END_TO_END = [
    "model: a payload deep in a state dict",
    "model: a TorchScript program",
    "data set: a .pkl among images",
    "data set: CIFAR's version for Python",
    "data set: an array of objects",
    "data set: an array described by code",
    "model: 10^10 elements in a safetensors header",
    "model: 10^10 elements in a storage of one",
    "model: weights compressed 1000 times",
    "data set: 10^10 elements in an array's header",
    "data set: zip, expanding 1000 times",
    "data set: an image of 50,000 x 50,000",
    "data set: a color profile of 100 MB",
    "data set: a symbolic link to the canary",
    "data set: a path upwards",
    "data set: 10^6 empty entries in a tar.gz",
]
"""Files that a trainer process opens: one or two of each kind, since its start takes seconds."""
TRAINER_VARIABLES = {"DISTILL_DEVICE", "DISTILL_THREADS", "DISTILL_IMPORT_SECONDS"}
"""The only settings that a trainer receives in its environment."""


def end_to_end(cases: dict[str, Case]) -> list[str]:
    return [name for name in END_TO_END if name in cases]


@pytest.fixture(scope="module")
def import_service(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ImportService]:
    folder = tmp_path_factory.mktemp("import_service")
    (folder / "distill.db").write_bytes(sqlite_template.read_bytes())
    service = ImportService(folder, f"sqlite:///{folder / 'distill.db'}")
    yield service
    service.close()


@pytest.fixture(scope="module")
def results(import_service: ImportService) -> dict[str, UploadResult]:
    """The result of every end-to-end upload. All of them are sent at once."""
    cases = S2 | S3 | S4
    uploads = REFUSED_BY_SIGNATURE | VALID | {name: cases[name] for name in END_TO_END}
    return import_service.upload_all(
        {name: (kind, file_builder) for name, (kind, file_builder, _) in uploads.items()}
    )


def assert_refused(result: UploadResult, code: str, record_property: RecordProperty) -> None:
    """Assert a refusal in one attempt, with a reason that shows nothing of this machine."""
    record_property("seconds_with_the_trainers_start", result.seconds)
    assert (result.status, result.http_status, result.attempts) == ("refused", 202, 1)
    assert result.problem["code"] == code
    detail = result.problem["detail"]
    assert detail.endswith(".")
    assert detail.isprintable()
    assert len(detail) < 1000
    assert not any(word in detail for word in ("Traceback", "scratch", "site-packages", ".py"))


@pytest.mark.parametrize("name", REFUSED_BY_SIGNATURE)
def test_s2_pickles_are_refused_by_their_first_bytes(
    name: str, results: dict[str, UploadResult]
) -> None:
    """The API itself refuses them, and the model or data set still awaits its upload."""
    result = results[name]
    code = REFUSED_BY_SIGNATURE[name][2]
    assert (result.http_status, result.problem["code"]) == (422, code)
    assert result.status == "awaiting_upload"


@pytest.mark.parametrize("name", end_to_end(S2))
def test_s2_files_that_run_code_are_refused(
    name: str, results: dict[str, UploadResult], record_property: RecordProperty
) -> None:
    assert_refused(results[name], S2[name][2], record_property)


def test_s2_cifar_for_python_is_refused_with_advice(results: dict[str, UploadResult]) -> None:
    assert "binary version" in results["data set: CIFAR's version for Python"].problem["detail"]


@pytest.mark.parametrize("name", end_to_end(S3))
def test_s3_decompression_bombs_are_refused(
    name: str, results: dict[str, UploadResult], record_property: RecordProperty
) -> None:
    assert_refused(results[name], S3[name][2], record_property)


@pytest.mark.parametrize("name", end_to_end(S4))
def test_s4_links_and_endless_archives_are_refused(
    name: str, results: dict[str, UploadResult], record_property: RecordProperty
) -> None:
    assert_refused(results[name], S4[name][2], record_property)


@pytest.mark.parametrize("name", VALID)
def test_s4_names_unusual_for_a_file_system_are_accepted(
    name: str, results: dict[str, UploadResult]
) -> None:
    assert (results[name].status, results[name].problem) == ("ready", {})


@pytest.mark.usefixtures("results")
def test_s2_s4_no_payload_ran_and_no_file_remains(import_service: ImportService) -> None:
    """No payload touched the canary, no archive wrote outside its job folder, which is gone."""
    assert not import_service.canary.exists()
    assert import_service.scratch_folders == []
    database = {f"distill.db{suffix}" for suffix in ("", "-wal", "-shm")}
    names = {path.name for path in import_service.folder.iterdir()}
    assert names <= {"home", "worker.log"} | database


@pytest.mark.usefixtures("results")
def test_s2_s5_the_trainer_of_an_import_is_sandboxed(import_service: ImportService) -> None:
    """The rights of each trainer, read from outside while it ran.

    A trainer leaves the network only where the kernel allows it. These tests need such a kernel.
    """
    assert import_service.trainers
    for trainer in import_service.trainers.values():
        assert trainer.network != str(Path("/proc/self/ns/net").readlink())
        assert trainer.status["NoNewPrivs"] == "1"
        assert int(trainer.status["CapEff"], 16) == 0
        assert trainer.status["Umask"] == "0077"
        assert trainer.limits == {"CORE": 0, "DATA": 6 * 2**30, "FSIZE": 32 * 2**30, "NOFILE": 256}
        assert trainer.environment["HOME"] == trainer.folder
        settings = {name for name in trainer.environment if name.startswith("DISTILL_")}
        assert not settings - TRAINER_VARIABLES


@pytest.mark.usefixtures("results")
def test_s3_api_and_worker_need_little_more_memory(
    import_service: ImportService, record_property: RecordProperty
) -> None:
    for process, memory in import_service.memory.items():
        record_property(f"{process}_megabytes_more", round(memory.growth / 2**20, 1))
        assert memory.growth < MAX_GROWTH_BYTES, process


def open_upload(kind: Kind, job: JobFolder) -> None:
    """Open the upload as an import job does."""
    if kind == "models":
        load(build("small_cnn", 10, width=4), job.upload)
    else:
        import_dataset(job)


@pytest.mark.parametrize("name", S2 | S3 | S4)
def test_s2_s3_s4_the_importer_refuses_every_hostile_file(
    name: str, tmp_path: Path, record_property: RecordProperty
) -> None:
    """``seconds`` is CPU time of this process."""
    kind, file_builder, code = (S2 | S3 | S4)[name]
    job = import_job(tmp_path / "job")
    job.upload.write_bytes(file_builder(tmp_path / "canary"))
    start = time.process_time()
    with pytest.raises(Refused) as caught:
        open_upload(kind, job)
    record_property("seconds", round(time.process_time() - start, 2))
    assert caught.value.code == code
    # The payload would have left a canary, an archive its members.
    assert {path.name for path in tmp_path.iterdir()} == {"job"}
    assert list(job.output.iterdir()) == []
