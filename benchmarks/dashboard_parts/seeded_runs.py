"""A service's folder with many runs that have ended, one long run, and running ones.

All of it is written through the store, as a worker writes it. The values are seeded noise: these
runs are as large as real ones, and mean nothing.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from database_filler import write_metrics
from sqlalchemy import Engine

from core.store import attempts, jobs
from core.store.attempts import Attempt
from core.store.database.engine import make_engine, migrate, write_session
from core.store.database.fence import FencedSession
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, JobRow
from core.store.objects.store import Objects
from core.store.results import rows
from tests.api.builders import create_artifact
from tests.builders import create_attempt, report_json, training_spec
from tests.measured_jobs import IMAGES, accuracy

HELD_OUT = "epoch_held_out_robust"
WIDE_METRICS = ("effective_rank_student", "effective_rank_teacher")
"""Two curves of every step, which a job's page draws over each other."""
RATES = (0.05, 0.1, 0.2)
ATTACKS = ("clean", "pgd-20@linf:0.1", "cw-30@linf:0.1")
LEASE_SECONDS = 36_000.0
MetricRow = tuple[str, str, int, float, int]
"""Job id, name, step, value, attempt."""


@dataclass(frozen=True)
class Run:
    """What this service and MLflow are both given of a run."""

    number: int
    rate: float
    seed: int
    results: dict[str, int]
    """Correct images, of 360, by key."""

    @property
    def name(self) -> str:
        return f"run {self.number}: lr {self.rate:g}, seed {self.seed}"

    def curve(self, points: int) -> Iterator[tuple[int, float]]:
        """Yield (step, held-out robust accuracy in [0, 1])."""
        noise = random.Random(self.number)
        top = self.results[ATTACKS[1]] / IMAGES
        for step in range(1, points + 1):
            value = top * step / (step + 0.05 * points) + noise.gauss(0, 0.01)
            yield step, min(1.0, max(0.0, value))


@dataclass(frozen=True)
class SeededRuns:
    """Ids of jobs in a folder. ``running``: attempts that hold their leases for hours."""

    ended_ids: list[str]
    wide_id: str
    running: list[Attempt]


def make_runs(count: int) -> list[Run]:
    draws = random.Random(0)
    return [
        Run(
            number,
            RATES[number % len(RATES)],
            number // len(RATES),
            {key: draws.randrange(120 - 30 * n, 240 - 30 * n) for n, key in enumerate(ATTACKS)},
        )
        for number in range(count)
    ]


def seed_folder(
    data: Path, runs: list[Run], *, points: int, wide_points: int, running: int
) -> SeededRuns:
    """Fill the folder of an embedded service that is not running."""
    url = f"sqlite:///{data}/distill.db"
    data.mkdir(parents=True)
    migrate(url)
    engine = make_engine(url)
    objects = Objects(f"file://{data}/objects")
    ended_ids = [_end(engine, objects, run) for run in runs]
    wide_id = _end(engine, objects, Run(len(runs), RATES[1], 0, runs[0].results))
    attempts_running = [_start(engine, number) for number in range(running)]
    engine.dispose()
    write_metrics(url, _metrics(dict(zip(ended_ids, runs, strict=True)), points))
    write_metrics(url, _wide_metrics(wide_id, wide_points))
    return SeededRuns(ended_ids, wide_id, attempts_running)


def _metrics(runs: dict[str, Run], points: int) -> Iterator[MetricRow]:
    for job_id, run in runs.items():
        for step, value in run.curve(points):
            yield job_id, HELD_OUT, step, value, 1


def _wide_metrics(job_id: str, points: int) -> Iterator[MetricRow]:
    noise = random.Random(1)
    for name in WIDE_METRICS:
        for step in range(1, points + 1):
            yield job_id, name, step, 20 + 20 * step / points + noise.gauss(0, 2), 1


def _submit(engine: Engine, name: str, rate: float = 0.1, seed: int = 0) -> JobRow:
    schedule = {"epochs": 20, "batch_size": 64, "learning_rate": rate}
    spec = training_spec(name=name, seed=seed, schedule=schedule)
    with write_session(engine) as session:
        return jobs.submit(session, DEFAULT_PROJECT, spec, dataset_id=DIGITS_ID)


def _end(engine: Engine, objects: Objects, run: Run) -> str:
    attempt = create_attempt(engine, _submit(engine, run.name, run.rate, run.seed))
    with attempt.fenced_session() as (session, job):
        _succeed(session, job, run.results)
    report = json.dumps(report_json()).encode()
    create_artifact(engine, objects, attempt, "report.json", report, "report")
    return attempt.job_id


def _succeed(session: FencedSession, job: JobRow, correct: dict[str, int]) -> None:
    results = [accuracy(key, range(images)) for key, images in correct.items()]
    for result in results:
        rows.record(session, job, result)
    values = {"best": {result.key: result.value for result in results}}
    attempts.succeed(session, job, results=values)


def _start(engine: Engine, number: int) -> Attempt:
    job = _submit(engine, f"running {number}")
    return create_attempt(engine, job, lease_seconds=LEASE_SECONDS)
