"""Builders of jobs with results, as a worker records them: masks say which images are correct."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Engine

from core.jobspec.data import DIGITS
from core.jobspec.defaults import resolve
from core.jobspec.job import EvaluationJobSpec
from core.store import attempts, jobs
from core.store.database.engine import write_session
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, JobRow
from core.store.registry import models
from core.store.results import rows
from core.store.results.rows import MeasuredResult
from core.summary_statistics import wilson_interval
from tests.builders import (
    SHA256,
    create_attempt,
    distillation_spec,
    model_description,
    training_spec,
    weights_key,
)

IMAGES = 360
AUTOATTACK = "autoattack@linf:0.1"
PGD = "pgd-20@linf:0.1"


def pack(correct: Iterable[int], images: int = IMAGES) -> bytes:
    """Return the mask in which these images are correct."""
    indices = set(correct)
    bits = "".join("1" if index in indices else "0" for index in range(images))
    padded = bits + "0" * (-images % 8)
    return int(padded, 2).to_bytes(len(padded) // 8, "big")


def accuracy(
    key: str,
    correct: Iterable[int],
    *,
    network: str = "best",
    images: int = IMAGES,
    image_set: str | None = "digits",
    masked: bool = True,
    **fields: Any,
) -> MeasuredResult:
    """An accuracy of which exactly these images are correct."""
    indices = set(correct)
    share = len(indices) / images
    return MeasuredResult(
        network=network,
        key=key,
        value=share,
        images=images,
        interval=wilson_interval(share, images),
        mask=pack(indices, images) if masked else None,
        image_set=image_set,
        **fields,
    )


def number(key: str, value: float, network: str = "best") -> MeasuredResult:
    """A result without images, as earlier versions recorded all of them."""
    return MeasuredResult(network, key, value)


def finish_job(
    engine: Engine,
    *results: MeasuredResult,
    project_id: str = DEFAULT_PROJECT,
    teacher_id: str | None = None,
    **changes: Any,
) -> JobRow:
    """Return a training that has succeeded with these results, and has published its student.

    ``teacher_id``: a distillation from this model. ``changes``: those of the spec.
    """
    spec = training_spec(**changes) if teacher_id is None else distillation_spec(**changes)
    with write_session(engine) as session:
        job = jobs.submit(session, project_id, spec, dataset_id=DIGITS_ID, teacher_id=teacher_id)
    with create_attempt(engine, job).fenced_session() as (fenced_session, running):
        _record(fenced_session, running, results)
        model = models.publish(
            fenced_session,
            running,
            model_description(),
            object_key=weights_key(running.id),
            size=1,
            sha256=SHA256,
            parameters=1702,
        )
        attempts.succeed(fenced_session, running, results=running.results, model_id=model.id)
    return running


def finish_evaluation(engine: Engine, model_id: str, *results: MeasuredResult) -> JobRow:
    """Return an evaluation of the model that has succeeded with these results."""
    body = {"kind": "evaluation", "model": model_id, "data": {"dataset": "digits"}, "radius": 0.1}
    spec = resolve(EvaluationJobSpec.model_validate(body), DIGITS)
    with write_session(engine) as session:
        job = jobs.submit(session, DEFAULT_PROJECT, spec, dataset_id=DIGITS_ID)
    with create_attempt(engine, job).fenced_session() as (fenced_session, running):
        _record(fenced_session, running, results)
        attempts.succeed(fenced_session, running, results=running.results)
    return running


def _record(session: Any, job: JobRow, results: Iterable[MeasuredResult]) -> None:
    by_network: dict[str, dict[str, float]] = {}
    for result in results:
        rows.record(session, job, result)
        by_network.setdefault(result.network, {})[result.key] = result.value
    job.results = by_network
