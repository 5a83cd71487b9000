"""What a finished job leaves behind to be read: the report for programs and for people, its figures, and the model card."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from core.distillation.reporting import rendering
from core.distillation.reporting.report import report
from core.job_folder import FileKind
from core.reportspec.report import Report

__all__ = ["Document", "documents", "report"]


@dataclass(frozen=True)
class Document:
    name: str
    content: bytes
    media_type: str
    kind: FileKind = "report"


def documents(
    found: Report, figures: dict[str, bytes], hashes: dict[str, str]
) -> Iterator[Document]:
    """``figures`` by file name, svg and png; ``hashes`` are the weights' SHA-256, by file name."""
    for name, content in figures.items():
        yield Document(
            name, content, "image/svg+xml" if name.endswith(".svg") else "image/png", "figure"
        )
    yield Document("report.md", rendering.markdown(found).encode(), "text/markdown; charset=utf-8")
    yield Document(
        "report.html", rendering.html(found, figures).encode(), "text/html; charset=utf-8"
    )
    yield Document(
        "MODEL_CARD.md",
        rendering.model_card(found, hashes).encode(),
        "text/markdown; charset=utf-8",
    )
    yield Document(
        "report.json", json.dumps(found.as_json(), indent=1).encode(), "application/json"
    )
