"""What a file's unexpected keys have in common, for a message when they do not fit."""

import re
from collections.abc import Collection, Mapping

Shapes = Mapping[str, tuple[int, ...]]

MAX_RENAMED = 3
"""Most layers of other names that are told as such."""
REPARAMETRIZATIONS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r"\.parametrizations\."),
        "a parametrization of torch.nn.utils.parametrize",
        "torch.nn.utils.parametrize.remove_parametrizations(layer, name)",
    ),
    (re.compile(r"_mask$"), "pruning", "torch.nn.utils.prune.remove(layer, name)"),
    (
        re.compile(r"weight_g$"),
        "weight normalization",
        "torch.nn.utils.remove_weight_norm(layer)",
    ),
    (
        re.compile(r"weight_orig$"),
        "spectral normalization",
        "torch.nn.utils.remove_spectral_norm(layer)",
    ),
)
"""By a key that only it has: what computes a layer's weights, and what writes them out. Pruning
goes before spectral normalization, whose weight_orig it has, too."""


def explain_reparametrization(unexpected: Collection[str]) -> str:
    """Return a sentence where the keys are of what weights are computed from; else empty."""
    for pattern, title, remedy in REPARAMETRIZATIONS:
        key = next((key for key in unexpected if pattern.search(key)), None)
        if key is not None:
            return (
                f"The file has the parameters of {title} in place of weights ({key}): call "
                f"{remedy} and save the state dict again."
            )
    return ""


def explain_renaming(unexpected: Shapes, missing: Shapes) -> str:
    """Return a sentence where a few parts of keys have other names than the network's; else empty.

    The keys are those without the wrapper's prefix. All have to fit by their new names.
    """
    if len(unexpected) != len(missing):
        return ""
    remaining = dict(unexpected)
    names: dict[str, str] = {}
    while remaining and len(names) < MAX_RENAMED:
        needed = {key for key in missing if key not in _rename_all(unexpected, names)}
        step = _find_renaming(remaining, needed)
        if step is None:
            return ""
        names[step[0]] = step[1]
        remaining = {key: shape for key, shape in remaining.items() if step[0] not in _parts(key)}
    if not names or _rename_all(unexpected, names) != dict(missing):
        return ""
    pairs = ", ".join(f"{old!r} where the network has {new!r}" for old, new in names.items())
    return f"The file's keys have {pairs}: rename them and save the state dict again."


def _find_renaming(unexpected: Collection[str], missing: set[str]) -> tuple[str, str] | None:
    """Return a part of keys and its new name, with which all keys of that part are missing ones."""
    needed = _parts(min(missing, default=""))
    for key in sorted(unexpected):
        parts = _parts(key)
        pairs = [pair for pair in zip(parts, needed, strict=False) if pair[0] != pair[1]]
        if len(parts) != len(needed) or len(pairs) != 1 or pairs[0][0].isdigit():
            continue
        old, new = pairs[0]
        if all(_rename(name, {old: new}) in missing for name in unexpected if old in _parts(name)):
            return old, new
    return None


def _rename_all(shapes: Shapes, names: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    return {_rename(key, names): shape for key, shape in shapes.items()}


def _rename(key: str, names: Mapping[str, str]) -> str:
    return ".".join(names.get(part, part) for part in _parts(key))


def _parts(key: str) -> list[str]:
    return key.split(".")
