"""Checkpoints of a job: everything from which it resumes exactly where it stopped.

A checkpoint is one safetensors file. Weights and momentum buffers are its tensors; everything else
is JSON in its header. No random generator is saved: every draw is a function of the seed and the
step (core.distillation.seeds).
"""

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from core.distillation.run_state import RunState
from core.errors import DistillError, JobFailed
from core.jobspec.job import ImportSpec
from core.jobspec.resolved import JobSpec, ResolvedSpec, parse
from core.reportspec import former_names

FORMAT = "distill-checkpoint-3"
FORMER_FORMATS = {"distill-checkpoint-2": {"first_loss", "warnings"}}
"""Formats of earlier versions, and the fields of a RunState that they lack."""

TENSOR_FIELDS = ("best", "average")
"""Fields of a RunState that are stored as tensors; the others are stored as JSON."""
_state_adapter: TypeAdapter[RunState] = TypeAdapter(RunState)


def serialize(
    state: RunState,
    student: nn.Module,
    heads: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    spec: str,
) -> bytes:
    """Return the bytes of a checkpoint.

    ``spec`` is the job's spec as JSON: ``load`` refuses the checkpoint of another job by it.
    ``optimizer`` is None for a job that trains nothing.
    """
    momentum = _momentum_buffers(optimizer) if optimizer is not None else {}
    tensors = {
        **_add_prefix("student", student.state_dict()),
        **_add_prefix("heads", heads.state_dict()),
        **_add_prefix("best", state.best),
        **_add_prefix("average", state.average),
        **_add_prefix("momentum", momentum),
    }
    numbers = {name: value for name, value in vars(state).items() if name not in TENSOR_FIELDS}
    header = {
        "format": FORMAT,
        "spec": spec,
        "state": json.dumps(numbers, default=vars),
        "momentum": json.dumps(list(_add_prefix("momentum", momentum))),
    }
    on_cpu = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return save(on_cpu, header)


def load(
    path: Path,
    student: nn.Module,
    heads: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    spec: str,
) -> RunState:
    """Load weights and momentum into student, heads and optimizer, and return the job's state.

    Raises JobFailed: foreign_checkpoint if it belongs to another job, incomplete_checkpoint if
    anything in it is missing, unknown, or of another type or shape.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
        job = _require_same_job(header, spec)
        state = _parse_state(header["state"], FORMER_FORMATS.get(header["format"], set()))
        if header["format"] in FORMER_FORMATS and not isinstance(job, ImportSpec):
            _upgrade_results(state, job)
        state.best = _select_prefix("best", tensors)
        state.average = _select_prefix("average", tensors)
        momentum = _select_prefix("momentum", tensors)
        _require_equal(set(_add_prefix("momentum", momentum)), set(json.loads(header["momentum"])))
        _load_weights(student, _select_prefix("student", tensors))
        _load_weights(heads, _select_prefix("heads", tensors))
        if optimizer is not None:
            _load_momentum(optimizer, momentum)
        best = student.state_dict() if state.best_epoch is not None else {}
        _require_same_tensors(state.best, best)
        average = dict(student.named_parameters()) if state.averaged else {}
        _require_same_tensors(state.average, average)
    except JobFailed:
        raise  # another job's checkpoint may well be complete
    except (KeyError, IndexError, RuntimeError, ValueError, SafetensorError, DistillError) as error:
        raise JobFailed(
            "incomplete_checkpoint", "infrastructure", f"The checkpoint is incomplete: {error}."
        ) from error
    return state


def _require_same_job(header: dict[str, str], spec: str) -> JobSpec:
    """Return the job's spec. Raises JobFailed if the checkpoint belongs to another job."""
    job = parse(json.loads(spec))
    is_known = header.get("format") in {FORMAT, *FORMER_FORMATS}
    if not is_known or parse(json.loads(header["spec"])) != job:
        raise JobFailed(
            "foreign_checkpoint",
            "infrastructure",
            "The checkpoint was written by another job or version.",
        )
    return job


def _upgrade_results(state: RunState, job: ResolvedSpec) -> None:
    """Give accuracies of a former format today's keys.

    Findings of analyses are dropped, and so made again: today's reports need more of them.
    """
    keys = former_names.accuracy_keys(job.evaluation.attacks)
    state.measured = {
        network: {keys[name]: entry for name, entry in entries.items() if name in keys}
        for network, entries in state.measured.items()
    }
    if state.measuring is not None:
        key = keys.get(state.measuring.name)
        state.measuring = None if key is None else replace(state.measuring, name=key)


def _parse_state(text: str, lacking: set[str]) -> RunState:
    """Parse a state without its tensors and the fields that its format is ``lacking``.

    Any other missing field raises ValueError: it would silently get its initial value.
    """
    names = {field.name for field in fields(RunState)}
    _require_equal(set(json.loads(text)), names - set(TENSOR_FIELDS) - lacking)
    state = _state_adapter.validate_json(text)
    # Seconds and joules are always recorded together, phase by phase.
    _require_equal(set(state.seconds), set(state.joules))
    return state


def _load_weights(network: nn.Module, weights: dict[str, Tensor]) -> None:
    # Even a strict load_state_dict accepts a state without num_batches_tracked.
    _require_same_tensors(weights, network.state_dict())
    network.load_state_dict(weights)


def _require_same_tensors(actual: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Compare names, shapes and types."""
    _require_equal(_tensor_types(actual), _tensor_types(expected))


def _tensor_types(tensors: Mapping[str, Tensor]) -> set[tuple[str, torch.Size, torch.dtype]]:
    return {(name, tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def _require_equal(actual: set[Any], expected: set[Any]) -> None:
    if actual != expected:
        differences = sorted(map(str, actual ^ expected))[:5]
        raise ValueError(f"missing or unknown entries {differences}")


def _momentum_buffers(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return momentum buffers by the index of their parameter; some parameters have none."""
    return {
        str(index): values["momentum_buffer"]
        for index, values in optimizer.state_dict()["state"].items()
        if values.get("momentum_buffer") is not None
    }


def _load_momentum(optimizer: torch.optim.Optimizer, buffers: dict[str, Tensor]) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, buffer in buffers.items():
        parameter = parameters[int(index)]
        _require_same_tensors({index: buffer}, {index: parameter})
        # A fused optimizer requires the parameter's memory layout: channels last on CUDA.
        momentum = torch.empty_like(parameter, requires_grad=False)
        optimizer.state[parameter]["momentum_buffer"] = momentum.copy_(buffer)


def _add_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _select_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of one prefix, without it."""
    return {
        name.removeprefix(f"{prefix}."): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}.")
    }
