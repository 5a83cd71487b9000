"""The model card's front matter, as the Hugging Face Hub reads it: results, license, data set.

Its fields are those of the Hub's model card metadata, with ``model-index`` for the results.
"""

import re
from typing import Any

import yaml

from core.reportspec.report import MeasureResult, Report

UNKNOWN_LICENSE = "unknown"
NOT_IN_SLUGS = re.compile(r"[^a-z0-9._-]+")


def front_matter(report: Report, title: str) -> str:
    """Return the YAML between the card's two lines of dashes."""
    distilled = ["knowledge-distillation"] if report.kind == "distillation" else []
    fields = {
        "library_name": "pytorch",
        "pipeline_tag": "image-classification",
        "license": report.spec.license or UNKNOWN_LICENSE,
        "datasets": [dataset_slug(report)],
        "tags": ["adversarial-robustness", "image-classification", *distilled],
        "metrics": ["accuracy"],
        "model-index": [{"name": title, "results": [_results(report)]}],
    }
    text: str = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
    return text


def dataset_slug(report: Report) -> str:
    """Return the data set's name in the form of the Hub's identifiers: lower case, no spaces."""
    identity = report.data.identity
    name = report.data.dataset if identity is None else identity.name
    return NOT_IN_SLUGS.sub("-", name.lower()).strip("-.") or "unnamed"


def _results(report: Report) -> dict[str, Any]:
    return {
        "task": {"type": "image-classification", "name": "Image classification"},
        "dataset": _dataset(report),
        "metrics": [
            _metric(result)
            for result in report.main_results.values()
            if result.measure.accuracy and result.value is not None
        ],
    }


def _dataset(report: Report) -> dict[str, Any]:
    """Return the test images: their data set, and how many of them were used."""
    identity = report.data.identity
    facts: dict[str, Any] = {"test_images": report.data.images["test"]}
    if identity is not None:
        facts |= {"id": identity.id, "sha256": identity.sha256}
    name = report.data.dataset if identity is None else identity.name
    return {"type": dataset_slug(report), "name": name, "split": "test", "args": facts}


def _metric(result: MeasureResult) -> dict[str, Any]:
    measure = result.measure
    threat_model = measure.threat_model
    name = "Clean accuracy"
    facts: dict[str, Any] = {}
    if threat_model is not None:
        name = f"Robust accuracy, {measure.title}"
        facts = {
            "attack": measure.name,
            "norm": measure.norm,
            "radius": measure.radius,
            "steps": measure.steps,
            "version": measure.version,
        }
    given = {key: value for key, value in facts.items() if value is not None}
    value = round(100 * (result.value or 0.0), 4)
    metric = {"type": "accuracy", "name": name, "value": value}
    return {**metric, "args": given} if given else metric
