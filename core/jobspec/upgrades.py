"""Bring JSON that an earlier program wrote to today's form.

The database is migrated (migrations/versions). Checkpoint headers and job folders are not: they are
read through `upgrade`, so that a checkpoint written before an upgrade still belongs to its job.
"""

from typing import Any

RENAMED_FIELDS = {"normalisation": "normalization", "normalise": "normalize"}
"""Former name -> present name. A request with a former name is refused, naming the present one."""

FORMER_SCHEDULE = {"on_divergence": "continue"}
"""What a schedule did before there was a setting for it: a job does what it did when submitted."""


def upgrade(document: dict[str, Any]) -> dict[str, Any]:
    """Return a stored spec or model description in today's form.

    `metadata` is left alone: its keys are the caller's labels.
    """
    upgraded = {
        RENAMED_FIELDS.get(key, key): value if key == "metadata" else _upgrade_value(value)
        for key, value in document.items()
    }
    if isinstance(upgraded.get("schedule"), dict):
        upgraded["schedule"] = FORMER_SCHEDULE | upgraded["schedule"]
    return upgraded


def _upgrade_value(value: Any) -> Any:
    if isinstance(value, dict):
        return upgrade(value)
    if isinstance(value, list):
        return [_upgrade_value(item) for item in value]
    return value
