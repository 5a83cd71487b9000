"""C4: stored bytes that are no longer what was stored are found before anything reads them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.atomic_files import sha256_of
from core.errors import JobFailed
from core.job_folder import JobFolder
from core.jobspec.data import DIGITS
from core.jobspec.defaults import resolve
from core.store import artifacts, datasets, jobs, models, uploaded_items
from core.store.attempts import Attempt
from core.store.database.engine import transaction, write_session
from core.store.database.fence import FencedSession
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, ArtifactRow, ModelRow
from core.store.objects.store import checkpoint_key
from tests.builders import (
    claim_job,
    dataset_description,
    distillation_spec,
    model_description,
    training_spec,
    weights_key,
)
from tests.faults.places import Place, on_a_folder, on_s3, quickly
from tests.worker.service import submit, wait_for, wait_for_end
from worker.inputs import Inputs

SIZE = 1000
DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "one flipped bit": lambda data: data[:500] + bytes([data[500] ^ 1]) + data[501:],
    "a byte less": lambda data: data[:-1],
    "half": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "a byte more": lambda data: data + b"x",
    "the file of another run, as long": lambda data: os.urandom(len(data)),
    "gone": lambda data: None,
}


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "folder":
        with on_a_folder(tmp_path, request.getfixturevalue("sqlite_url")) as found:
            yield found
    else:
        urls = [request.getfixturevalue(name) for name in ("postgres_url", "s3_server", "s3")]
        with on_s3(tmp_path, *urls) as found:
            yield found


@pytest.fixture
def on_files(tmp_path: Path, sqlite_url: str) -> Iterator[Place]:
    with on_a_folder(tmp_path, sqlite_url) as found:
        yield found


def an_attempt(place: Place, job_id: str | None = None) -> Attempt:
    attempt = claim_job(
        place.engine, job_id or submit(place.engine, training_spec()), "worker", 300
    )
    assert attempt is not None
    return attempt


def a_checkpoint(place: Place, attempt: Attempt, step: int) -> ArtifactRow:
    key = checkpoint_key(attempt.job_id, attempt.number, f"checkpoint-{step:06d}.safetensors")
    size, digest = place.objects.put_stream(key, [os.urandom(SIZE)], SIZE)
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


def lay_out(place: Place, attempt: Attempt) -> JobFolder:
    """The job's folder as a worker makes it, with whatever of the store is as it should be."""
    folder = JobFolder(place.folder / attempt.job_id)
    Inputs(place.settings, place.objects, attempt, folder, lambda: None).prepare()
    return folder


def damage(place: Place, key: str, damaged: Callable[[bytes], bytes | None]) -> None:
    place.damage(key, damaged(place.content(key)))


def test_c4_a_damaged_checkpoint_is_found_by_size_and_hash_and_the_one_before_is_used(
    place: Place,
) -> None:
    for what, damaged in DAMAGE.items():
        attempt = an_attempt(place)
        older, newest = a_checkpoint(place, attempt, 4), a_checkpoint(place, attempt, 8)
        damage(place, newest.object_key, damaged)
        folder = lay_out(place, attempt)
        assert sha256_of(folder.checkpoint) == older.sha256, what
        assert place.half_written() == set()
        (note,) = place.said(attempt.job_id, "note")
        assert note["message"].startswith(
            f"Checkpoint {newest.name} was not used: Object {newest.object_key} "
        ), what
        assert place.verified(attempt.job_id) == [older.name]


def test_c4_where_every_checkpoint_is_damaged_the_job_starts_from_the_beginning_and_says_so(
    place: Place,
) -> None:
    attempt = an_attempt(place)
    for step, damaged in ((4, DAMAGE["half"]), (8, DAMAGE["one flipped bit"])):
        damage(place, a_checkpoint(place, attempt, step).object_key, damaged)
    assert not lay_out(place, attempt).checkpoint.exists()
    notes = [note["message"] for note in place.said(attempt.job_id, "note")]
    assert ["checkpoint-000008" in notes[0], "checkpoint-000004" in notes[1]] == [True, True]
    assert notes[1].endswith("No other is left: the job starts from the beginning.")
    assert place.checkpoints(attempt.job_id) == []


def a_teacher(place: Place, name: str = "pang") -> ModelRow:
    with transaction(place.engine, FencedSession) as session:
        model = models.create(session, DEFAULT_PROJECT, name, model_description())
        key = weights_key(model.id)
        size, digest = place.objects.put_stream(key, [os.urandom(SIZE)], SIZE)
        return models.mark_ready(
            session,
            model,
            model_description(),
            object_key=key,
            size=size,
            sha256=digest,
            parameters=100,
        )


def taught_by(place: Place, teacher: ModelRow, dataset_id: str = DIGITS_ID) -> str:
    with write_session(place.engine) as session:
        spec = resolve(distillation_spec(teacher=teacher.id), DIGITS)
        return jobs.submit(
            session, DEFAULT_PROJECT, spec, dataset_id=dataset_id, teacher_id=teacher.id
        ).id


def test_c4_a_damaged_teacher_is_named_and_never_laid_out(place: Place) -> None:
    for what, damaged in DAMAGE.items():
        teacher = a_teacher(place, what)
        damage(place, teacher.object_key or "", damaged)
        attempt = an_attempt(place, taught_by(place, teacher))
        with pytest.raises(
            JobFailed, match=f"^The weights of the model '{what}' cannot be used: Object jobs/"
        ) as failure:
            lay_out(place, attempt)
        assert (failure.value.failure_class, failure.value.code) == (
            "infrastructure",
            "corrupt_input",
        )
        assert list(place.folder.rglob("teacher.safetensors")) == []
        assert list(place.home.glob("scratch/cache/*")) == []


def test_c4_a_teacher_that_is_damaged_in_the_workers_own_cache_is_fetched_anew(
    on_files: Place,
) -> None:
    place, teacher = on_files, a_teacher(on_files)
    attempt = an_attempt(place, taught_by(place, teacher))
    kept = place.home / "scratch" / "cache" / (teacher.sha256 or "")
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"not what was fetched")
    assert sha256_of(lay_out(place, attempt).teacher_weights) == teacher.sha256


def test_c4_a_damaged_data_set_is_named_and_never_laid_out(place: Place) -> None:
    with transaction(place.engine, FencedSession) as session:
        dataset = datasets.create(session, DEFAULT_PROJECT, "birds", "upload")
        key = weights_key(dataset.id)
        size, digest = place.objects.put_stream(key, [os.urandom(SIZE)], SIZE)
        uploaded_items.mark_ready(
            session, dataset, dataset_description(), object_key=key, size=size, sha256=digest
        )
    damage(place, key, DAMAGE["one flipped bit"])
    with pytest.raises(
        JobFailed, match=r"^The data set 'birds' cannot be used: Object jobs/"
    ) as failure:
        lay_out(place, an_attempt(place, taught_by(place, a_teacher(place), dataset.id)))
    assert failure.value.failure_class == "infrastructure"
    assert list(place.folder.rglob("dataset.safetensors")) == []


def test_c4_through_the_service_a_job_ends_well_without_its_damaged_checkpoints_and_fails_without_its_teacher(
    on_files: Place,
) -> None:
    place = on_files
    job_id = submit(
        place.engine,
        training_spec(schedule={"epochs": 16, "batch_size": 64, "checkpoint_seconds": 0}),
    )
    with place.worker("first") as first:
        wait_for(lambda: len(place.checkpoints(job_id)) == 2, 60, "two checkpoints")
        first.kill()
    damaged = place.checkpoints(job_id)
    for row in damaged:
        damage(place, row.object_key, DAMAGE["one flipped bit"])
    teacher = a_teacher(place)
    damage(place, teacher.object_key or "", DAMAGE["half"])
    hopeless = taught_by(place, teacher)
    with place.worker("second", DISTILL_MAX_ATTEMPTS="2"):
        job, failed = wait_for_end(place.engine, job_id), wait_for_end(place.engine, hopeless)
        quickly(lambda: not list(place.home.glob("scratch/jobs/*")))
    assert job.status == "succeeded"
    notes = [note["message"] for note in place.said(job_id, "note")]
    assert [row.name in note for row, note in zip(damaged, notes, strict=True)] == [True, True]
    assert notes[-1].endswith("the job starts from the beginning.")
    assert place.said(job_id, "resumed") == []
    assert failed.status == "failed"
    assert failed.failure is not None
    assert (failed.failure["class"], failed.failure["code"]) == ("infrastructure", "corrupt_input")
    assert "The weights of the model 'pang' cannot be used" in failed.failure["message"]
    assert place.said(hopeless, "phase") == [], "its trainer was never started"
