"""The report of a finished job: what was done, on what, with which result, and what makes it less than standard."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from core.distillation.checkpoint import State
from core.spec.data import DatasetDescription
from core.spec.evaluation import STANDARD_QUERIES, AutoAttack, PgdAttack
from core.spec.job import EvaluationJob, Submitted
from core.spec.report import DataFacts, Environment, NetworkFacts, Report

PACKAGES = ("distill", "torch", "torchvision", "timm", "numpy", "safetensors")
MASKING_POINTS = 0.002
"""Square, without gradients, should find no more than this share beyond what the attacks with gradients found."""
SELECTION = "best: the epoch with the highest PGD-10 accuracy on held-out training images; last: the last epoch"


def report(
    spec: Submitted,
    state: State,
    dataset: DatasetDescription,
    network: NetworkFacts,
    reference: NetworkFacts | None,
    images: dict[str, int],
    device: torch.device,
) -> Report:
    training_seed = {} if isinstance(spec, EvaluationJob) else {"training": spec.seed}
    return Report.model_validate(
        {
            "schema": "distill-report-2",
            "kind": spec.kind,
            "results": _without_pictures(state.measured),
            "warnings": warnings(spec, state.measured),
            "network": network,
            "reference": reference,
            "data": DataFacts(dataset=spec.data.dataset, description=dataset, images=images),
            "selection": SELECTION if training_seed else None,
            "seeds": training_seed | {"evaluation": spec.evaluation.seed},
            "history": state.history,
            "seconds": {phase: round(seconds, 2) for phase, seconds in state.seconds.items()},
            "environment": environment(device),
            "spec": spec.model_dump(mode="json"),
        }
    )


def _without_pictures(measured: dict[str, dict[str, dict[str, Any]]]) -> dict[str, Any]:
    def kept(entry: Any) -> Any:
        if isinstance(entry, dict):
            return {key: kept(value) for key, value in entry.items() if not key.startswith("png")}
        return [kept(each) for each in entry] if isinstance(entry, list) else entry

    return {role: {name: kept(entry) for name, entry in results.items()} for role, results in measured.items()}


def warnings(spec: Submitted, measured: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    """A sentence for everything that makes the numbers less than standard."""
    return [*_of_the_images(spec), *_of_the_attacks(spec), *_of_the_training(spec), *_of_the_results(measured)]


def _of_the_images(spec: Submitted) -> list[str]:
    found = []
    if spec.evaluation.limit is not None:
        found.append(f"Only {spec.evaluation.limit} test images were used.")
    if not isinstance(spec, EvaluationJob) and spec.data.limit is not None:
        found.append(f"Only {spec.data.limit} training images were used.")
    return found


def _of_the_attacks(spec: Submitted) -> list[str]:
    evaluation, found = spec.evaluation, []
    radius = spec.radius if isinstance(spec, EvaluationJob) else spec.adversary.radius
    where = "this evaluation is of" if isinstance(spec, EvaluationJob) else "the student was trained at"
    if not any(isinstance(attack, AutoAttack) for attack in evaluation.attacks):
        found.append("AutoAttack was not run: robust accuracy under PGD or CW alone is an upper bound that often flatters.")
    for attack in evaluation.attacks:
        if isinstance(attack, AutoAttack):
            found += _of_autoattack(attack)
        if isinstance(attack, PgdAttack) and attack.steps < 20:
            found.append(f"PGD was run with {attack.steps} steps; 20 are usual.")
        if attack.radius != radius and not (isinstance(attack, AutoAttack) and attack.norm == "l2"):
            found.append(f"{attack.name} was run at radius {attack.radius:.4g}, {where} {radius:.4g}.")
    return found


def _of_autoattack(attack: AutoAttack) -> list[str]:
    if attack.is_standard:
        return []
    less = [] if len(attack.stages) == 4 else [f"stages {', '.join(attack.stages)}"]
    less += [] if attack.queries == STANDARD_QUERIES else [f"{attack.queries} queries of {STANDARD_QUERIES}"]
    less += [] if attack.iterations == 100 else [f"{attack.iterations} iterations of 100"]
    return [f"AutoAttack was not the standard version: {'; '.join(less or ['another order of stages'])}."]


def _of_the_training(spec: Submitted) -> list[str]:
    if isinstance(spec, EvaluationJob):
        return ["Nothing is known here of how the model was chosen: it may have been tuned on these test images."]
    found = []
    if spec.evaluation.every_epochs > 1:
        found.append(f"The best epoch was chosen among one in {spec.evaluation.every_epochs}.")
    if spec.data.extra is not None:
        found.append(f"{spec.data.extra.ratio:.0%} of every batch were extra images: compare with results that had them, too.")
    if spec.averaging is not None:
        found.append(f"The student is the average of its weights ({spec.averaging.name}).")
    return found


def _of_the_results(measured: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    found = []
    for role, results in measured.items():
        for name, entry in results.items():
            found += [f"{role}, {name}: {note}" for note in entry.get("notes", [])]
            found += [f"{role}, {name}: {sentence}" for sentence in entry.get("warnings", [])]
            if entry.get("non_finite"):
                count = entry["non_finite"]
                found.append(f"{role}, {name}: {count} images met logits that are not finite; they count as not robust.")
            square = entry.get("stages", {}).get("square")
            if square and square["broken"] > MASKING_POINTS * entry["images"]:
                found.append(
                    f"{role}, {name}: Square broke {square['broken']} images that attacks with gradients had left standing: "
                    "the network may mask its gradients."
                )
    return found


def environment(device: torch.device) -> Environment:
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        packages={name: version(name) for name in PACKAGES},
        device=str(device),
        hardware=torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        threads=torch.get_num_threads(),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{name}, {os.cpu_count()} cores"
