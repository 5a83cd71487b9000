"""Checkpoints of version 0.1, whose results have other names."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from core.distillation.run_state import MeasurementInProgress, RunState
from core.distillation.training import checkpoint
from core.job_folder import JobFolder, Measured
from core.jobspec.data import DIGITS
from core.jobspec.defaults import resolve
from tests.distillation.folders import (
    StopAfter,
    assert_same_results,
    create_job_folder,
    newest_checkpoint,
    run_job,
    training_spec,
)

EVALUATION: dict[str, Any] = {
    "attacks": [{"name": "pgd", "steps": 3}, {"name": "pgd", "steps": 3, "radius": 8 / 255}],
    "analyses": [{"name": "calibration"}],
    "limit": 100,
    "batch_size": 50,
}
FORMER_NAMES = {
    "clean": "clean",
    "pgd-3@linf:0.15": "pgd",
    "pgd-3@linf:8/255": "pgd_2",
    "calibration": "calibration",
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def save_as_before(path: Path, state: dict[str, Any], header: dict[str, str]) -> None:
    """Save a checkpoint as version 0.1 did, with this state and the tensors that it has."""
    state = {name: value for name, value in state.items() if name not in {"first_loss", "warnings"}}
    with safe_open(path, framework="pt") as file:
        names = file.keys()
        tensors = {name: file.get_tensor(name) for name in names}
    changes = {"format": "distill-checkpoint-2", "state": json.dumps(state)}
    save_file(tensors, path, {**header, **changes})


def read_header(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


def load_former(path: Path, measuring: str) -> RunState:
    """Load a state of version 0.1 that has two results, and this measure in progress."""
    empty = nn.Module()
    spec = resolve(training_spec(evaluation=EVALUATION), DIGITS).model_dump_json()
    state = RunState(
        step=7,
        measured={"best": {"clean": {"value": 0.5}, "pgd": {"value": 0.25}, "spectra": {}}},
        measuring=MeasurementInProgress("best", measuring, 1.5, {"end": 50}),
    )
    path.write_bytes(checkpoint.serialize(state, empty, empty, None, spec))
    header = read_header(path)
    save_as_before(path, json.loads(header["state"]), header)
    return checkpoint.load(path, empty, empty, None, spec)


def test_accuracies_get_todays_keys(tmp_path: Path) -> None:
    """Analyses are made again: a report needs more of them today."""
    state = load_former(tmp_path / "checkpoint.safetensors", "pgd_2")
    assert state.measured == {"best": {"clean": {"value": 0.5}, "pgd-3@linf:0.15": {"value": 0.25}}}
    assert state.measuring == MeasurementInProgress("best", "pgd-3@linf:8/255", 1.5, {"end": 50})


def test_analysis_in_progress_begins_again(tmp_path: Path) -> None:
    state = load_former(tmp_path / "checkpoint.safetensors", "radius_sweep")
    assert state.measuring is None


def with_former_names(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state with the names that its results had in version 0.1."""
    measured = {
        network: {FORMER_NAMES[key]: entry for key, entry in entries.items()}
        for network, entries in state["measured"].items()
    }
    measuring = {**state["measuring"], "name": FORMER_NAMES[state["measuring"]["name"]]}
    return {**state, "measured": measured, "measuring": measuring}


def measured_names(folder: JobFolder) -> list[tuple[str, str]]:
    events, _ = folder.read_events()
    return [(event.network, event.name) for event in events if isinstance(event, Measured)]


def test_former_job_resumes_inside_its_evaluation(tmp_path: Path) -> None:
    """The second attack goes on where it was, and the results are those of a job in one go."""
    spec = training_spec(evaluation=EVALUATION)
    uninterrupted = create_job_folder(tmp_path / "uninterrupted", spec)
    run_job(uninterrupted)
    first = create_job_folder(tmp_path / "first", spec)
    # 8 steps, 2 validations, and batches of clean images, of PGD, and of the second PGD.
    assert run_job(first, StopAfter(17)).outcome == "stopped"
    path = newest_checkpoint(first)
    header = read_header(path)
    state = with_former_names(json.loads(header["state"]))
    assert list(state["measured"]["best"]) == ["clean", "pgd"]
    assert state["measuring"]["name"] == "pgd_2"
    save_as_before(path, state, header)

    second = create_job_folder(tmp_path / "second", spec)
    second.checkpoint.write_bytes(path.read_bytes())
    assert run_job(second).outcome == "succeeded"
    assert_same_results(uninterrupted, second)
    of_best = [name for network, name in measured_names(second) if network == "best"]
    assert of_best[:2] == ["pgd-3@linf:8/255", "ece"]
    assert not {"clean", "pgd-3@linf:0.15", "pgd_2"} & set(of_best)
