"""Request bodies of PATCH: JSON merge patches of name, notes and metadata."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from api.representation.schemas import Name, RequestBody
from core.jobspec.job import LabelKey, ModelName, ShortText
from core.store.lifecycle.edits import MAX_METADATA_ENTRIES

MAX_NOTES_BYTES = 10_000
_CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
_DIRECTIONS = r"\u2028-\u202e\u2066-\u2069"
"""Ends of lines and paragraphs, and what turns the direction of the text behind it."""


def _check_size(notes: str) -> str:
    size = len(notes.encode())
    if size > MAX_NOTES_BYTES:
        raise ValueError(f"notes have at most {MAX_NOTES_BYTES} bytes; these have {size}")
    return notes


PlainName = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=200, pattern=rf"^[^{_CONTROLS}\t\n\r{_DIRECTIONS}]+$"
    ),
]
"""A name for people, on one line."""
Notes = Annotated[
    str,
    StringConstraints(max_length=MAX_NOTES_BYTES, pattern=rf"^[^{_CONTROLS}]*$"),
    AfterValidator(_check_size),
]
MetadataPatch = Annotated[
    dict[LabelKey, ShortText | None], Field(max_length=2 * MAX_METADATA_ENTRIES)
]


def _without_default(schema: dict[str, Any]) -> None:
    """Remove from a JSON Schema the default of a field that may be left out, but not be null."""
    del schema["default"]


class _EditRequest(RequestBody):
    notes: Notes | None = None
    """Markdown, at most 10,000 bytes. Null removes it."""
    metadata: MetadataPatch | None = None
    """Entries to set; one that is null is removed. Null removes them all."""

    def as_patch(self) -> dict[str, Any]:
        """Return the fields that were sent."""
        return self.model_dump(include=self.model_fields_set)


class EditJobRequest(_EditRequest):
    """What to change of a job. Fields that are left out stay as they are."""

    name: PlainName | None = None
    """Null removes it."""


class EditItemRequest(_EditRequest):
    """What to change of a model or data set. Fields that are left out stay as they are."""

    name: Name = Field(default="", json_schema_extra=_without_default)
    """A unique name. A model stays a version of its series."""


class SetAliasRequest(RequestBody):
    """Which version of the series an alias means from now on."""

    model: ModelName
    """Id or name of a model, `series@version`, `series@alias`, or id of a succeeded job, whose
    student is meant."""
