"""Results are keyed by attack, norm, radius, and steps or version: pgd-20@linf:8/255. Imports keep
their report, and how to read a checkpoint.

Results were pgd, pgd_2, autoattack, …; each job's spec says what they meant. The same names stand
in events of type `measured`. Reports in the object store stay as they were written. The code that
makes keys is repeated here and not imported: a migration must do the same forever.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from core.store.database.schema import refuse_downgrade

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
Document = dict[str, Any]
BATCH_ROWS = 500

JOBS = sa.table(
    "jobs",
    sa.column("id", sa.String),
    sa.column("kind", sa.String),
    sa.column("spec", JSON),
    sa.column("results", JSON),
    sa.column("version", sa.Integer),
)
EVENTS = sa.table(
    "events",
    sa.column("job_id", sa.String),
    sa.column("seq", sa.BigInteger),
    sa.column("type", sa.String),
    sa.column("data", JSON),
)

STANDARD_STAGES = ["apgd-ce", "apgd-t", "fab-t", "square"]
DEFAULT_RADIUS = 8 / 255
STEPS = {"pgd": 20, "cw": 30}
UNDER_ATTACK = (
    "transfer",
    "variance_gap_features",
    "variance_gap_gram",
    "effective_rank_features",
    "effective_rank_gram",
    "grad_cam_shift",
    "ece_adversarial",
    "masking_square_drop",
)
"""Numbers of analyses that attacked at the job's own radius."""


def upgrade() -> None:
    op.add_column("datasets", sa.Column("report", JSON, nullable=True))
    op.add_column("models", sa.Column("reading", JSON, nullable=True))
    connection = op.get_bind()
    for jobs in _pages_of_jobs(connection):
        keys_by_job = {job.id: _keys(job.spec) for job in jobs if job.results}
        _rename_results(connection, jobs, keys_by_job)
        _rename_in_events(connection, keys_by_job)


def downgrade() -> None:
    refuse_downgrade(revision)


def _pages_of_jobs(connection: sa.Connection) -> Iterator[Sequence[Any]]:
    """Yield all jobs in pages along the primary key."""
    last_id = ""
    while True:
        page = sa.select(JOBS.c.id, JOBS.c.spec, JOBS.c.results).where(JOBS.c.id > last_id)
        jobs = connection.execute(page.order_by(JOBS.c.id).limit(BATCH_ROWS)).all()
        if not jobs:
            return
        yield jobs
        last_id = jobs[-1].id


def _rename_results(
    connection: sa.Connection, jobs: Sequence[Any], keys_by_job: dict[str, dict[str, str]]
) -> None:
    changes = []
    for job in jobs:
        keys = keys_by_job.get(job.id, {})
        results = {
            network: {keys.get(name, name): value for name, value in numbers.items()}
            for network, numbers in (job.results or {}).items()
        }
        if job.results and results != job.results:
            changes.append({"job": job.id, "new_results": results})
    if changes:
        statement = sa.update(JOBS).where(JOBS.c.id == sa.bindparam("job"))
        renamed = {"results": sa.bindparam("new_results"), "version": JOBS.c.version + 1}
        connection.execute(statement.values(renamed), changes)


def _rename_in_events(connection: sa.Connection, keys_by_job: dict[str, dict[str, str]]) -> None:
    if not keys_by_job:
        return
    measured = sa.select(EVENTS.c.job_id, EVENTS.c.seq, EVENTS.c.data).where(
        EVENTS.c.job_id.in_(list(keys_by_job)), EVENTS.c.type == "measured"
    )
    changes = []
    for job_id, seq, data in connection.execute(measured).all():
        key = keys_by_job[job_id].get(data.get("name"))
        if key is not None:
            changes.append({"job": job_id, "number": seq, "new_data": {**data, "name": key}})
    if changes:
        event = sa.and_(
            EVENTS.c.job_id == sa.bindparam("job"), EVENTS.c.seq == sa.bindparam("number")
        )
        statement = sa.update(EVENTS).where(event).values(data=sa.bindparam("new_data"))
        connection.execute(statement, changes)


def _keys(spec: Document) -> dict[str, str]:
    """Return the key for each former name of a result of this job."""
    radius = spec.get("adversary", spec).get("radius", DEFAULT_RADIUS)
    own = f"linf:{_format_radius(radius)}"
    keys = {name: f"{name}@{own}" for name in UNDER_ATTACK}
    keys["held_out_robust"] = f"held_out_pgd-10@{own}"
    keys["masking_large_radius"] = "masking_large_radius@linf:0.5"
    counts_by_name: dict[str, int] = {}
    counts_by_key: dict[str, int] = {}
    for attack in spec.get("evaluation", {}).get("attacks", []):
        name = attack["name"]
        key = _attack_key(attack, radius)
        count = counts_by_name[name] = counts_by_name.get(name, 0) + 1
        run = counts_by_key[key] = counts_by_key.get(key, 0) + 1
        former = name if count == 1 else f"{name}_{count}"
        keys[former] = key if run == 1 else f"{key}#{run}"
    return keys


def _attack_key(attack: Document, training_radius: float) -> str:
    radius = attack.get("radius")
    radius = training_radius if radius is None else radius
    threat_model = f"{attack.get('norm', 'linf')}:{_format_radius(radius)}"
    if attack["name"] == "autoattack":
        return ":".join(["autoattack", *_autoattack_settings(attack)]) + f"@{threat_model}"
    name = f"{attack['name']}-{attack.get('steps', STEPS[attack['name']])}"
    return ":".join([name, *_gradient_attack_settings(attack, radius)]) + f"@{threat_model}"


def _autoattack_settings(attack: Document) -> Iterator[str]:
    stages = list(attack.get("stages", STANDARD_STAGES))
    if stages != STANDARD_STAGES:
        yield f"stages={'+'.join(stages)}"
    if attack.get("queries", 5000) != 5000:
        yield f"queries={attack['queries']}"
    if attack.get("iterations", 100) != 100:
        yield f"iterations={attack['iterations']}"


def _gradient_attack_settings(attack: Document, radius: float) -> Iterator[str]:
    if attack.get("restarts", 1) > 1:
        yield f"restarts={attack['restarts']}"
    share = 0.25 if attack["name"] == "pgd" else 0.003 / (8 / 255)
    step = attack.get("step_size")
    if step is not None and not math.isclose(step, min(1.0, radius * share), rel_tol=1e-5):
        yield f"step={_format_radius(step)}"
    if attack["name"] == "cw" and attack.get("confidence", 50) != 50:
        yield f"confidence={attack['confidence']:g}"


def _format_radius(radius: float) -> str:
    if float(f"{radius:.3f}") == radius:
        return f"{radius:g}"
    levels = round(radius * 255)
    if levels and math.isclose(radius * 255, levels, rel_tol=1e-5):
        return f"{levels}/255"
    return repr(radius)
