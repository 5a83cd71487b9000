"""JSON merge patch, RFC 7396, as it is of use on a spec."""

from typing import Any

TAGS = ("name", "architecture")


def changed(spec: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """``spec`` with ``patch`` applied: objects are merged, null removes a field, anything else replaces.

    One rule is added: an object inside that becomes another kind of thing (``{"method": {"name": "arkd"}}``) is replaced
    whole, for the old one's settings mean nothing to the new one.
    """
    kept = {key: value for key, value in spec.items() if key not in patch}
    return kept | {
        key: merged(spec.get(key), value, tags=() if key == "metadata" else TAGS)
        for key, value in patch.items()
        if value is not None
    }


def merged(target: Any, patch: Any, *, tags: tuple[str, ...] = ()) -> Any:
    if not isinstance(patch, dict):
        return patch
    base = target if isinstance(target, dict) else {}
    if any(tag in patch and tag in base and patch[tag] != base[tag] for tag in tags):
        base = {}
    kept = {key: value for key, value in base.items() if key not in patch}
    return kept | {
        key: merged(base.get(key), value, tags=tags)
        for key, value in patch.items()
        if value is not None
    }
