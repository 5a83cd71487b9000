"""The documents of a finished job: its report in three formats, figures, and the model card."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from core.distillation.reporting import rendering
from core.distillation.reporting.report import build_report
from core.job_folder import OutputKind
from core.reportspec.report import Report

__all__ = ["Document", "build_report", "planned_documents", "report_document"]

MARKDOWN = "text/markdown; charset=utf-8"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Document:
    """One file. ``render`` returns its content; ``kind`` is its kind in the job folder."""

    name: str
    render: Callable[[], bytes]
    media_type: str
    kind: OutputKind = "report"


def planned_documents(
    report: Report, figures: dict[str, bytes], digests: dict[str, str]
) -> Iterator[Document]:
    """Yield the documents for people, each to be rendered by itself.

    ``figures`` are SVG and PNG files by name; ``digests`` the SHA-256 of the weights, by file name.
    """
    yield Document("report.md", lambda: rendering.render_markdown(report).encode(), MARKDOWN)
    yield Document("report.html", lambda: rendering.render_html(report, figures).encode(), HTML)
    yield Document(
        "MODEL_CARD.md",
        lambda: rendering.render_model_card(report, digests).encode(),
        MARKDOWN,
    )


def report_document(report: Report) -> Document:
    """Return report.json, from which everything else can be made again."""

    def render() -> bytes:
        return json.dumps(report.as_json(), indent=1).encode()

    return Document("report.json", render, "application/json")
