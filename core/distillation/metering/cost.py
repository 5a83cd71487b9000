"""What a job has cost on this machine, for the estimates of later jobs."""

import re
from typing import Any

import torch

from core.distillation.run_state import RunState
from core.hardware import processor_name


def measured_cost(state: RunState, device: torch.device) -> dict[str, Any]:
    """Return device, seconds by phase, and seconds by kind of measure, as JSON.

    Where the last epoch is the best, its student's results are copies, and cost nothing.
    """
    is_best_last = state.best_epoch == len(state.history)
    roles = [role for role in state.measured if not (role == "last" and is_best_last)]
    seconds: dict[str, float] = {}
    for role in roles:
        for key, entry in state.measured[role].items():
            kind = kind_of_measure(key)
            seconds[kind] = seconds.get(kind, 0.0) + entry["seconds"]
    return {
        "device": device.type,
        "device_name": device_name(device),
        "seconds": {phase: round(value, 3) for phase, value in state.seconds.items()},
        "networks": len(roles),
        "measures": seconds,
    }


def kind_of_measure(key: str) -> str:
    """Return the name of a measure's settings from its key: pgd of pgd-20@linf:8/255."""
    return re.split("[-:@#]", key, maxsplit=1)[0]


def device_name(device: torch.device) -> str:
    """Return the model of the GPU, or that of the processor with its number of cores."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor_name()
