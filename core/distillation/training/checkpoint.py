"""Everything needed to go on exactly where a job stopped <-> bytes: safetensors, with the numbers as JSON in its header.

No generator is saved: every draw is a function of the seed and the step (core.distillation.seeds).
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from core.distillation.run_state import RunState
from core.errors import DistillError, JobFailed
from core.jobspec.resolved import parse

FORMAT = "distill-checkpoint-2"


TENSORS = ("best", "average")
"""Parts of a state that are tensors; all others are JSON."""
_state: TypeAdapter[RunState] = TypeAdapter(RunState)


def serialize(
    state: RunState,
    student: nn.Module,
    heads: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    spec: str,
) -> bytes:
    """``spec`` is the job's spec as JSON: a checkpoint of another job is refused by it. No optimizer where nothing is trained."""
    tensors = _add_prefix("student", student.state_dict()) | _add_prefix("heads", heads.state_dict())
    tensors |= _add_prefix("best", state.best) | _add_prefix("average", state.average)
    for index, values in (optimizer.state_dict()["state"] if optimizer is not None else {}).items():
        if values.get("momentum_buffer") is not None:
            tensors[f"momentum.{index}"] = values["momentum_buffer"]
    numbers = {key: value for key, value in vars(state).items() if key not in TENSORS}
    buffers = [key for key in tensors if key.startswith("momentum.")]
    header = {
        "format": FORMAT,
        "spec": spec,
        "state": json.dumps(numbers, default=vars),
        "momentum": json.dumps(buffers),
    }
    return save({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, header)


def load(
    path: Path,
    student: nn.Module,
    heads: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    spec: str,
) -> RunState:
    """Put everything back in place.

    Raises JobFailed if the file is another job's, or anything in it is missing, unknown, or not of its type and shape.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
        if header.get("format") != FORMAT or parse(json.loads(header["spec"])) != parse(
            json.loads(spec)
        ):
            raise JobFailed(
                "foreign_checkpoint",
                "infrastructure",
                "The checkpoint was written by another job or version.",
            )
        state = _parse_state(header["state"])
        state.best, state.average = _select_prefix(tensors, "best"), _select_prefix(tensors, "average")
        _load_weights(student, _select_prefix(tensors, "student"))
        _load_weights(heads, _select_prefix(tensors, "heads"))
        _require_equal(
            {key for key in tensors if key.startswith("momentum.")},
            set(json.loads(header["momentum"])),
        )
        if optimizer is not None:
            _load_momentum(optimizer, _select_prefix(tensors, "momentum"))
        _require_same_tensors(state.best, student.state_dict() if state.best_epoch is not None else {})
        _require_same_tensors(state.average, dict(student.named_parameters()) if state.averaged else {})
    except (KeyError, IndexError, RuntimeError, ValueError, SafetensorError, DistillError) as error:
        raise JobFailed(
            "incomplete_checkpoint", "infrastructure", f"The checkpoint is incomplete: {error}."
        ) from error
    return state


def _parse_state(text: str) -> RunState:
    """A state without its tensors. A field that is missing would be taken for one at its beginning."""
    found = json.loads(text)
    _require_equal(set(found), {it.name for it in fields(RunState)} - set(TENSORS))
    state = _state.validate_json(text)
    _require_equal(set(state.seconds), set(state.joules))  # both are counted by the same phases
    return state


def _load_weights(network: nn.Module, values: dict[str, Tensor]) -> None:
    _require_same_tensors(
        values, network.state_dict()
    )  # a strict load alone would make up a missing num_batches_tracked
    network.load_state_dict(values)


def _require_same_tensors(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """By name, shape and type."""
    _require_equal(
        {(name, it.shape, it.dtype) for name, it in found.items()},
        {(name, it.shape, it.dtype) for name, it in wanted.items()},
    )


def _require_equal(found: set[Any], wanted: set[Any]) -> None:
    if found != wanted:
        raise ValueError(f"these are there, or should be: {sorted(map(str, found ^ wanted))[:5]}")


def _load_momentum(optimizer: torch.optim.Optimizer, buffers: dict[str, Tensor]) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for key, buffer in buffers.items():
        parameter = parameters[int(key)]
        _require_same_tensors({key: buffer}, {key: parameter})
        # Laid out in memory as its parameter is (channels last on CUDA), as a fused optimizer demands.
        optimizer.state[parameter]["momentum_buffer"] = torch.empty_like(
            parameter, requires_grad=False
        ).copy_(buffer)


def _add_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{key}": value for key, value in tensors.items()}


def _select_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(f"{prefix}."): value
        for key, value in tensors.items()
        if key.startswith(f"{prefix}.")
    }
