"""What a caller may change of a stored job, model or data set: its name, notes and metadata."""

from collections.abc import Mapping
from typing import Any

from core.errors import Invalid
from core.jobspec.merge_patch import merge
from core.store.database.tables import DatasetRow, JobRow, ModelRow

MAX_METADATA_ENTRIES = 32
"""As of a job that is submitted."""


def apply_edit(row: JobRow | ModelRow | DatasetRow, patch: Mapping[str, Any]) -> list[str]:
    """Apply a JSON merge patch with some of name, notes and metadata; return what has changed.

    Null removes notes, metadata, or an entry of it. Nothing is flushed. Raises Invalid for more
    than ``MAX_METADATA_ENTRIES``.
    """
    labels = merge(row.labels, patch.get("metadata", {})) or {}
    if len(labels) > MAX_METADATA_ENTRIES:
        message = (
            f"Metadata has at most {MAX_METADATA_ENTRIES} entries; with this change it would have "
            f"{len(labels)}."
        )
        raise Invalid.field("metadata", message=message)
    changes = {
        "name": patch.get("name", row.name),
        "notes": patch.get("notes", row.notes) or None,
        "labels": labels,
    }
    changed = [column for column, value in changes.items() if getattr(row, column) != value]
    for column in changed:
        setattr(row, column, changes[column])
    row.edits += bool(changed)
    return ["metadata" if column == "labels" else column for column in changed]
