"""A resumed job gives the same bits as an uninterrupted one (CPU, tolerance 0)."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from core.distillation.models import from_description
from core.distillation.run_state import RunState
from core.distillation.training import checkpoint
from core.distillation.training.optimization import make_optimizer
from core.errors import JobFailed
from core.job_folder import JobFolder, Measured, Metrics
from core.jobspec.data import DIGITS
from core.jobspec.defaults import resolve
from tests.distillation.folders import (
    TEACHER,
    StopAfter,
    assert_same_results,
    create_job_folder,
    distillation_spec,
    newest_checkpoint,
    run_job,
    training_spec,
)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    path = tmp_path_factory.mktemp("uninterrupted") / "job"
    folder = create_job_folder(path, distillation_spec())
    assert run_job(folder).outcome == "succeeded"
    return folder


def resume_in_new_folder(path: Path, stopped: JobFolder) -> JobFolder:
    """Run a second attempt in a folder of its own, as another worker would."""
    folder = create_job_folder(path, distillation_spec())
    folder.checkpoint.write_bytes(newest_checkpoint(stopped).read_bytes())
    assert run_job(folder).outcome == "succeeded"
    return folder


def metrics_by_step(*folders: JobFolder) -> dict[int, dict[str, float]]:
    """Return metrics by step. Those of a later attempt replace those of an earlier one."""
    events = [event for folder in folders for event in folder.read_events()[0]]
    return {event.step: event.values for event in events if isinstance(event, Metrics)}


# ``stop`` is called before each step (there are 4 per epoch: 270 images in batches of 64), before
# each validation, and later after each attacked batch.
@pytest.mark.parametrize(
    ("calls", "where"),
    [
        (1, "at the first step"),
        (3, "inside an epoch"),
        (4, "at an epoch's end"),
        (7, "inside the second epoch"),
        (13, "inside evaluation"),
    ],
)
def test_a_resumed_job_gives_the_same_bits(
    calls: int, where: str, uninterrupted: JobFolder, tmp_path: Path
) -> None:
    first = create_job_folder(tmp_path / "first", distillation_spec())
    assert run_job(first, StopAfter(calls)).outcome == "stopped", where
    second = resume_in_new_folder(tmp_path / "second", first)
    assert_same_results(uninterrupted, second)
    assert metrics_by_step(first, second) == metrics_by_step(uninterrupted)


SHORT: dict[str, Any] = {"epochs": 2, "batch_size": 64, "checkpoint_seconds": 0}


@pytest.mark.parametrize(
    "changes",
    [
        {
            "method": {"name": "score"},
            "schedule": {
                **SHORT,
                "nesterov": True,
                "batch_norm_weight_decay": 0.0,
                "decay": {"name": "one_cycle", "rise": 0.5, "update": "epoch"},
            },
        },
        {
            "method": {"name": "trades", "statistics_passes": True},
            "schedule": {**SHORT, "max_gradient_norm": 0.5, "decay": {"name": "triangular"}},
        },
    ],
    ids=["score", "trades"],
)
def test_a_job_with_an_attack_in_train_mode_resumes(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    """And two groups of weights, clipped gradients, momentum that changes with the rate."""
    mode = "train_untracked" if changes["method"]["name"] == "score" else "train"
    adversary = {"name": "pgd", "radius": 0.15, "steps": 2, "student_mode": mode}
    spec = training_spec(adversary=adversary, **changes)
    uninterrupted = create_job_folder(tmp_path / "uninterrupted", spec)
    first = create_job_folder(tmp_path / "first", spec)
    run_job(uninterrupted)
    assert run_job(first, StopAfter(7)).outcome == "stopped"
    second = create_job_folder(tmp_path / "second", spec)
    second.checkpoint.write_bytes(newest_checkpoint(first).read_bytes())
    assert run_job(second).outcome == "succeeded"
    assert_same_results(uninterrupted, second)


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
def test_a_job_without_all_momentum_buffers_resumes(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    """Some parameters, or all, have no momentum buffer in the checkpoint."""
    spec = distillation_spec(**changes)
    uninterrupted = create_job_folder(tmp_path / "uninterrupted", spec)
    first = create_job_folder(tmp_path / "first", spec)
    run_job(uninterrupted)
    run_job(first, StopAfter(3))
    second = create_job_folder(tmp_path / "second", spec)
    second.checkpoint.write_bytes(newest_checkpoint(first).read_bytes())
    run_job(second)
    assert_same_results(uninterrupted, second)


def measured_names(folder: JobFolder) -> set[tuple[str, str]]:
    events, _ = folder.read_events()
    return {(event.network, event.name) for event in events if isinstance(event, Measured)}


def test_complete_results_are_not_measured_again(tmp_path: Path) -> None:
    """Those of an evaluation that was stopped before its end."""
    first = create_job_folder(tmp_path / "first", distillation_spec())
    run_job(first, StopAfter(13))
    second = resume_in_new_folder(tmp_path / "second", first)
    before = measured_names(first)
    assert before
    assert not before & measured_names(second)


KILLED_WHILE_SAVING = """
import os, signal, sys
from pathlib import Path
import core.job_folder
from tests.distillation.folders import run_job

write_atomically = core.job_folder.write_atomically
saves = 0

def write_until_killed(path, data):
    global saves
    if "checkpoint" in path.name:
        saves += 1
        if saves == 6:
            path.with_name(f".{path.name}.{os.getpid()}.part").write_bytes(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
    write_atomically(path, data)

core.job_folder.write_atomically = write_until_killed
run_job(core.job_folder.JobFolder(Path(sys.argv[1])))
"""


def test_a_job_killed_while_saving_resumes(uninterrupted: JobFolder, tmp_path: Path) -> None:
    """It resumes from the checkpoint before the one that was cut off."""
    first = create_job_folder(tmp_path / "first", distillation_spec())
    command = [sys.executable, "-c", KILLED_WHILE_SAVING, str(first.path)]
    environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    assert subprocess.run(command, env=environment, check=False).returncode == -9
    assert list(first.output.glob(".*.part")), "the save was cut off"
    assert_same_results(uninterrupted, resume_in_new_folder(tmp_path / "second", first))


def test_the_checkpoint_of_another_spec_is_refused(tmp_path: Path) -> None:
    first = create_job_folder(tmp_path / "first", distillation_spec())
    run_job(first, StopAfter(2))
    other = create_job_folder(tmp_path / "other", distillation_spec(seed=1))
    other.checkpoint.write_bytes(newest_checkpoint(first).read_bytes())
    with pytest.raises(JobFailed, match="another job"):
        run_job(other)


def test_checkpoint_from_before_a_rename_is_of_the_same_job(tmp_path: Path) -> None:
    """`normalization` was `normalisation`, and `normalize` was `normalise`."""
    spec = resolve(distillation_spec(), DIGITS).model_dump_json()
    former = spec.replace('"normalization"', '"normalisation"')
    former = former.replace('"normalize"', '"normalise"')
    assert former.count("normalis") == 2
    empty = torch.nn.Module()
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(checkpoint.serialize(RunState(step=7), empty, empty, None, former))
    assert checkpoint.load(path, empty, empty, None, spec).step == 7


def test_momentum_has_the_memory_layout_of_its_parameter(tmp_path: Path) -> None:
    """A fused optimizer requires it; on CUDA it is channels last."""
    student = from_description(TEACHER).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(distillation_spec().schedule, student.parameters())
    student(torch.rand(2, 1, 8, 8)).sum().backward()
    optimizer.step()
    path = tmp_path / "checkpoint.safetensors"
    spec = resolve(distillation_spec(), DIGITS).model_dump_json()
    heads = torch.nn.Identity()
    path.write_bytes(checkpoint.serialize(RunState(), student, heads, optimizer, spec))
    checkpoint.load(path, student, heads, optimizer, spec)
    strides = {
        name: (parameter.stride(), optimizer.state[parameter]["momentum_buffer"].stride())
        for name, parameter in student.named_parameters()
    }
    assert all(one == other for one, other in strides.values()), strides
