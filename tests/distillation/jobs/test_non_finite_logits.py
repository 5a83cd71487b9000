"""Non-finite logits under every measure: a warning, counted as misclassified, never a crash."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.distillation.models import from_description
from core.distillation.models.safetensors_weights import serialize_weights
from core.distillation.models.small_cnn import SmallCnn
from core.job_folder import JobFolder
from core.jobspec.data import DIGITS
from core.jobspec.defaults import resolve
from core.jobspec.job import EvaluationJobSpec
from core.reportspec.measures import measure_title
from tests.distillation.folders import TEACHER, run_job

ATTACKS = [
    {"name": "pgd", "steps": 5},
    {"name": "cw", "steps": 5},
    {"name": "autoattack", "queries": 20, "iterations": 5},
]
ATTACK_KEYS = (
    "pgd-5@linf:0.15",
    "cw-5@linf:0.15",
    "autoattack:queries=20:iterations=5@linf:0.15",
)
ANALYSES = (
    "radius_sweep",
    "variance_gap",
    "spectra",
    "grad_cam",
    "examples",
    "calibration",
    "transfer",
    "gradient_masking",
)
EVALUATION = {"attacks": ATTACKS, "analyses": [{"name": name} for name in ANALYSES], "limit": 60}
SPEC: dict[str, Any] = {
    "model": "m",
    "reference": "r",
    "data": {"dataset": "digits"},
    "radius": 0.15,
    "evaluation": EVALUATION,
}


def evaluate(path: Path, monkeypatch: pytest.MonkeyPatch, *, every: int) -> dict[str, Any]:
    """Return the report of a network whose logits are NaN for about one image in ``every``."""
    finite_classify = SmallCnn.classify

    def classify(network: SmallCnn, features_BD: Tensor) -> Tensor:
        is_nan_B1 = (1000 * features_BD.sum(dim=1, keepdim=True)).long() % every == 0
        return finite_classify(network, features_BD).masked_fill(is_nan_B1, torch.nan)

    monkeypatch.setattr(SmallCnn, "classify", classify)
    folder = JobFolder(path)
    spec = resolve(EvaluationJobSpec.model_validate(SPEC), DIGITS)
    folder.create(spec, model=TEACHER, teacher=TEACHER, dataset=DIGITS)
    torch.manual_seed(7)
    content = serialize_weights(from_description(TEACHER), {})
    folder.model_weights.write_bytes(content)
    folder.teacher_weights.write_bytes(content)
    assert run_job(folder).outcome == "succeeded"
    text = (folder.output / "report.json").read_text()
    report: dict[str, Any] = json.loads(
        text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON")
    )
    assert {f"{name}.svg" for name in ANALYSES} <= {path.name for path in folder.output.iterdir()}
    return report


def test_non_finite_logits_are_counted_wrong_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = evaluate(tmp_path / "job", monkeypatch, every=3)
    results = report["results"]["model"]
    for name in ("clean", *ATTACK_KEYS):
        count = results[name]["non_finite"]
        assert 0 < count < 60
        assert results[name]["value"] <= 1 - count / 60
        sentence = (
            f"{measure_title(name)}, model: For {count} images the network's logits were not "
            "finite; these images count as misclassified."
        )
        assert sentence in report["warnings"]
    for name in ("variance_gap", "spectra", "calibration"):
        prefix = f"{measure_title(name)}, model: "
        warnings = [warning for warning in report["warnings"] if warning.startswith(prefix)]
        assert any("left out" in warning for warning in warnings)
    numbers = [value for entry in results.values() for value in entry["values"].values()]
    assert all(math.isfinite(number) for number in numbers)


def test_a_network_without_any_logits_is_not_robust_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = evaluate(tmp_path / "job", monkeypatch, every=1)
    results = report["results"]["model"]
    names = ("clean", *ATTACK_KEYS, "transfer@linf:0.15")
    assert [results[name]["value"] for name in names] == [0, 0, 0, 0, 0]
    assert results["spectra"]["network"]["features"] == {"effective_rank": None, "eigenvalues": []}
    assert results["variance_gap"]["values"] == {}
