"""Models: what a request says of a checkpoint that will be uploaded."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from core.jobspec.job import ImportModelSpec
from core.jobspec.resolved import parse
from core.store import jobs
from core.store.database.engine import read_session
from core.store.database.tables import DEFAULT_PROJECT
from tests.api.builders import SAFETENSORS

BODY: dict[str, Any] = {"name": "m", "network": {"architecture": "dm_wrn_28_10"}, "classes": 100}


def create(client: TestClient, **changes: Any) -> dict[str, Any]:
    response = client.post("/v1/models", json={**BODY, **changes})
    assert response.status_code == 201, response.text
    row: dict[str, Any] = response.json()
    return row


def import_spec(client: TestClient, engine: Engine, model_id: str) -> ImportModelSpec:
    """Upload a file; return the spec of the job that opens it."""
    row = client.put(f"/v1/models/{model_id}/content", content=SAFETENSORS).json()
    with read_session(engine) as session:
        spec = parse(jobs.get(session, DEFAULT_PROJECT, row["import_job_id"]).spec)
    assert isinstance(spec, ImportModelSpec)
    return spec


@pytest.mark.parametrize(
    ("architecture", "classes", "name"),
    [
        ("dm_wrn_28_10", 10, "cifar10"),
        ("dm_wrn_28_10", 100, "cifar100"),
        ("vit_b", 100, "cifar100"),
        ("resnet18", 100, "none"),
        ("imagenet_resnet18", 100, "imagenet"),
    ],
)
def test_normalization_that_nobody_named_is_assumed(
    architecture: str, classes: int, name: str, client: TestClient, engine: Engine
) -> None:
    row = create(client, network={"architecture": architecture}, classes=classes)
    assert row["description"]["network"]["normalization"] == name
    spec = import_spec(client, engine, row["id"])
    assert (spec.description.network.normalization, spec.normalization_assumed) == (name, True)


def test_a_named_normalization_is_the_callers(client: TestClient, engine: Engine) -> None:
    network = {"architecture": "dm_wrn_28_10", "normalization": "cifar10"}
    row = create(client, network=network)
    assert row["description"]["network"] == network
    spec = import_spec(client, engine, row["id"])
    assert (spec.description.network.normalization, spec.normalization_assumed) == (
        "cifar10",
        False,
    )


@pytest.mark.parametrize("name", [None, "state_dict_ema", "model.best", "."])
def test_state_dict_is_passed_to_the_import(
    name: str | None, client: TestClient, engine: Engine
) -> None:
    row = create(client, state_dict=name)
    assert row["state_dict"] == name
    assert client.get("/v1/models/m").json()["state_dict"] == name
    assert import_spec(client, engine, row["id"]).state_dict == name


@pytest.mark.parametrize("name", ["", "x" * 201, "a\0b", 3])
def test_state_dict_without_a_name_is_a_422(name: Any, client: TestClient) -> None:
    response = client.post("/v1/models", json={**BODY, "state_dict": name})
    assert response.status_code == 422
    assert "state_dict" in response.text
