"""Which jobs take the same time, and which need the same memory."""

from typing import Any

import pytest

from core.jobspec.cost.memory import MemoryRequest, training_request
from core.jobspec.cost.settings import settings_sha256
from core.jobspec.data import DIGITS
from core.jobspec.network import SmallCnn
from tests.builders import distillation_spec, model_description

TEACHER = model_description()
SCHEDULE = {"epochs": 4, "batch_size": 64, "learning_rate": 0.1}


def key(**changes: Any) -> str:
    return training_request(distillation_spec(**changes), DIGITS, TEACHER).key()


def sha256(dataset_id: str = "ds_digits", **changes: Any) -> str:
    spec = distillation_spec(**changes)
    return settings_sha256(spec, dataset_id, spec.student, TEACHER.network)


NAMES: list[dict[str, Any]] = [
    {"name": "another"},
    {"metadata": {"a": "b"}},
    {"seed": 7},
    {"teacher": "another"},
    {"start_from": "another"},
    {"license": "mit"},
]


@pytest.mark.parametrize("changes", NAMES, ids=str)
def test_names_and_seeds_cost_nothing(changes: dict[str, Any]) -> None:
    assert key(**changes) == key()
    assert sha256(**changes) == sha256()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"schedule": SCHEDULE}, {"schedule": {**SCHEDULE, "epochs": 9}}),
        ({"schedule": SCHEDULE}, {"schedule": {**SCHEDULE, "learning_rate": 0.2}}),
        ({}, {"adversary": {"name": "pgd", "radius": 0.2, "steps": 7}}),
        (
            {"awp": {"begin": 1}, "schedule": SCHEDULE},
            {"awp": {"begin": 3}, "schedule": SCHEDULE},
        ),
    ],
    ids=str,
)
def test_time_depends_on_length_and_memory_does_not(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    assert key(**first) == key(**second)
    assert sha256(**first) != sha256(**second)


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": {**SCHEDULE, "batch_size": 32}},
        {"schedule": {**SCHEDULE, "precision": "bf16"}},
        {"method": {"name": "starship"}},
        {"averaging": {"name": "ema"}},
        {"student": {"architecture": "small_cnn", "width": 5}},
        {"evaluation": {"attacks": [], "batch_size": 32}},
    ],
    ids=str,
)
def test_memory_depends_on_networks_and_batches(changes: dict[str, Any]) -> None:
    assert key(**changes) != key()


def test_teacher_and_data_set_count() -> None:
    spec = distillation_spec()
    other = model_description(network=SmallCnn(width=9))
    assert training_request(spec, DIGITS, other).key() != key()
    assert settings_sha256(spec, "ds_digits", spec.student, other.network) != sha256()
    assert sha256("ds_other") != sha256()


def test_a_request_holds_no_names() -> None:
    """It is stored without a project, and read by workers."""
    request = training_request(
        distillation_spec(name="secret", teacher="secret", metadata={"secret": "secret"}),
        DIGITS,
        TEACHER,
    )
    assert "secret" not in request.model_dump_json()
    assert MemoryRequest.model_validate(request.model_dump(mode="json")) == request
