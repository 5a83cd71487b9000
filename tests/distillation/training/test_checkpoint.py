"""Checkpoints of a job: why one is refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.distillation.run_state import RunState
from core.distillation.training import checkpoint
from core.errors import JobFailed
from tests.builders import distillation_spec


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A checkpoint of a job with seed 0."""
    path = tmp_path / "checkpoint.safetensors"
    spec = distillation_spec().model_dump_json()
    empty = torch.nn.Module()
    path.write_bytes(
        checkpoint.serialize(RunState(step=7), torch.nn.Linear(2, 2), empty, None, spec)
    )
    return path


def failure(path: Path, seed: int = 0) -> str:
    spec = distillation_spec(seed=seed).model_dump_json()
    with pytest.raises(JobFailed) as caught:
        checkpoint.load(path, torch.nn.Linear(2, 2), torch.nn.Module(), None, spec)
    assert caught.value.failure_class == "infrastructure"
    return caught.value.code


def test_checkpoint_of_another_job_is_foreign(path: Path) -> None:
    assert failure(path, seed=1) == "foreign_checkpoint"


def test_checkpoint_of_another_format_is_foreign(path: Path) -> None:
    save_file(load_file(path), path, {"format": "distill-checkpoint-1", "spec": "{}"})
    assert failure(path) == "foreign_checkpoint"


@pytest.mark.parametrize("bytes_left", [0, 9, 400, -1])
def test_checkpoint_cut_short_is_incomplete(bytes_left: int, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:bytes_left])
    assert failure(path) == "incomplete_checkpoint"
