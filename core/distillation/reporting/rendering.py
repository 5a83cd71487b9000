"""The report as pages for people: Markdown, one self-contained HTML file, and a model card. Templates are beside this file."""

import base64
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from core.distillation.reporting import analysis_tables
from core.jobspec.job import DistillationSpec, EvaluationJobSpec
from core.reportspec.measures import title_of
from core.reportspec.report import Report

ROLES = {"best": "Best epoch", "last": "Last epoch", "model": "Model"}
HOW_TO_READ = {
    "training": "Accuracy on held-out images, by which the best epoch is chosen, and the loss.",
    "per_class": "Accuracy of each class under each attack.",
    "radius_sweep": "A robust network falls slowly, and to nothing at a large radius.",
    "transfer": "Images made for another network should do less than images made for the network itself.",
    "gradient_masking": "The bars should fall, the last to 0, and Square should find next to nothing that APGD did not. "
    "A bar in orange fails its check.",
    "variance_gap": "A point for each radius: the more the variance of features, or of Gram matrices, changes under attack, "
    "the less accuracy is left. Lines by least squares, with Pearson's r.",
    "spectra": "Eigenvalues of joint covariance and Gram matrix: a steep fall, or a low effective rank, means that few "
    "directions carry all.",
    "calibration": "On the diagonal a network is as often right as it is sure.",
    "grad_cam": "What decided for the true class, clean and attacked: the same places in both is what is wanted. "
    "A green frame is a right answer, an orange one a wrong one.",
}
"""Each figure's caption, in the order of the page."""
NARROW = frozenset({"per_class", "radius_sweep", "transfer", "gradient_masking"})
"""Figures of one plot: two of them stand side by side."""

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(["html"], default_for_string=True, default=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f}"


def _interval(bounds: tuple[float, float] | None) -> str:
    return "" if bounds is None else f"{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min"
        if hours
        else f"{minutes} min {rest} s"
        if minutes
        else f"{seconds:.1f} s"
    )


_templates.filters |= {
    "percent": _percent,
    "interval": _interval,
    "duration": _duration,
    "whole": lambda number: f"{number:,}",
    "cell": lambda text: str(text).replace("|", "\\|").replace("\n", " "),
}


def markdown(report: Report) -> str:
    return _templates.get_template("report.md").render(_facts(report))


def html(report: Report, figures: dict[str, bytes]) -> str:
    """Nothing in it points anywhere else: style and figures are inside."""
    pictures = [
        _picture(name, figures[f"{name}.svg"]) for name in HOW_TO_READ if f"{name}.svg" in figures
    ]
    return _templates.get_template("report.html").render(_facts(report), pictures=pictures)


def model_card(report: Report, hashes: dict[str, str]) -> str:
    return _templates.get_template("model_card.md").render(_facts(report), hashes=hashes)


def _picture(name: str, content: bytes) -> dict[str, str]:
    data = base64.b64encode(content).decode()
    return {
        "name": name,
        "title": title_of(name),
        "caption": HOW_TO_READ[name],
        "width": "narrow" if name in NARROW else "wide",
        "image": Markup('<img alt="{}" src="data:image/svg+xml;base64,{}">').format(
            HOW_TO_READ[name], data
        ),
    }


def _facts(report: Report) -> dict[str, Any]:
    measures = list(
        dict.fromkeys(
            name
            for results in report.results.values()
            for name, it in results.items()
            if it.value is not None
        )
    )
    return {
        "report": report,
        "title": title(report),
        "verdict": verdict(report),
        "measures": measures,
        "measure_titles": [title_of(name) for name in measures],
        "roles": ROLES,
        "main": report.main,
        "staged": {
            title_of(name): entry
            for name, entry in report.main.items()
            if "stages" in (entry.model_extra or {})
        },
        "class_names": report.data.description.class_names,
        "spec": json.dumps(report.spec.model_dump(mode="json"), indent=2),
        "numbers": list(analysis_tables.rows(report.main)),
    }


def title(report: Report) -> str:
    spec = report.spec
    name = f"{spec.name}: " if spec.name else ""
    if isinstance(spec, EvaluationJobSpec):
        return f"{name}evaluation of {report.network.description.network.architecture} on {report.data.dataset}"
    teacher = (
        f" from {report.reference.description.network.architecture}"
        if report.reference is not None
        else ""
    )
    how = (
        spec.method.name.upper()
        if isinstance(spec, DistillationSpec)
        else f"{spec.method.name} training"
    )
    return f"{name}{how}, {spec.student.architecture}{teacher}, on {report.data.dataset}"


def verdict(report: Report) -> str:
    """One sentence: the clean accuracy, and the lowest robust one; of equal ones AutoAttack's, which says most."""
    results = report.main
    robust = {
        name: it.value
        for name, it in results.items()
        if name not in ("clean", "transfer") and it.value is not None
    }
    clean = results["clean"].value
    assert clean is not None
    if not robust:
        return f"{100 * clean:.2f} % of {results['clean'].images} test images are classified correctly; no attack was run."
    name, lowest = min(
        robust.items(), key=lambda item: (item[1], not item[0].startswith("autoattack"))
    )
    return (
        f"Of {results['clean'].images} test images {100 * clean:.2f} % are classified correctly, "
        f"and {100 * lowest:.2f} % still are under {title_of(name)}."
    )
