"""What the services of these tests hold: two real digits jobs, and rows as a worker leaves them."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from core.errors import JobFailed
from core.jobspec.sweep import SweepSpec
from core.store import attempts, jobs, logs, metrics, sweeps
from core.store.attempts import Attempt
from core.store.database.engine import transaction, write_session
from core.store.database.fence import FencedSession
from core.store.database.tables import DIGITS_ID, JobRow, ProjectRow
from core.store.lifecycle.retry_policy import RetryPolicy, apply_retry_policy
from core.store.logs import LogChunk, LogLine, LogPublication
from core.store.objects.store import Objects
from core.store.registry import datasets, models
from core.store.results import rows
from distill_client import Distill
from distill_client.responses import Job
from tests.api.builders import create_artifact
from tests.builders import (
    SHA256,
    create_attempt,
    dataset_description,
    distillation_body,
    model_description,
    report_json,
    training_body,
    training_spec,
    weights_key,
)
from tests.measured_jobs import PGD, accuracy

ATTACK_SCRIPT = "attacked()"
"""What hostile text would call if a page ran it."""
HOSTILE = (
    f'<img src=x onerror="{ATTACK_SCRIPT}"><script>{ATTACK_SCRIPT}</script>'
    f"javascript:{ATTACK_SCRIPT}//\u202e\x1b[31m${{{ATTACK_SCRIPT}}}"
)
LONG = "x" * 10_000


@dataclass(frozen=True)
class Contents:
    """Ids of what a project holds."""

    job_id: str
    failed_id: str
    sweep_id: str
    model_id: str
    dataset_id: str

    def pages(self) -> dict[str, str]:
        """Return the path of each page that shows one of them, by the page's name."""
        return {
            "job": f"/jobs/{self.job_id}",
            "failed job": f"/jobs/{self.failed_id}",
            "compare": f"/compare?jobs={self.job_id},{self.failed_id}",
            "sweep": f"/sweeps/{self.sweep_id}",
            "model": f"/models/{self.model_id}",
            "dataset": f"/datasets/{self.dataset_id}",
        }


def create_project(engine: Engine, project_id: str) -> None:
    with write_session(engine) as session:
        session.add(ProjectRow(id=project_id, name=project_id))


def seed_project(engine: Engine, objects: Objects, project_id: str, text: str) -> Contents:
    """Insert one of each noun, as a worker would; ``text`` stands wherever people may write."""
    job = _submit(engine, project_id, text)
    model_id = _succeed(engine, objects, job, text)
    failed = _submit(engine, project_id, text)
    _fail(engine, failed, text)
    return Contents(
        job_id=job.id,
        failed_id=failed.id,
        sweep_id=_seed_sweep(engine, objects, project_id, text),
        model_id=model_id,
        dataset_id=_seed_dataset(engine, project_id, text),
    )


def run_digits_jobs(client: Distill) -> tuple[Job, Job]:
    """Train a teacher on digits and distill it, really; return both jobs."""
    tests = training_body()["evaluation"] | {"analyses": [{"name": "examples"}]}
    schedule = training_body()["schedule"] | {"epochs": 2}
    changes: dict[str, Any] = {"evaluation": tests, "schedule": schedule}
    teacher = _wait(client, training_body(name="digits-teacher", **changes))
    body = distillation_body(name="digits-student", **changes)
    return teacher, _wait(client, body | {"teacher": teacher.model_id})


def _wait(client: Distill, body: dict[str, Any]) -> Job:
    job = client.wait(client.submit(body).id)
    assert job.status == "succeeded", job.failure
    return job


def _submit(engine: Engine, project_id: str, text: str, **columns: Any) -> JobRow:
    spec = training_spec(name=text[:200], metadata={"note": text[:200]})
    with write_session(engine) as session:
        job = jobs.submit(session, project_id, spec, dataset_id=DIGITS_ID, **columns)
        jobs.edit(session, job, {"notes": text})
        return job


def _succeed(engine: Engine, objects: Objects, job: JobRow, text: str) -> str:
    """Publish a job's files, log, metrics, results and student; return the student's id."""
    attempt = create_attempt(engine, job)
    _publish_log(attempt, text)
    report = json.dumps(report_json(warnings=[text])).encode()
    create_artifact(engine, objects, attempt, "report.json", report, "report")
    create_artifact(engine, objects, attempt, "best.safetensors", b"weights")
    results = [accuracy("clean", range(330)), accuracy(PGD, range(220))]
    with attempt.fenced_session() as (session, running):
        for step in range(1, 6):
            values = {"loss": 2.0 / step, "held_out_clean": step / 8, "held_out_robust": step / 12}
            metrics.record(session, running.id, attempt.number, step, values)
        for result in results:
            rows.record(session, running, result)
        running.results = {"best": {result.key: result.value for result in results}}
        model = models.publish(
            session,
            running,
            model_description(),
            object_key=weights_key(running.id),
            size=7,
            sha256=SHA256,
            parameters=1702,
        )
        model.notes = text
        attempts.succeed(session, running, results=running.results, model_id=model.id)
        return model.id


def _publish_log(attempt: Attempt, text: str) -> None:
    line = LogLine(1, 1_750_000_000_000, "stderr", text)
    chunk = LogChunk(1, 1, logs.encode([line]))
    publication = LogPublication(1, len(text), [chunk], [])
    with attempt.fenced_session() as (session, job):
        logs.publish(session, job.id, attempt.number, publication)


def _fail(engine: Engine, job: JobRow, text: str) -> None:
    attempt = create_attempt(engine, job)
    _publish_log(attempt, text)
    failure = JobFailed("trainer_error", "user", text)
    with attempt.fenced_session() as (session, running):
        apply_retry_policy(session, running, failure, RetryPolicy())


def _seed_sweep(engine: Engine, objects: Objects, project_id: str, text: str) -> str:
    spec = SweepSpec(name=text[:200], base=training_body(), axes={"seed": [0, 1, 2]})
    with write_session(engine) as session:
        sweep_id = sweeps.create(session, project_id, spec).id
    for index in range(spec.size):
        position = jobs.SweepPosition(sweep_id, index, text[:100])
        job = _submit(engine, project_id, text, position=position)
        if index == spec.size - 1:
            _fail(engine, job, text)
        else:
            _succeed(engine, objects, job, text)
    return sweep_id


def _seed_dataset(engine: Engine, project_id: str, text: str) -> str:
    names = tuple(f"{letter} {text}"[:100] for letter in "abc")
    report = {
        "layout": text[:200],
        "remarks": [text],
        "ignored_files": 1,
        "ignored": [{"reason": text[:200], "files": 1, "first": [text[:200]]}],
        "images": {"train": dict.fromkeys(names, 33), "test": dict.fromkeys(names, 6)},
    }
    with transaction(engine, FencedSession) as session:
        dataset = datasets.create(session, project_id, text[:100], "upload")
        dataset.notes = text
        datasets.mark_ready(
            session,
            dataset,
            dataset_description(class_names=names),
            report=report,
            object_key=dataset.id,
            size=1,
            sha256=SHA256,
        )
        return dataset.id
