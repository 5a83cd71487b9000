"""JSON merge patch (RFC 7396) for specs."""

from typing import Any

DISCRIMINATORS = ("name", "architecture")
"""Fields that say of what kind an object is."""


def apply_patch(spec: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Return ``spec`` with ``patch`` merged in.

    Objects are merged, null removes a field, anything else replaces. One rule is not the RFC's: an
    object whose kind changes (``{"method": {"name": "arkd"}}``) is replaced as a whole, since the
    settings of the former kind mean nothing to the new one.
    """
    unchanged = {key: value for key, value in spec.items() if key not in patch}
    return unchanged | {
        key: merge(spec.get(key), value, discriminators=() if key == "metadata" else DISCRIMINATORS)
        for key, value in patch.items()
        if value is not None
    }


def merge(target: Any, patch: Any, *, discriminators: tuple[str, ...] = ()) -> Any:
    if not isinstance(patch, dict):
        return patch
    base = target if isinstance(target, dict) else {}
    if any(key in patch and key in base and patch[key] != base[key] for key in discriminators):
        base = {}
    unchanged = {key: value for key, value in base.items() if key not in patch}
    return unchanged | {
        key: merge(base.get(key), value, discriminators=discriminators)
        for key, value in patch.items()
        if value is not None
    }
