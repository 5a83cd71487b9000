"""The report of a finished job: what was done, on what, with which result, and what makes it less than standard."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from core import __version__
from core.distillation.reporting.warnings import warnings
from core.distillation.run_state import RunState
from core.jobspec.data import DatasetDescription
from core.jobspec.resolved import ResolvedEvaluationJobSpec, ResolvedSpec
from core.reportspec.report import DataFacts, Environment, NetworkFacts, Report

PACKAGES = ("torch", "torchvision", "timm", "numpy", "safetensors")
SELECTION = "best: the epoch with the highest PGD-10 accuracy on held-out training images; last: the last epoch"


def report(
    spec: ResolvedSpec,
    state: RunState,
    dataset: DatasetDescription,
    network: NetworkFacts,
    reference: NetworkFacts | None,
    images: dict[str, int],
    device: torch.device,
    energy_of: str | None,
) -> Report:
    """``energy_of`` names what the joules were counted by."""
    training_seed = {} if isinstance(spec, ResolvedEvaluationJobSpec) else {"training": spec.seed}
    return Report.model_validate(
        {
            "schema": "distill-report-2",
            "kind": spec.kind,
            "results": _without_pictures(state.measured),
            "warnings": warnings(spec, state, dataset, images),
            "network": network,
            "reference": reference,
            "data": DataFacts(dataset=spec.data.dataset, description=dataset, images=images),
            "selection": SELECTION if training_seed else None,
            "seeds": training_seed | {"evaluation": spec.evaluation.seed},
            "history": state.history,
            "seconds": {phase: round(seconds, 2) for phase, seconds in state.seconds.items()},
            "joules": {
                phase: None if joules is None else round(joules, 1)
                for phase, joules in state.joules.items()
            },
            "environment": environment(device, energy_of),
            "spec": spec.model_dump(mode="json"),
        }
    )


def _without_pictures(measured: dict[str, dict[str, dict[str, Any]]]) -> dict[str, Any]:
    def kept(entry: Any) -> Any:
        if isinstance(entry, dict):
            return {key: kept(value) for key, value in entry.items() if not key.startswith("png")}
        return [kept(each) for each in entry] if isinstance(entry, list) else entry

    return {
        role: {name: kept(entry) for name, entry in results.items()}
        for role, results in measured.items()
    }


def environment(device: torch.device, energy_of: str | None) -> Environment:
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        packages={"distill": __version__} | {name: version(name) for name in PACKAGES},
        device=str(device),
        hardware=torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        threads=torch.get_num_threads(),
        energy_of=energy_of,
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    name = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
    return f"{name}, {os.cpu_count()} cores"
