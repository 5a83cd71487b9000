"""Bring JSON that an earlier program wrote to today's form.

The database is migrated (migrations/versions). Checkpoint headers and job folders are not: they are
read through `upgrade`, so that a checkpoint written before an upgrade still belongs to its job.
"""

from typing import Any

RENAMED_FIELDS = {"normalisation": "normalization", "normalise": "normalize"}
"""Former name -> present name. A request with a former name is refused, naming the present one."""


def upgrade(document: dict[str, Any]) -> dict[str, Any]:
    """Return a stored spec or model description with today's field names.

    `metadata` is left alone: its keys are the caller's labels.
    """
    return {
        RENAMED_FIELDS.get(key, key): value if key == "metadata" else _upgrade_value(value)
        for key, value in document.items()
    }


def _upgrade_value(value: Any) -> Any:
    if isinstance(value, dict):
        return upgrade(value)
    if isinstance(value, list):
        return [_upgrade_value(item) for item in value]
    return value
