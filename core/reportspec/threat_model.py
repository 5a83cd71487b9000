"""A threat model: what an adversary may do to an image, as a norm and a radius.

An accuracy under attack means nothing without it, and accuracies under two of them cannot be
compared.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

Norm = Literal["linf", "l2"]
NORM_TITLES: dict[Norm, str] = {"linf": "L∞", "l2": "L2"}
LEVELS = 255
"""Steps between the pixel values 0 and 1 of an 8-bit image."""
RELATIVE_TOLERANCE = 1e-5
"""A radius this close to n/255 is n/255: people type 0.0313725."""
_KEY = re.compile(r"^(linf|l2):(.+)$")


def format_radius(radius: float) -> str:
    """Return 8/255 for a whole number of pixel levels, else the decimal number.

    Numbers of at most three decimals, such as 0.5, stay as they are.
    """
    if float(f"{radius:.3f}") == radius:
        return f"{radius:g}"
    levels = round(radius * LEVELS)
    if levels and math.isclose(radius * LEVELS, levels, rel_tol=RELATIVE_TOLERANCE):
        return f"{levels}/{LEVELS}"
    return repr(radius)


def parse_radius(text: str) -> float:
    """Return the radius that ``format_radius`` wrote. Raises ValueError."""
    numerator, slash, denominator = text.partition("/")
    return float(numerator) / float(denominator) if slash else float(text)


@dataclass(frozen=True)
class ThreatModel:
    """A ball around each image. ``radius`` is on pixels in [0, 1]; in L2, of the whole image."""

    norm: Norm
    radius: float

    @property
    def key(self) -> str:
        """linf:8/255, as in the key of a measure."""
        return f"{self.norm}:{format_radius(self.radius)}"

    @property
    def title(self) -> str:
        """L∞, 8/255."""
        return f"{NORM_TITLES[self.norm]}, {format_radius(self.radius)}"

    def equals(self, other: "ThreatModel") -> bool:
        """Return whether both are the same up to the rounding of a typed radius."""
        return self.key == other.key


def parse_threat_model(key: str) -> ThreatModel | None:
    """Return the threat model that ``ThreatModel.key`` wrote; None for other text."""
    match = _KEY.match(key)
    if match is None:
        return None
    try:
        radius = parse_radius(match.group(2))
    except (ValueError, ZeroDivisionError):
        return None
    if not math.isfinite(radius):
        return None
    return ThreatModel("l2" if match.group(1) == "l2" else "linf", radius)
