"""Results are keyed by attack, norm, radius, and steps or version: pgd-20@linf:8/255.

They were pgd, pgd_2, autoattack, …; each job's spec says what they meant. The same names stand in
events of type `measured`. Reports in the object store stay as they were written. The code that
makes keys is repeated here and not imported: a migration must do the same forever.
"""

import math
from collections.abc import Iterator
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
    connection = op.get_bind()
    for job in _evaluated_jobs(connection):
        keys = _keys(job.spec)
        results = {
            network: {keys.get(name, name): value for name, value in numbers.items()}
            for network, numbers in job.results.items()
        }
        if results == job.results:
            continue
        statement = sa.update(JOBS).where(JOBS.c.id == job.id)
        connection.execute(statement.values(results=results, version=JOBS.c.version + 1))
        _rename_in_events(connection, job.id, keys)


def downgrade() -> None:
    refuse_downgrade(revision)


def _evaluated_jobs(connection: sa.Connection) -> Iterator[Any]:
    """Yield every job with results, read in batches along the primary key."""
    last_id = ""
    while True:
        page = sa.select(JOBS.c.id, JOBS.c.spec, JOBS.c.results).where(JOBS.c.id > last_id)
        rows = connection.execute(page.order_by(JOBS.c.id).limit(BATCH_ROWS)).all()
        if not rows:
            return
        yield from (row for row in rows if row.results)
        last_id = rows[-1].id


def _rename_in_events(connection: sa.Connection, job_id: str, keys: dict[str, str]) -> None:
    measured = sa.select(EVENTS.c.seq, EVENTS.c.data).where(
        EVENTS.c.job_id == job_id, EVENTS.c.type == "measured"
    )
    for seq, data in connection.execute(measured).all():
        if data.get("name") in keys:
            statement = sa.update(EVENTS).where(EVENTS.c.job_id == job_id, EVENTS.c.seq == seq)
            connection.execute(statement.values(data={**data, "name": keys[data["name"]]}))


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
