"""docs/paper: each table and figure of the paper is a sweep that this service could run."""

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from core.jobspec.data import DatasetDescription
from core.jobspec.network import ModelDescription
from core.store.database.engine import transaction
from core.store.database.fence import FencedSession
from core.store.database.tables import DEFAULT_PROJECT
from core.store.registry import datasets, models, uploaded_items
from distill_client import spec_file
from tests.builders import SHA256

SPECS = Path(__file__).parents[3] / "docs" / "paper"
TABLES, FIGURES = range(1, 9), (1, 3, 4, 5)
CIFAR = {"channels": 3, "height": 32, "width": 32}
IMAGENET = {"channels": 3, "height": 224, "width": 224}
DATASETS: dict[str, dict[str, Any]] = {
    "cifar10": {"classes": 10, "train_images": 50_000, "test_images": 10_000, **CIFAR},
    "cifar100": {"classes": 100, "train_images": 50_000, "test_images": 10_000, **CIFAR},
    "ddpm-cifar10": {"classes": 10, "train_images": 1_000_000, "test_images": 0, **CIFAR},
    "ddpm-cifar100": {"classes": 100, "train_images": 1_000_000, "test_images": 0, **CIFAR},
    "imagenet100": {
        "classes": 100,
        "train_images": 128_000,
        "test_images": 5_000,
        "source": "encoded",
        **IMAGENET,
    },
}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "pang2022-wrn-28-10": ("dm_wrn_28_10", {"classes": 10, **CIFAR}),
    "pang2022-wrn-28-10-cifar100": ("dm_wrn_28_10", {"classes": 100, **CIFAR}),
    "trades-resnet18": ("resnet18", {"classes": 10, **CIFAR}),
    "trades-resnet18-cifar100": ("resnet18", {"classes": 100, **CIFAR}),
    "trades-mobilenet-v2": ("mobilenet_v2", {"classes": 10, **CIFAR}),
    "trades-imagenet-resnet34": ("imagenet_resnet34", {"classes": 100, **IMAGENET}),
    "at-prm-vit-b": ("vit_b", {"classes": 10, **CIFAR}),
    "at-prm-deit-s": ("deit_s", {"classes": 10, **CIFAR}),
    "rslad-resnet18": ("resnet18", {"classes": 10, **CIFAR}),
    "adaad-resnet18": ("resnet18", {"classes": 10, **CIFAR}),
    "starship-resnet18": ("resnet18", {"classes": 10, **CIFAR}),
}


@pytest.fixture(autouse=True)
def data_and_teachers(engine: Engine) -> None:
    """Everything that the sweeps name: data sets and teachers."""
    with transaction(engine, FencedSession) as session:
        for name, facts in DATASETS.items():
            names = tuple(map(str, range(facts["classes"])))
            row = datasets.create(session, DEFAULT_PROJECT, name, "upload")
            description = DatasetDescription.model_validate(
                {"source": "packed", "class_names": names, **facts}
            )
            uploaded_items.mark_ready(
                session, row, description, object_key=name, size=1, sha256=SHA256
            )
        for name, (architecture, facts) in MODELS.items():
            network = {"network": {"architecture": architecture}, **facts}
            model = ModelDescription.model_validate(network)
            models.mark_ready(
                session,
                models.create(session, DEFAULT_PROJECT, name, model),
                model,
                object_key=name,
                size=1,
                sha256=SHA256,
            )


def variants(path: Path) -> list[list[str]]:
    """Return no changes, and each list of changes that the head of the file proposes."""
    lines = re.findall(r"^# [A-Za-z0-9-]+: (--set .*)$", path.read_text(), re.MULTILINE)
    return [[], *(re.findall(r"--set (\S+)", line) for line in lines)]


CASES = [(path, changes) for path in sorted(SPECS.glob("*.yaml")) for changes in variants(path)]


@pytest.mark.parametrize(
    ("path", "changes"),
    CASES,
    ids=lambda value: value.stem if isinstance(value, Path) else " ".join(value) or "-",
)
def test_spec_of_the_paper_can_run(client: TestClient, path: Path, changes: list[str]) -> None:
    response = client.post("/v1/sweeps?dry_run=true", json=spec_file.load(path, changes))
    assert response.status_code == 200, response.json()["detail"]
    assert len(response.json()["jobs"]) >= 2


def test_every_table_and_figure_with_numbers_has_a_spec() -> None:
    expected = {f"table{number}" for number in TABLES} | {f"figure{number}" for number in FIGURES}
    assert expected <= {path.stem for path in SPECS.glob("*.yaml")}


def test_variants_in_file_heads_are_parsed() -> None:
    assert len(variants(SPECS / "table1.yaml")) == 2
    assert variants(SPECS / "table2.yaml")[1] == [
        "base.student.architecture=mobilenet_v2",
        "base.teacher=trades-mobilenet-v2",
    ]
