"""The examples that REST serves are the files of docs/examples and docs/paper."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator

from api.submission.examples import EXAMPLES, FOLDER, PAPER
from distill_client import spec_file


@pytest.fixture
def examples(client: TestClient) -> dict[str, Any]:
    rows = client.get("/v1/examples", params={"limit": 100}).json()["data"]
    return {row["name"]: row for row in rows}


@pytest.mark.parametrize(("folder", "names"), [("examples", EXAMPLES), ("paper", PAPER)])
def test_every_file_is_an_example(folder: str, names: tuple[str, ...]) -> None:
    assert {path.stem for path in (FOLDER / folder).glob("*.yaml")} == set(names)


def test_spec_is_what_the_command_would_submit(examples: dict[str, Any]) -> None:
    for name, example in examples.items():
        folder = "paper" if example["group"] == "paper" else "examples"
        assert example["spec"] == spec_file.load(Path(FOLDER) / folder / f"{name}.yaml", [])
    cifar = examples["cifar10-starship"]["spec"]
    assert cifar["schedule"]["weight_decay"] == 5e-4  # a text in YAML 1.1


def test_first_example_can_be_submitted_at_once(
    client: TestClient, examples: dict[str, Any]
) -> None:
    first = next(iter(examples.values()))
    assert first["endpoint"] == "jobs"
    assert client.post("/v1/jobs", params={"dry_run": True}, json=first["spec"]).is_success


def test_descriptions_are_sentences_without_commands(examples: dict[str, Any]) -> None:
    for example in examples.values():
        assert example["description"].endswith(".")
        assert "distill " not in example["description"].replace("distills ", "")


def test_sweep_has_a_job_for_each_line_of_its_table(examples: dict[str, Any]) -> None:
    table = examples["table1"]
    assert table["endpoint"] == "sweeps"
    assert len(table["jobs"]) == 16  # eight methods, two students; not three seeds
    last = table["jobs"][-1]
    assert last["line"] == "Ada-STARSHIP, mobilenet_v2"
    assert last["spec"]["name"] == "Table 1: Ada-STARSHIP, mobilenet_v2"
    assert last["spec"]["method"] == {"name": "starship", "adaptive": True}
    assert "seed" not in last["spec"]


def test_schemas_accept_the_examples(client: TestClient, examples: dict[str, Any]) -> None:
    for endpoint, name in (("jobs", "job"), ("sweeps", "sweep")):
        response = client.get(f"/v1/schemas/{name}")
        assert response.headers["Content-Type"] == "application/schema+json"
        validator = Draft202012Validator(response.json())
        specs = [row["spec"] for row in examples.values() if row["endpoint"] == endpoint]
        assert len(specs) >= 4
        for spec in specs:
            assert list(validator.iter_errors(spec)) == []
            assert list(validator.iter_errors({**spec, "unknown": 1}))
