"""Checkpoints of a job: what they restore, and why one is refused, entry by entry."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from core.distillation.run_state import RunState
from core.distillation.training import checkpoint
from core.errors import JobFailed
from core.jobspec.data import DIGITS
from core.jobspec.defaults import resolve
from tests.distillation.folders import training_spec

SPEC = resolve(training_spec(), DIGITS).model_dump_json()
Tensors = dict[str, Tensor]
Header = dict[str, str]


def networks() -> tuple[nn.Sequential, nn.Linear, torch.optim.SGD]:
    """Return student, heads, and an optimizer with a momentum for each parameter."""
    torch.manual_seed(0)
    student = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    heads = nn.Linear(2, 2)
    parameters = [*student.parameters(), *heads.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
    heads(student(torch.rand(4, 3))).square().sum().backward()
    optimizer.step()
    return student, heads, optimizer


def state_of(student: nn.Module) -> RunState:
    return RunState(
        step=5,
        saves=2,
        history=[{"epoch": 1, "loss": 0.5}],
        best_epoch=1,
        best_score=(0.25, 0.5),
        best={name: value + 1 for name, value in student.state_dict().items()},
        average={name: value.detach() * 2 for name, value in student.named_parameters()},
        averaged=5,
        seconds={"training": 1.5},
        joules={"training": None},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A complete checkpoint."""
    student, heads, optimizer = networks()
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(checkpoint.serialize(state_of(student), student, heads, optimizer, SPEC))
    return path


def change(path: Path, edit: Callable[[Tensors, Header], Any]) -> None:
    with safe_open(path, framework="pt") as file:
        names = file.keys()
        header = dict(file.metadata())
        tensors = {name: file.get_tensor(name) for name in names}
    edit(tensors, header)
    save_file(tensors, path, header)


def load(path: Path, spec: str = SPEC) -> tuple[RunState, nn.Module, nn.Module, torch.optim.SGD]:
    """Load into networks whose weights are zero."""
    student, heads, optimizer = networks()
    for tensor in [*student.state_dict().values(), *heads.state_dict().values()]:
        tensor.zero_()
    optimizer.state.clear()
    return checkpoint.load(path, student, heads, optimizer, spec), student, heads, optimizer


def failure(path: Path, spec: str = SPEC) -> tuple[str, str]:
    with pytest.raises(JobFailed) as caught:
        load(path, spec)
    return caught.value.code, caught.value.failure_class


INCOMPLETE = ("incomplete_checkpoint", "infrastructure")
FOREIGN = ("foreign_checkpoint", "infrastructure")


def test_checkpoint_restores_everything(path: Path) -> None:
    state, student, heads, optimizer = load(path)
    expected_student, expected_heads, expected_optimizer = networks()
    expected = state_of(expected_student)
    for name in ("step", "saves", "history", "best_epoch", "best_score", "averaged", "seconds"):
        assert getattr(state, name) == getattr(expected, name)
    for loaded, original in (
        (state.best, expected.best),
        (state.average, expected.average),
        (student.state_dict(), expected_student.state_dict()),
        (heads.state_dict(), expected_heads.state_dict()),
    ):
        assert loaded.keys() == original.keys()
        assert all(torch.equal(value, original[name]) for name, value in loaded.items())
    parameters = [*student.parameters(), *heads.parameters()]
    originals = [*expected_student.parameters(), *expected_heads.parameters()]
    for parameter, original_parameter in zip(parameters, originals, strict=True):
        momentum = optimizer.state[parameter]["momentum_buffer"]
        expected_momentum = expected_optimizer.state[original_parameter]["momentum_buffer"]
        assert torch.equal(momentum, expected_momentum)


@pytest.mark.parametrize(
    "name",
    [
        "student.0.weight",
        "student.1.running_var",
        "student.1.num_batches_tracked",
        "heads.bias",
        "best.0.bias",
        "best.1.running_mean",
        "average.0.weight",
        "momentum.0",
        "momentum.5",
    ],
)
@pytest.mark.parametrize("kind", ["missing", "of another shape", "of another type", "unknown"])
def test_tensor_that_does_not_fit_is_refused(name: str, kind: str, path: Path) -> None:
    def edit(tensors: Tensors, _: Header) -> None:
        if kind == "unknown":
            tensors[f"{name}x"] = tensors[name].clone()
        elif kind == "of another shape":
            tensors[name] = torch.cat([tensors[name].flatten()] * 2)
        elif kind == "of another type":
            tensors[name] = tensors[name].to(torch.float16)
        else:
            del tensors[name]

    change(path, edit)
    assert failure(path) == INCOMPLETE


@pytest.mark.parametrize(
    "changes",
    [
        # No best epoch, so no best weights; or the reverse. The same of the average.
        {"best_epoch": None},
        {"averaged": 0},
        # Seconds and joules belong together.
        {"joules": {}},
        {"seconds": {"training": 1.5, "exporting": 1.0}},
        {"unknown": 1},
    ],
    ids=str,
)
def test_contradictory_state_is_refused(changes: dict[str, Any], path: Path) -> None:
    def edit(_: Tensors, header: Header) -> None:
        header["state"] = json.dumps({**json.loads(header["state"]), **changes})

    change(path, edit)
    assert failure(path) == INCOMPLETE


@pytest.mark.parametrize("name", ["step", "saves", "history", "sums", "measured", "joules"])
def test_state_without_a_field_is_refused(name: str, path: Path) -> None:
    """It would silently get its initial value."""

    def edit(_: Tensors, header: Header) -> None:
        state = json.loads(header["state"])
        del state[name]
        header["state"] = json.dumps(state)

    change(path, edit)
    assert failure(path) == INCOMPLETE


def test_state_before_the_first_validation_has_no_best_weights(path: Path) -> None:
    def edit(tensors: Tensors, header: Header) -> None:
        state = json.loads(header["state"])
        header["state"] = json.dumps({**state, "best_epoch": None, "averaged": 0})
        for name in list(tensors):
            if name.startswith(("best.", "average.")):
                del tensors[name]

    change(path, edit)
    state = load(path)[0]
    assert (state.best, state.average) == ({}, {})


def test_checkpoint_of_another_job_is_foreign(path: Path) -> None:
    other = resolve(training_spec(seed=5), DIGITS).model_dump_json()
    assert failure(path, other) == FOREIGN


def test_checkpoint_of_another_format_is_foreign(path: Path) -> None:
    """Whatever else it has: its spec cannot be read."""
    change(path, lambda _, header: header.update(format="distill-checkpoint-1", spec="{}"))
    assert failure(path) == FOREIGN


@pytest.mark.parametrize("bytes_left", [0, 9, 400, -1])
def test_checkpoint_cut_short_is_incomplete(bytes_left: int, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:bytes_left])
    assert failure(path) == INCOMPLETE


def test_momentum_of_an_unknown_parameter_is_refused(path: Path) -> None:
    """Its name is the index of the parameter, of which there are six."""

    def edit(tensors: Tensors, header: Header) -> None:
        tensors["momentum.6"] = tensors.pop("momentum.5")
        names = json.loads(header["momentum"])
        renamed = ["momentum.6" if name == "momentum.5" else name for name in names]
        header["momentum"] = json.dumps(renamed)

    change(path, edit)
    assert failure(path) == INCOMPLETE


def test_job_without_an_optimizer_loads_its_networks_alone(tmp_path: Path) -> None:
    """An evaluation trains nothing."""
    student, heads, _ = networks()
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(checkpoint.serialize(RunState(step=0), student, heads, None, SPEC))
    assert checkpoint.load(path, student, heads, None, SPEC) == RunState(step=0)
