"""What the keys of results say, for people: titles and units.

The service's reports use the same titles; ``tests/client/test_measures.py`` compares both.
"""

import math
import re
from collections.abc import Iterable

from distill_client.errors import ClientError
from distill_client.responses import Measure

ACCURACIES = {
    "clean": "Clean",
    "pgd": "PGD",
    "cw": "CW",
    "autoattack": "AutoAttack",
    "transfer": "Transfer of PGD-20",
    "held_out_clean": "Held-out clean",
    "held_out_pgd": "Held-out PGD",
}
"""Measures whose value is a share of all images, in [0, 1]."""

TITLES = {
    **ACCURACIES,
    "grad_cam": "Grad-CAM",
    "examples": "Adversarial examples",
    "per_class": "Accuracy by class",
}

NUMBERS: dict[str, tuple[str, str, float]] = {
    "variance_gap_features": ("Variance gap of features under PGD-20", "%", 1.0),
    "variance_gap_gram": ("Variance gap of Gram matrices under PGD-20", "%", 1.0),
    "effective_rank_features": ("Effective rank of the joint covariance under PGD-20", "", 1.0),
    "effective_rank_gram": ("Effective rank of the Gram matrix under PGD-20", "", 1.0),
    "grad_cam_shift": ("Change of Grad-CAM, 0 to 1, under PGD-20", "", 1.0),
    "ece": ("Expected calibration error, clean", "", 1.0),
    "ece_adversarial": ("Expected calibration error under PGD-20", "", 1.0),
    "masking_square_drop": ("Accuracy lost to Square after APGD", "points", 100.0),
    "masking_large_radius": ("Accuracy at a large radius under PGD-20", "%", 100.0),
    "training_seconds_per_epoch": ("Training time per epoch", "s", 1.0),
}
"""By name, title and unit of the other numbers, and the factor that converts them into it."""

NORMS = {"linf": "L∞", "l2": "L2"}

_KEY = re.compile(
    r"^(?P<name>[A-Za-z0-9_]+)(?:-(?P<steps>[0-9]+))?(?::(?P<settings>[^@#]*))?"
    r"(?:@(?P<norm>linf|l2):(?P<radius>[^#]+))?(?:#(?P<run>[0-9]+))?$"
)


def describe(key: str) -> Measure:
    """Return what a key says. A key of another form is the name of a number without unit."""
    match = _KEY.match(key)
    parts: dict[str, str | None] = match.groupdict() if match else {}
    name = parts.get("name") or key
    title, unit, scale = NUMBERS.get(name, (name.replace("_", " ").capitalize(), "", 1.0))
    is_share = name in ACCURACIES
    steps = parts.get("steps")
    settings = parts.get("settings")
    run = int(parts.get("run") or 1)
    label = TITLES.get(name, title) + (f"-{steps}" if steps else "")
    if settings:
        label += f" ({settings.replace(':', ', ').replace('=', ' ')})"
    if run > 1:
        label += f" (run {run})"
    radius = _parse_radius(parts.get("radius"))
    norm = parts.get("norm") if radius is not None else None
    return Measure(
        key=key,
        name=name,
        title=f"{label}, {NORMS[norm]}, {parts['radius']}" if norm else label,
        label=label,
        unit="%" if is_share else unit,
        scale=100.0 if is_share else scale,
        accuracy=is_share,
        norm=norm,
        radius=radius,
        steps=int(steps) if steps else None,
        version=settings or ("standard" if name == "autoattack" else None),
        run=run,
    )


def _parse_radius(text: str | None) -> float | None:
    """Return 8/255 or 0.5 as a number; None for other text."""
    if text is None:
        return None
    numerator, slash, denominator = text.partition("/")
    try:
        radius = float(numerator) / float(denominator) if slash else float(text)
    except (ValueError, ZeroDivisionError):
        return None
    return radius if math.isfinite(radius) else None


def column_heading(key: str) -> str:
    """Return the heading of a measure's column, with the unit: PGD-20, L∞, 8/255 %."""
    return describe(key).heading


def format_value(key: str, value: float) -> str:
    """Return a value in the unit of the heading, without the unit."""
    measure = describe(key)
    return f"{measure.scale * value:{'.2f' if measure.accuracy else '.4g'}}"


def format_mean(key: str, mean: float, sd: float | None) -> str:
    """Return mean ± standard deviation in the unit of the measure's heading."""
    text = format_value(key, mean)
    return text if sd is None else f"{text} ± {format_value(key, sd)}"


def find_key(keys: Iterable[str], text: str) -> str | None:
    """Return the key that ``text`` names: a key, or the name of an attack that only one key has.

    None if there is none. Raises ClientError if several have that name: accuracies under unlike
    threat models are never taken for each other.
    """
    keys = list(keys)
    if text in keys:
        return text
    matches = [key for key in keys if text in (describe(key).name, key.partition("@")[0])]
    if len(matches) > 1:
        raise ClientError(f"{text} may be any of {', '.join(matches)}: name one of them.")
    return matches[0] if matches else None
