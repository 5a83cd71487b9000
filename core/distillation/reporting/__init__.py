"""The documents of a finished job: its report in three formats, figures, and the model card."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from core.distillation.reporting import rendering
from core.distillation.reporting.report import build_report
from core.job_folder import OutputKind
from core.reportspec.report import Report

__all__ = ["Document", "build_report", "render_documents"]

MARKDOWN = "text/markdown; charset=utf-8"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Document:
    """One file. ``kind`` is its kind in the job folder."""

    name: str
    content: bytes
    media_type: str
    kind: OutputKind = "report"


def render_documents(
    report: Report, figures: dict[str, bytes], digests: dict[str, str]
) -> Iterator[Document]:
    """Yield all documents of a report.

    ``figures`` are SVG and PNG files by name; ``digests`` the SHA-256 of the weights, by file name.
    """
    for name, content in figures.items():
        media_type = "image/svg+xml" if name.endswith(".svg") else "image/png"
        yield Document(name, content, media_type, "figure")
    markdown = rendering.render_markdown(report)
    yield Document("report.md", markdown.encode(), MARKDOWN)
    html = rendering.render_html(report, figures)
    yield Document("report.html", html.encode(), HTML)
    model_card = rendering.render_model_card(report, digests)
    yield Document("MODEL_CARD.md", model_card.encode(), MARKDOWN)
    content = json.dumps(report.as_json(), indent=1).encode()
    yield Document("report.json", content, "application/json")
