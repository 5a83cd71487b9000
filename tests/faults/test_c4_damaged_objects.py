"""C4: stored bytes that differ from what was stored are detected before anything reads them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from core.atomic_files import sha256_of
from core.errors import JobFailed
from core.job_folder import JobFolder
from core.jobspec.data import DIGITS
from core.jobspec.defaults import resolve
from core.store import artifacts, jobs
from core.store.attempts import Attempt
from core.store.database.engine import transaction, write_session
from core.store.database.fence import FencedSession
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, ArtifactRow, JobRow, ModelRow
from core.store.objects.store import checkpoint_key
from core.store.registry import datasets, models, uploaded_items
from tests.builders import (
    claim_job,
    dataset_description,
    distillation_spec,
    model_description,
    training_spec,
    weights_key,
)
from tests.faults.storage import Storage, wait_for_brief
from tests.worker.results import short_job
from tests.worker.service import submit, wait_for, wait_for_end
from worker.inputs import Inputs

SIZE = 1000
Damage = Callable[[bytes], bytes | None]
DAMAGES: dict[str, Damage] = {
    "one flipped bit": lambda data: data[:500] + bytes([data[500] ^ 1]) + data[501:],
    "a byte less": lambda data: data[:-1],
    "half": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "a byte more": lambda data: data + b"x",
    "another file of the same size": lambda data: os.urandom(len(data)),
    "deleted": lambda data: None,
}
"""What may happen to the bytes of an object. None: it is deleted."""


def create_attempt(storage: Storage, job_id: str | None = None) -> Attempt:
    job_id = job_id or submit(storage.engine, training_spec())
    attempt = claim_job(storage.engine, job_id, "worker", 300)
    assert attempt is not None
    return attempt


def create_checkpoint(storage: Storage, attempt: Attempt, step: int) -> ArtifactRow:
    key = checkpoint_key(attempt.job_id, attempt.number, f"checkpoint-{step:06d}.safetensors")
    size, digest = storage.objects.put_stream(key, [os.urandom(SIZE)], SIZE)
    with attempt.fenced_session() as (session, _):
        return artifacts.record(
            session,
            attempt.job_id,
            name=Path(key).name,
            kind="checkpoint",
            object_key=key,
            size=size,
            sha256=digest,
            attempt=attempt.number,
            step=step,
        )[0]


def create_teacher(storage: Storage, name: str = "pang") -> ModelRow:
    with transaction(storage.engine, FencedSession) as session:
        model = models.create(session, DEFAULT_PROJECT, name, model_description())
        key = weights_key(model.id)
        size, digest = storage.objects.put_stream(key, [os.urandom(SIZE)], SIZE)
        return models.mark_ready(
            session,
            model,
            model_description(),
            object_key=key,
            size=size,
            sha256=digest,
            parameters=100,
        )


def submit_distillation(storage: Storage, teacher: ModelRow, dataset_id: str = DIGITS_ID) -> str:
    spec = resolve(distillation_spec(teacher=teacher.id), DIGITS)
    with write_session(storage.engine) as session:
        return jobs.submit(
            session, DEFAULT_PROJECT, spec, dataset_id=dataset_id, teacher_id=teacher.id
        ).id


def prepare_job_folder(storage: Storage, attempt: Attempt) -> JobFolder:
    """Prepare the job folder as a worker does, with every input that is intact."""
    folder = JobFolder(storage.folder / attempt.job_id)
    Inputs(storage.settings, storage.objects, attempt, folder, lambda: None).prepare()
    return folder


def damage_object(storage: Storage, key: str, damage: Damage) -> None:
    storage.replace_object(key, damage(storage.read_object(key)))


def test_c4_previous_checkpoint_replaces_a_damaged_one(storage: Storage) -> None:
    """Size and hash reveal the damage, and an event names the damaged checkpoint."""
    for name, damage in DAMAGES.items():
        attempt = create_attempt(storage)
        previous = create_checkpoint(storage, attempt, 4)
        newest = create_checkpoint(storage, attempt, 8)
        damage_object(storage, newest.object_key, damage)
        folder = prepare_job_folder(storage, attempt)
        assert sha256_of(folder.checkpoint) == previous.sha256, name
        assert storage.unfinished_writes() == set()
        (note,) = storage.event_data(attempt.job_id, "note")
        assert note["message"].startswith(
            f"Checkpoint {newest.name} was not used: Object {newest.object_key} "
        ), name
        assert storage.verify_checkpoints(attempt.job_id) == [previous.name]


def test_c4_job_restarts_if_every_checkpoint_is_damaged(storage: Storage) -> None:
    """Its events say that it starts from the beginning."""
    attempt = create_attempt(storage)
    for step, damage in ((4, DAMAGES["half"]), (8, DAMAGES["one flipped bit"])):
        damage_object(storage, create_checkpoint(storage, attempt, step).object_key, damage)
    assert not prepare_job_folder(storage, attempt).checkpoint.exists()
    notes = [note["message"] for note in storage.event_data(attempt.job_id, "note")]
    assert ["checkpoint-000008" in notes[0], "checkpoint-000004" in notes[1]] == [True, True]
    assert notes[1].endswith("No other is left: the job starts from the beginning.")
    assert storage.list_checkpoints(attempt.job_id) == []


def test_c4_damaged_teacher_fails_the_attempt(storage: Storage) -> None:
    """The failure names the teacher, and no byte of it reaches the job folder or the cache."""
    for name, damage in DAMAGES.items():
        teacher = create_teacher(storage, name)
        damage_object(storage, teacher.object_key or "", damage)
        attempt = create_attempt(storage, submit_distillation(storage, teacher))
        with pytest.raises(
            JobFailed, match=f"^The weights of the model '{name}' cannot be used: Object jobs/"
        ) as failure:
            prepare_job_folder(storage, attempt)
        assert (failure.value.failure_class, failure.value.code) == (
            "infrastructure",
            "corrupt_input",
        )
        assert list(storage.folder.rglob("teacher.safetensors")) == []
        assert list(storage.home.glob("scratch/cache/*")) == []


def test_c4_damaged_teacher_in_the_cache_is_fetched_again(folder_storage: Storage) -> None:
    """A worker verifies what is in its own cache, too."""
    teacher = create_teacher(folder_storage)
    attempt = create_attempt(folder_storage, submit_distillation(folder_storage, teacher))
    cached = folder_storage.home / "scratch" / "cache" / (teacher.sha256 or "")
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"not what was fetched")
    folder = prepare_job_folder(folder_storage, attempt)
    assert sha256_of(folder.teacher_weights) == teacher.sha256


def test_c4_damaged_data_set_fails_the_attempt(storage: Storage) -> None:
    """The failure names the data set, and no byte of it reaches the job folder."""
    with transaction(storage.engine, FencedSession) as session:
        dataset = datasets.create(session, DEFAULT_PROJECT, "birds", "upload")
        key = weights_key(dataset.id)
        size, digest = storage.objects.put_stream(key, [os.urandom(SIZE)], SIZE)
        uploaded_items.mark_ready(
            session, dataset, dataset_description(), object_key=key, size=size, sha256=digest
        )
    damage_object(storage, key, DAMAGES["one flipped bit"])
    job_id = submit_distillation(storage, create_teacher(storage), dataset.id)
    attempt = create_attempt(storage, job_id)
    with pytest.raises(
        JobFailed, match=r"^The data set 'birds' cannot be used: Object jobs/"
    ) as failure:
        prepare_job_folder(storage, attempt)
    assert failure.value.failure_class == "infrastructure"
    assert list(storage.folder.rglob("dataset.safetensors")) == []


def test_c4_worker_handles_damaged_checkpoints_and_teachers(folder_storage: Storage) -> None:
    """A job succeeds without its damaged checkpoints; one whose teacher is damaged fails."""
    storage = folder_storage
    job_id = submit(storage.engine, short_job(16))
    with storage.start_worker("first") as worker:
        wait_for(lambda: len(storage.list_checkpoints(job_id)) == 2, 60, "two checkpoints")
        worker.kill()
    checkpoints = storage.list_checkpoints(job_id)
    for checkpoint in checkpoints:
        damage_object(storage, checkpoint.object_key, DAMAGES["one flipped bit"])
    teacher = create_teacher(storage)
    damage_object(storage, teacher.object_key or "", DAMAGES["half"])
    distillation_id = submit_distillation(storage, teacher)
    with storage.start_worker("second", DISTILL_MAX_ATTEMPTS="2"):
        job = wait_for_end(storage.engine, job_id)
        distillation = wait_for_end(storage.engine, distillation_id)
        wait_for_brief(lambda: not list(storage.home.glob("scratch/jobs/*")))
    assert_restarted_and_succeeded(storage, job, checkpoints)
    assert distillation.status == "failed"
    assert distillation.failure is not None
    assert (distillation.failure["class"], distillation.failure["code"]) == (
        "infrastructure",
        "corrupt_input",
    )
    assert "The weights of the model 'pang' cannot be used" in distillation.failure["message"]
    assert storage.event_data(distillation_id, "phase") == [], "its trainer was started"


def assert_restarted_and_succeeded(
    storage: Storage, job: JobRow, damaged: list[ArtifactRow]
) -> None:
    assert job.status == "succeeded"
    notes = [note["message"] for note in storage.event_data(job.id, "note")]
    assert [row.name in note for row, note in zip(damaged, notes, strict=True)] == [True, True]
    assert notes[-1].endswith("the job starts from the beginning.")
    assert storage.event_data(job.id, "resumed") == []
