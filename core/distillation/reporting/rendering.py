"""The report as documents for people: Markdown, one self-contained HTML file, and a model card.

Their templates are in templates/.
"""

import base64
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from core.distillation.reporting import analysis_tables
from core.distillation.reporting.front_matter import front_matter
from core.jobspec.job import DistillationSpec, EvaluationJobSpec
from core.reportspec.accuracies import deciding_key
from core.reportspec.measures import Measure, describe, measure_title, sort_key
from core.reportspec.report import MeasureResult, Report

ROLES = {"best": "Best epoch", "last": "Last epoch", "model": "Model"}
CAPTIONS = {
    "training": "The loss, and the accuracy on held-out images, by which the best epoch is chosen.",
    "per_class": "The accuracy of each class under each attack.",
    "radius_sweep": "The accuracy of a robust network falls slowly with the radius, and reaches 0 "
    "at a large one.",
    "transfer": "Adversarial images of another network should fool the network less often than its "
    "own adversarial images.",
    "gradient_masking": "The bars should fall, the last to 0, and Square should break almost no "
    "images that APGD did not. A bar in orange fails its check.",
    "variance_gap": "One point per radius: the more the variance of features, or of Gram matrices, "
    "changes under attack, the less accuracy remains. The lines are least-squares fits, with "
    "Pearson's r.",
    "spectra": "Eigenvalues of the joint covariance and the Gram matrix. A steep fall, or a low "
    "effective rank, means that a few directions carry almost everything.",
    "calibration": "On the diagonal, the network is right as often as it is confident.",
    "grad_cam": "What decided for the true class, in clean and in adversarial images: ideally "
    "the same regions in both. A green frame marks a correct prediction, an orange one a wrong "
    "one.",
    "examples": "Test images, their change under the attack, and what becomes of them. In green "
    "frames the network is right in spite of the attack. Middle gray is no change, black and white "
    "are the largest that the radius allows.",
}
"""The caption of each figure, in the order of the page."""
NARROW_FIGURES = frozenset({"per_class", "radius_sweep", "transfer", "gradient_masking"})
"""Figures with a single plot: two of them fit side by side."""
PICTURES = frozenset({"grad_cam", "examples"})
"""Figures that show images, whose colors do not change with those of the page."""

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
    minutes, remaining_seconds = divmod(round(seconds), 60)
    hours, remaining_minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {remaining_minutes} min"
    if minutes:
        return f"{minutes} min {remaining_seconds} s"
    return f"{seconds:.1f} s"


def _count(number: int) -> str:
    return f"{number:,}"


def _table_cell(text: object) -> str:
    """Escape text for a cell of a Markdown table."""
    return str(text).replace("|", "\\|").replace("\n", " ")


_templates.filters |= {
    "percent": _percent,
    "interval": _interval,
    "duration": _duration,
    "count": _count,
    "cell": _table_cell,
}


def render_markdown(report: Report) -> str:
    return _templates.get_template("report.md").render(_template_context(report))


def render_html(report: Report, figures: dict[str, bytes]) -> str:
    """Render one HTML file that loads nothing else: style and figures are inside.

    ``figures`` are files by name, of which the SVG files are used.
    """
    context = _template_context(report)
    figure_contexts = [
        _figure_context(name, figures[f"{name}.svg"])
        for name in CAPTIONS
        if f"{name}.svg" in figures
    ]
    return _templates.get_template("report.html").render(context, figures=figure_contexts)


def render_model_card(report: Report, digests: dict[str, str]) -> str:
    """Render the model card, with the front matter that the Hugging Face Hub reads.

    ``digests`` are the SHA-256 of the files of weights, by file name.
    """
    context = _template_context(report)
    card = _templates.get_template("model_card.md").render(
        context,
        digests=digests,
        weights=next((name for name in ("best.safetensors",) if name in digests), None),
        exports=[name for name in digests if not name.endswith(".safetensors")],
    )
    return f"---\n{front_matter(report, context['title'])}---\n\n{card}"


def _figure_context(name: str, svg: bytes) -> dict[str, str]:
    data = base64.b64encode(svg).decode()
    image = Markup('<img alt="{}" src="data:image/svg+xml;base64,{}">')
    return {
        "title": measure_title(name),
        "caption": CAPTIONS[name],
        "width": "narrow" if name in NARROW_FIGURES else "wide",
        "kind": "picture" if name in PICTURES else "plot",
        "image": image.format(CAPTIONS[name], data),
    }


def _template_context(report: Report) -> dict[str, Any]:
    keys = {key for results in report.results.values() for key in _keys_with_value(results)}
    own = report.threat_model.title
    measures = sorted(
        (describe(key) for key in keys), key=lambda measure: table_position(measure, own)
    )
    main = report.main_results
    return {
        "report": report,
        "title": title(report),
        "headline": headline(report),
        "measures": measures,
        "column_groups": column_groups(measures),
        "roles": ROLES,
        "main": main,
        "staged": {measure_title(key): entry for key, entry in main.items() if _has_stages(entry)},
        "class_names": report.data.description.class_names,
        "spec": json.dumps(report.spec.model_dump(mode="json"), indent=2),
        "analysis_rows": list(analysis_tables.analysis_rows(main)),
        "outcomes": analysis_tables.outcomes(main),
    }


def table_position(
    measure: Measure, own: str
) -> tuple[bool, bool, tuple[int, str, float, int, str]]:
    """Sort clean accuracy first, then the report's ``own`` threat model, then all others."""
    threat_model = measure.threat_model
    other = threat_model is not None and threat_model.title != own
    return (threat_model is not None, other, sort_key(measure.key))


def column_groups(measures: list[Measure]) -> list[tuple[str, list[Measure]]]:
    """Return the measures by threat model, so that unlike ones stand apart in a table."""
    groups = itertools.groupby(measures, lambda measure: measure.threat_model)
    return [
        ("no attack" if threat_model is None else threat_model.title, list(members))
        for threat_model, members in groups
    ]


def _keys_with_value(results: dict[str, MeasureResult]) -> Iterator[str]:
    return (key for key, result in results.items() if result.value is not None)


def _has_stages(result: MeasureResult) -> bool:
    return "stages" in (result.model_extra or {})


def title(report: Report) -> str:
    """Return what the job did, to which network, on which data set."""
    spec = report.spec
    name = f"{spec.name}: " if spec.name else ""
    dataset = report.data.dataset
    if isinstance(spec, EvaluationJobSpec):
        network = report.network.description.network.architecture
        return f"{name}evaluation of {network} on {dataset}"
    method = spec.method.name.upper()
    student = spec.student.architecture
    if not isinstance(spec, DistillationSpec) or report.reference is None:
        return f"{name}{method} training of {student} on {dataset}"
    teacher = report.reference.description.network.architecture
    return f"{name}{method} distillation of {teacher} into {student} on {dataset}"


def headline(report: Report) -> str:
    """Return the clean accuracy, and under each threat model that of the attack that decides.

    The report's own threat model comes first. Where another attack left less, it is said: robust
    accuracy is at most that.
    """
    clean = report.main_results["clean"]
    own = report.threat_model.title
    robustness = {
        group: _describe_robustness(members) for group, members in robust_accuracies(report).items()
    }
    sentence = (
        f"The network classifies {_percent(clean.value)} % of {clean.images} test images correctly"
    )
    if own in robustness:
        sentence += f", and {robustness.pop(own)}."
    elif robustness:
        sentence += f"; no attack was run under {own}."
    else:
        sentence += "; no attack was run."
    if robustness:
        sentence += f" Under another threat model: {'; '.join(robustness.values())}."
    return sentence


def _describe_robustness(members: list[tuple[Measure, float]]) -> str:
    """``members``: the accuracies under one threat model."""
    deciding = deciding_key(measure.key for measure, _ in members)
    measure, accuracy = next(item for item in members if item[0].key == deciding)
    text = f"{_percent(accuracy)} % under {measure.title}"
    other, lowest = min(members, key=lambda item: item[1])
    if lowest < accuracy:
        text += f" (but only {_percent(lowest)} % under {other.label})"
    return text


def robust_accuracies(report: Report) -> dict[str, list[tuple[Measure, float]]]:
    """Return the accuracies under the spec's attacks, by the title of their threat model."""
    groups: dict[str, list[tuple[Measure, float]]] = {}
    for result in report.main_results.values():
        threat_model = result.measure.threat_model
        if result.value is not None and threat_model and result.measure.is_test_robustness:
            groups.setdefault(threat_model.title, []).append((result.measure, result.value))
    return groups
