"""The report as pages for people: Markdown, one self-contained HTML file, and a model card. Templates are beside this file."""

import base64
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from core.spec.job import Distillation, EvaluationJob
from core.spec.report import Report

TITLES = {
    "clean": "Clean",
    "pgd": "PGD",
    "cw": "CW",
    "autoattack": "AutoAttack",
    "transfer": "Transfer from the reference",
}
ROLES = {"best": "Best epoch", "last": "Last epoch", "model": "Model"}
HOW_TO_READ = {
    "radius_sweep": "A robust network falls slowly, and to nothing at a large radius.",
    "variance_gap": "How much the variance of features and of Gram matrices changes under attack: smaller is steadier.",
    "spectra": "Eigenvalues of covariance and Gram matrix: a steep fall means that few directions carry all.",
    "grad_cam": "What decided for the true class, clean and attacked. The same places in both is what is wanted.",
    "calibration": "On the diagonal a network is as often right as it is sure.",
    "per_class": "Robust accuracy of each class.",
    "training": "Accuracy on held-out images, by which the best epoch is chosen, and the loss.",
}

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(["html"], default_for_string=True, default=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["percent"] = lambda share: "–" if share is None else f"{100 * share:.2f}"
_templates.filters["whole"] = lambda number: f"{number:,}"
_templates.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")


def markdown(report: Report) -> str:
    return _templates.get_template("report.md").render(_facts(report))


def html(report: Report, figures: dict[str, bytes]) -> str:
    """Nothing in it points anywhere else: style and figures are inside."""
    pictures = [
        (name.removesuffix(".svg"), _embedded(name, content)) for name, content in figures.items() if name.endswith(".svg")
    ]
    return _templates.get_template("report.html").render(_facts(report), pictures=pictures, how_to_read=HOW_TO_READ)


def model_card(report: Report, hashes: dict[str, str]) -> str:
    return _templates.get_template("model_card.md").render(_facts(report), hashes=hashes)


def _embedded(name: str, content: bytes) -> Markup:
    data = base64.b64encode(content).decode()
    return Markup('<img alt="{}" src="data:image/svg+xml;base64,{}">').format(name.replace("_", " "), data)


def _facts(report: Report) -> dict[str, Any]:
    measures = list(
        dict.fromkeys(name for results in report.results.values() for name, it in results.items() if it.value is not None)
    )
    return {
        "report": report,
        "title": title(report),
        "verdict": verdict(report),
        "measures": measures,
        "measure_titles": [TITLES.get(name, name.replace("_", " ")) for name in measures],
        "roles": ROLES,
        "main": report.main,
        "class_names": report.data.description.class_names,
        "spec": json.dumps(report.spec.model_dump(mode="json"), indent=2),
        "numbers": {name: value for entry in report.main.values() for name, value in entry.values.items()},
    }


def title(report: Report) -> str:
    spec = report.spec
    name = f"{spec.name}: " if spec.name else ""
    if isinstance(spec, EvaluationJob):
        return f"{name}evaluation of {report.network.description.network.architecture} on {report.data.dataset}"
    teacher = f" from {report.reference.description.network.architecture}" if report.reference is not None else ""
    how = spec.method.name.upper() if isinstance(spec, Distillation) else f"{spec.method.name} training"
    return f"{name}{how}, {spec.student.architecture}{teacher}, on {report.data.dataset}"


def verdict(report: Report) -> str:
    """One sentence: the clean accuracy, and the lowest robust one."""
    results = report.main
    robust = {name: it.value for name, it in results.items() if name not in ("clean", "transfer") and it.value is not None}
    clean = results["clean"].value
    assert clean is not None
    if not robust:
        return f"{100 * clean:.2f} % of {results['clean'].images} test images are classified correctly; no attack was run."
    name, lowest = min(robust.items(), key=lambda item: item[1])
    return (
        f"Of {results['clean'].images} test images {100 * clean:.2f} % are classified correctly, "
        f"and {100 * lowest:.2f} % still are under {TITLES.get(name, name)}."
    )
