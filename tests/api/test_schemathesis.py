"""Generated requests: whatever the OpenAPI document allows or forbids is sent, and every response
is checked against it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from string import Template

import pytest
from sqlalchemy import Engine

from core.jobspec.sweep import SweepSpec
from core.settings import Settings
from core.store import sweeps, workers
from core.store.access import keys
from core.store.database.engine import transaction
from core.store.database.fence import FencedSession
from core.store.database.tables import DEFAULT_PROJECT, ModelRow
from core.store.objects.store import Objects
from core.store.registry import models, uploaded_items
from tests.api.builders import create_artifact, create_finished_job
from tests.api.conftest import Service, make_key
from tests.builders import create_attempt, create_job, create_teacher

SECONDS = 22
ALLOWED = 'expected-statuses = ["2xx", 401, 403, 404, 409, 412, 422, 431]'
"""A schema does not say which data sets and teachers exist, so valid bodies can get a 422; very
long names in the path get a 431, and an If-Match of chance a 412."""
REFUSED = 'expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 429, 431, "5xx"]'
EVERYWHERE = f"""
[checks.positive_data_acceptance]
{ALLOWED}

[checks.negative_data_rejection]
{REFUSED}

# A new job has no report yet.
[[operations]]
include-path = "/v1/jobs/{{job_id}}/report"
checks.ensure_resource_availability.enabled = false

# A new job has no attempts yet, and so neither their logs nor a file of one.
[[operations]]
include-path = "/v1/jobs/{{job_id}}/logs"
checks.ensure_resource_availability.enabled = false

# Always a spare API key: with the one in use revoked, every further response would be a 401.
[[operations]]
include-path = "/v1/keys/{{key_id}}"
parameters = {{ key_id = "$key_id" }}
"""
BY_ID = """
# What is deleted is never what the other operations use.
[[operations]]
include-path = "/v1/jobs/{job_id}"
include-method = "DELETE"
parameters = { job_id = "$to_delete" }

[[operations]]
include-path-regex = "/v1/models/.+"
include-method = "DELETE"
parameters = { reference = "no_such_model" }

[[operations]]
include-path-regex = "/v1/jobs/.+"
parameters = { job_id = "$job_id", name = "$name" }

[[operations]]
include-path-regex = "/v1/sweeps/.+"
parameters = { sweep_id = "$sweep_id" }

[[operations]]
include-path-regex = "/v1/workers/.+"
parameters = { worker = "worker-1" }

[[operations]]
include-path-regex = "/v1/models/.+"
parameters = { reference = "$model" }

[[operations]]
include-path-regex = "/v1/datasets/.+"
parameters = { reference = "digits" }
"""


@pytest.fixture
def prepared(settings: Settings, engine: Engine) -> dict[str, str]:
    """Create an item for every path, so that not every response is a 404; return ids and names."""
    objects = Objects.from_settings(settings)
    finished = create_finished_job(engine, objects)
    create_job(engine, metadata={"team": "a"})
    create_artifact(
        engine,
        objects,
        create_attempt(engine),
        "checkpoint-1.safetensors",
        b"1",
        "checkpoint",
        step=1,
    )
    teacher = create_teacher(engine)
    size, digest = objects.put_stream("ready", iter([b"weights"]), 100)
    with transaction(engine, FencedSession) as session:
        row = uploaded_items.get(session, ModelRow, DEFAULT_PROJECT, teacher.id)
        models.mark_ready(
            session, row, models.describe(row), object_key="ready", size=size, sha256=digest
        )
        spare = keys.create(session, DEFAULT_PROJECT, "spare", ["read"])[0]
        sweep = sweeps.create(session, DEFAULT_PROJECT, SweepSpec(base={}))
        workers.register(session, "worker-1", version="1", protocol=1, slots=1, lease_seconds=300)
    return {
        "job_id": finished.job_id,
        "name": "report.json",
        "model": teacher.id,
        "to_delete": create_finished_job(engine, objects).job_id,
        "key_id": spare.id,
        "sweep_id": sweep.id,
    }


def configuration(prepared: dict[str, str], known: bool) -> str:
    """Return schemathesis' configuration; ``known``: with ids and names of items that exist."""
    return Template(EVERYWHERE + BY_ID if known else EVERYWHERE).substitute(prepared)


@pytest.mark.parametrize(
    "known", [True, False], ids=["things that are there", "things that are not"]
)
@pytest.mark.timeout(240)
def test_generated_requests_get_documented_responses(
    start_service: Callable[..., Service],
    engine: Engine,
    prepared: dict[str, str],
    tmp_path: Path,
    known: bool,
) -> None:
    service = start_service(failed_logins_per_minute=0)  # wrong keys are among what it sends
    config = tmp_path / "schemathesis.toml"
    config.write_text(configuration(prepared, known))
    key = make_key(engine, *keys.SCOPES)
    run = subprocess.run(
        [
            str(Path(sys.executable).parent / "st"),
            "--config-file",
            str(config),
            "run",
            f"{service.url}/openapi.json",
            "--header",
            f"Authorization: {key['Authorization']}",
            "--phases",
            "coverage,fuzzing" if known else "examples,stateful",
            "--max-examples",
            "6",
            "--max-time",
            str(SECONDS),
            "--continue-on-failure",
            "--no-color",
            "--seed",
            "1",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-20_000:]
    assert service.client.get("/v1/jobs").status_code == 200
