"""Builds the report of a finished job: settings, data, results, warnings, environment."""

import platform
from importlib.metadata import version
from typing import Any

import torch

from core import __version__
from core.distillation.metering.cost import device_name
from core.distillation.reporting.masking_checks import masking_checks
from core.distillation.reporting.warnings import report_warnings
from core.distillation.run_state import RunState
from core.jobspec.resolved import ResolvedEvaluationJobSpec, ResolvedSpec
from core.reportspec.attack_keys import own_threat_model
from core.reportspec.measures import describe
from core.reportspec.report import (
    Environment,
    Report,
    ReportedData,
    ReportedNetwork,
    ThreatModelDescription,
)
from core.reportspec.threat_model import ThreatModel

PACKAGES = ("torch", "torchvision", "timm", "numpy", "safetensors")
SELECTION = (
    "best: the epoch with the highest PGD-10 accuracy on held-out training images; "
    "last: the last epoch"
)


def build_report(
    spec: ResolvedSpec,
    state: RunState,
    network: ReportedNetwork,
    reference: ReportedNetwork | None,
    data: ReportedData,
    device: torch.device,
    energy_of: str | None,
) -> Report:
    """Return the report.

    ``energy_of`` names the hardware whose energy was counted; None if it was not.
    """
    is_evaluation = isinstance(spec, ResolvedEvaluationJobSpec)
    seeds = {"evaluation": spec.evaluation.seed}
    return Report.model_validate(
        {
            "schema": "distill-report-3",
            "kind": spec.kind,
            "results": reported_results(state.measured),
            "threat_model": described_threat_model(own_threat_model(spec)),
            "masking_checks": masking_checks(state.measured["model" if is_evaluation else "best"]),
            "warnings": report_warnings(spec, state, data.description, data.images),
            "network": network,
            "reference": reference,
            "data": data,
            "selection": None if is_evaluation else SELECTION,
            "seeds": seeds
            if isinstance(spec, ResolvedEvaluationJobSpec)
            else {"training": spec.seed, **seeds},
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


def described_threat_model(threat_model: ThreatModel) -> ThreatModelDescription:
    return ThreatModelDescription(
        norm=threat_model.norm, radius=threat_model.radius, title=threat_model.title
    )


def reported_results(measured: dict[str, dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return the entries of each network, with what each key says and without pictures."""
    return {
        role: {
            key: {"measure": describe(key).model_dump(), **_without_images(entry)}
            for key, entry in entries.items()
        }
        for role, entries in measured.items()
    }


def _without_images(value: Any) -> Any:
    """Return JSON without the entries whose names begin with ``png``: images in base64."""
    if isinstance(value, dict):
        return {
            key: _without_images(item) for key, item in value.items() if not key.startswith("png")
        }
    return [_without_images(item) for item in value] if isinstance(value, list) else value


def environment(device: torch.device, energy_of: str | None) -> Environment:
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        packages={"distill": __version__} | {name: version(name) for name in PACKAGES},
        device=str(device),
        hardware=device_name(device),
        threads=torch.get_num_threads(),
        energy_of=energy_of,
    )
