"""The report of a finished job: what was done, on what, with which result, and what makes it less than standard."""

import platform
from importlib.metadata import version
from typing import Any

import torch

from core.distillation.checkpoint import State
from core.spec.data import DatasetDescription
from core.spec.job import TrainingJob

SCHEMA = "distill-report-1"
PACKAGES = ("distill", "torch", "torchvision", "numpy", "safetensors")


def report(
    spec: TrainingJob, dataset: DatasetDescription, state: State, *, parameters: int, device: torch.device, sizes: dict[str, int]
) -> dict[str, Any]:
    """Accuracies are shares in [0, 1]; times are seconds."""
    return {
        "schema": SCHEMA,
        "results": state.measured,
        "student": {"network": spec.student.model_dump(), "parameters": parameters, "best_epoch": state.best_epoch},
        "data": {"dataset": spec.data.dataset, "description": dataset.model_dump(mode="json"), "images": sizes},
        "selection": "best: the epoch with the highest PGD-10 accuracy on held-out training images; last: the last epoch",
        "seeds": {"training": spec.seed, "evaluation": spec.evaluation.seed},
        "warnings": warnings(spec),
        "history": state.history,
        "seconds": {phase: round(it, 2) for phase, it in state.seconds.items()},
        "environment": environment(device),
        "spec": spec.model_dump(mode="json"),
    }


def warnings(spec: TrainingJob) -> list[str]:
    """A sentence for everything that makes the numbers less than standard."""
    found = []
    if spec.evaluation.limit is not None:
        found.append(f"Only {spec.evaluation.limit} test images were used.")
    if spec.data.limit is not None:
        found.append(f"Only {spec.data.limit} training images were used.")
    if not any(attack.name == "pgd" for attack in spec.evaluation.attacks):
        found.append("Robust accuracy under PGD was not measured.")
    found.extend(
        f"{attack.name} was run at radius {attack.radius:.4g}, the student was trained at {spec.adversary.radius:.4g}."
        for attack in spec.evaluation.attacks
        if attack.radius != spec.adversary.radius
    )
    return found


def environment(device: torch.device) -> dict[str, Any]:
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in PACKAGES},
        "device": str(device),
        "hardware": hardware,
        "threads": torch.get_num_threads(),
    }
