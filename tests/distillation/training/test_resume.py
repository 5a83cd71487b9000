"""A job that was stopped and went on gives the same bits as one that was not (CPU, tolerance 0)."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from core.distillation.models import from_description
from core.distillation.run_state import RunState
from core.distillation.training import checkpoint
from core.distillation.training.optimization import make_optimizer
from core.errors import JobFailed
from core.job_folder import FileReady, JobFolder, Measured, Metrics
from tests.distillation.folders import TEACHER, distillation, laid_out, run

STEPS_PER_EPOCH = 4
"""270 of 300 images in batches of 64."""


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    folder = laid_out(tmp_path_factory.mktemp("undisturbed") / "job", distillation())
    assert run(folder).outcome == "succeeded"
    return folder


class StopAfter:
    """Says stop from the ``count``-th time on that it is asked."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def newest_checkpoint(folder: JobFolder) -> Path:
    events, _ = folder.read_events()
    ready = [
        event for event in events if isinstance(event, FileReady) and event.kind == "checkpoint"
    ]
    return folder.output / ready[-1].name


def go_on(path: Path, stopped: JobFolder) -> JobFolder:
    """A second attempt in a folder of its own, as another worker would lay it out."""
    folder = laid_out(path, distillation())
    folder.checkpoint.write_bytes(newest_checkpoint(stopped).read_bytes())
    assert run(folder).outcome == "succeeded"
    return folder


def results(folder: JobFolder) -> dict[str, Any]:
    report = json.loads((folder.output / "report.json").read_text())
    timeless = {
        role: {name: {key: it[key] for key in it if key != "seconds"} for name, it in found.items()}
        for role, found in report["results"].items()
    }
    return {
        "results": timeless,
        "history": report["history"],
        "best_epoch": report["network"]["best_epoch"],
    }


def curves(*folders: JobFolder) -> dict[int, dict[str, float]]:
    """Metrics by step; what a later attempt says of a step replaces what an earlier one said."""
    events = [event for folder in folders for event in folder.read_events()[0]]
    return {event.step: event.values for event in events if isinstance(event, Metrics)}


def assert_same(one: JobFolder, other: JobFolder) -> None:
    for name in ("best.safetensors", "last.safetensors"):
        expected, found = load_file(one.output / name), load_file(other.output / name)
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected), name
    optimizers = [load_file(newest_checkpoint(folder)) for folder in (one, other)]
    assert optimizers[0].keys() == optimizers[1].keys()
    assert all(torch.equal(optimizers[0][key], optimizers[1][key]) for key in optimizers[0])
    assert results(one) == results(other)


# The stop is asked for before each step (4 an epoch) and before each epoch is judged, then before each attacked batch.
@pytest.mark.parametrize(
    ("asked", "where"),
    [
        (1, "at the first step"),
        (3, "inside an epoch"),
        (4, "at an epoch's end"),
        (7, "inside the second epoch"),
        (13, "inside evaluation"),
    ],
)
def test_a_stopped_job_goes_on_to_the_same_bits(
    asked: int, where: str, undisturbed: JobFolder, tmp_path: Path
) -> None:
    first = laid_out(tmp_path / "first", distillation())
    assert run(first, StopAfter(asked)).outcome == "stopped", where
    second = go_on(tmp_path / "second", first)
    assert_same(undisturbed, second)
    assert curves(first, second) == curves(undisturbed)


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": {"epochs": 2, "batch_size": 64, "checkpoint_seconds": 0, "momentum": 0.0}},
        {
            "schedule": {
                "epochs": 2,
                "batch_size": 64,
                "checkpoint_seconds": 0,
                "momentum": 0.0,
                "decay": {"name": "cosine"},
            }
        },
        {
            "method": {
                "name": "starship",
                "covariance": {"weight": 0.0, "heads": {"teacher": "trained"}},
            }
        },
    ],
    ids=["momentum by the cycle alone", "no momentum", "a head without a gradient"],
)
def test_a_job_with_parameters_that_have_no_momentum_goes_on_too(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    spec = distillation(**changes)
    whole, first = laid_out(tmp_path / "whole", spec), laid_out(tmp_path / "first", spec)
    run(whole)
    run(first, StopAfter(3))
    second = laid_out(tmp_path / "second", spec)
    second.checkpoint.write_bytes(newest_checkpoint(first).read_bytes())
    run(second)
    assert_same(whole, second)


def test_results_measured_before_a_stop_inside_evaluation_are_not_measured_again(
    tmp_path: Path,
) -> None:
    first = laid_out(tmp_path / "first", distillation())
    run(first, StopAfter(13))
    second = go_on(tmp_path / "second", first)
    said = [
        {
            (event.network, event.name)
            for event in folder.read_events()[0]
            if isinstance(event, Measured)
        }
        for folder in (first, second)
    ]
    assert said[0]
    assert not said[0] & said[1]


KILLED_WHILE_SAVING = """
import os, signal, sys
from pathlib import Path
import core.job_folder
from tests.distillation.folders import run

whole, saves = core.job_folder.write_whole, 0

def die_in_the_middle(path, data):
    global saves
    if "checkpoint" in path.name:
        saves += 1
        if saves == 6:
            path.with_name(f".{path.name}.{os.getpid()}.part").write_bytes(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
    whole(path, data)

core.job_folder.write_whole = die_in_the_middle
run(core.job_folder.JobFolder(Path(sys.argv[1])))
"""


def test_a_job_killed_in_the_middle_of_a_save_goes_on_from_the_save_before(
    undisturbed: JobFolder, tmp_path: Path
) -> None:
    first = laid_out(tmp_path / "first", distillation())
    command = [sys.executable, "-c", KILLED_WHILE_SAVING, str(first.path)]
    environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    assert subprocess.run(command, env=environment, check=False).returncode == -9
    assert list(first.output.glob(".*.part")), "the save was cut off"
    assert_same(undisturbed, go_on(tmp_path / "second", first))


def test_the_checkpoint_of_another_spec_is_refused(tmp_path: Path) -> None:
    first = laid_out(tmp_path / "first", distillation())
    run(first, StopAfter(2))
    other = laid_out(tmp_path / "other", distillation(seed=1))
    other.checkpoint.write_bytes(newest_checkpoint(first).read_bytes())
    with pytest.raises(JobFailed, match="another job"):
        run(other)


def test_momentum_is_laid_out_in_memory_as_its_parameter_is(tmp_path: Path) -> None:
    """Channels last on CUDA, where a fused optimizer takes nothing else."""
    student = from_description(TEACHER).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(distillation().schedule, student.parameters())
    student(torch.rand(2, 1, 8, 8)).sum().backward()
    optimizer.step()
    path = tmp_path / "checkpoint.safetensors"
    spec = distillation().model_dump_json()
    path.write_bytes(checkpoint.serialize(RunState(), student, torch.nn.Identity(), optimizer, spec))
    checkpoint.load(path, student, torch.nn.Identity(), optimizer, spec)
    strides = {
        name: (it.stride(), optimizer.state[it]["momentum_buffer"].stride())
        for name, it in student.named_parameters()
    }
    assert all(one == other for one, other in strides.values()), strides
