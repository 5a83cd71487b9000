"""What a result's key says: the measure, the attack's settings and the threat model.

    clean                                    no attack
    pgd-20@linf:8/255                        PGD-20 in the L-infinity ball of radius 8/255
    pgd-20:restarts=5@linf:8/255             settings that are not the usual ones
    autoattack@l2:0.5                        the standard version
    autoattack:stages=apgd-ce+square@linf:8/255
    pgd-20@linf:8/255#2                      the same attack once more, from other random starts
    ece_adversarial@linf:8/255               a number of an analysis that attacks

Keys stand in reports, in the database, in responses and in tables of sweeps, so that no number is
without its threat model. The client has the same titles (client/distill_client/measures.py).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from core.reportspec.threat_model import Norm, ThreatModel, parse_threat_model

ACCURACIES = {
    "clean": "Clean",
    "pgd": "PGD",
    "cw": "CW",
    "autoattack": "AutoAttack",
    "transfer": "Transfer of PGD-20",
    "held_out_clean": "Held-out clean",
    "held_out_pgd": "Held-out PGD",
}
"""By name, the titles of results that are shares of all images, in the order of display."""
ATTACKS = ("pgd", "cw", "autoattack")
"""Measures that are the accuracy on the test images under an attack of the spec."""
HELD_OUT_ROBUST = "held_out_pgd"
TITLES = {
    **ACCURACIES,
    "grad_cam": "Grad-CAM",
    "examples": "Adversarial examples",
    "per_class": "Accuracy by class",
}


@dataclass(frozen=True)
class MeasureUnit:
    """Title and unit of a number. ``scale`` converts the stored value into the unit."""

    title: str
    unit: str = ""
    scale: float = 1.0

    def text(self, value: float) -> str:
        return f"{self.scale * value:.4g} {self.unit}".rstrip()


ANALYSIS_NUMBERS = {
    "variance_gap_features": MeasureUnit("Variance gap of features under PGD-20", "%"),
    "variance_gap_gram": MeasureUnit("Variance gap of Gram matrices under PGD-20", "%"),
    "effective_rank_features": MeasureUnit("Effective rank of the joint covariance under PGD-20"),
    "effective_rank_gram": MeasureUnit("Effective rank of the Gram matrix under PGD-20"),
    "grad_cam_shift": MeasureUnit("Change of Grad-CAM, 0 to 1, under PGD-20"),
    "ece": MeasureUnit("Expected calibration error, clean"),
    "ece_adversarial": MeasureUnit("Expected calibration error under PGD-20"),
    "masking_square_drop": MeasureUnit("Accuracy lost to Square after APGD", "points", 100),
    "masking_large_radius": MeasureUnit("Accuracy at a large radius under PGD-20", "%", 100),
}
"""By name, the numbers that analyses yield."""
UNDER_ATTACK = frozenset(ANALYSIS_NUMBERS) - {"ece"} | {"transfer"}
"""Numbers of analyses that attack: their keys have a threat model."""
NUMBERS = {
    **ANALYSIS_NUMBERS,
    "training_seconds_per_epoch": MeasureUnit("Training time per epoch", "s"),
}
"""By name, the results of a job that are no accuracies."""

T = TypeVar("T")
_KEY = re.compile(
    r"^(?P<name>[A-Za-z0-9_]+)(?:-(?P<steps>[0-9]+))?(?::(?P<settings>[^@#]*))?"
    r"(?:@(?P<threat>(?:linf|l2):[^#]+))?(?:#(?P<run>[0-9]+))?$"
)


class Measure(BaseModel):
    """What a result's key says, for people and for programs."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    key: str
    """Under which results have it."""
    name: str
    """The attack (pgd, cw, autoattack), clean, or the number of an analysis."""
    title: str
    """For people: "AutoAttack, L∞, 8/255"."""
    label: str
    """The title without the threat model: "AutoAttack"."""
    unit: str
    """Of the value times `scale`; empty for a number without unit."""
    scale: float
    accuracy: bool
    """Whether it is a share of all images, in [0, 1]."""
    norm: Norm | None
    """Norm of the perturbation; null without an attack."""
    radius: float | None
    """Radius of the perturbation, on pixels in [0, 1]; in L2, of the whole image."""
    steps: int | None
    """Steps of PGD or CW."""
    version: str | None
    """Of AutoAttack "standard", or what differs from it; of PGD and CW the settings that are not
    the usual ones, if any."""
    run: int = 1
    """2 for the second of two equal attacks of a job, which differ in their random starts."""

    @property
    def heading(self) -> str:
        """Title and unit: PGD-20, L∞, 8/255 %."""
        return f"{self.title} {self.unit}".rstrip()

    @property
    def threat_model(self) -> ThreatModel | None:
        if self.norm is None or self.radius is None:
            return None
        return ThreatModel(self.norm, self.radius)

    @property
    def is_test_robustness(self) -> bool:
        """Whether it is the accuracy on the test images under an attack of the spec."""
        return self.name in ATTACKS and self.threat_model is not None


def threat_key(name: str, threat_model: ThreatModel) -> str:
    """Return the key of a number that depends on a threat model."""
    return f"{name}@{threat_model.key}"


@lru_cache(maxsize=4096)
def describe(key: str) -> Measure:
    """Return what a key says. A key of another form is the name of a number without unit."""
    match = _KEY.match(key)
    name = match["name"] if match else key
    settings = match["settings"] if match else None
    steps = match["steps"] if match else None
    run = int(match["run"]) if match and match["run"] else 1
    threat = parse_threat_model(match["threat"]) if match and match["threat"] else None
    is_accuracy = name in ACCURACIES
    number = NUMBERS.get(name, MeasureUnit(TITLES.get(name, name.replace("_", " ").capitalize())))
    label = TITLES.get(name, number.title) + (f"-{steps}" if steps else "")
    if settings:
        label += f" ({settings.replace(':', ', ').replace('=', ' ')})"
    if run > 1:
        label += f" (run {run})"
    return Measure(
        key=key,
        name=name,
        title=label if threat is None else f"{label}, {threat.title}",
        label=label,
        unit="%" if is_accuracy else number.unit,
        scale=100.0 if is_accuracy else number.scale,
        accuracy=is_accuracy,
        norm=threat.norm if threat else None,
        radius=threat.radius if threat else None,
        steps=int(steps) if steps else None,
        version=settings or ("standard" if name == "autoattack" else None),
        run=run,
    )


def find_by_name(results: Mapping[str, T], name: str) -> T | None:
    """Return the first result whose key has this name, whatever its threat model."""
    return next((value for key, value in results.items() if describe(key).name == name), None)


def is_accuracy(key: str) -> bool:
    return describe(key).accuracy


def sort_key(key: str) -> tuple[int, str, float, int, str]:
    """Sort accuracies first, by threat model and then in the order of display; then all else.

    Accuracies on the test images come before those of another network's images and held-out ones.
    """
    measure = describe(key)
    order = list(ACCURACIES)
    if not measure.accuracy:
        return (2, measure.name, measure.radius or 0.0, 0, key)
    on_test_images = measure.name == "clean" or measure.is_test_robustness
    # "linf" comes before "l2", and clean accuracy before both.
    norm = {None: "", "linf": "1", "l2": "2"}[measure.norm]
    position = order.index(measure.name)
    return (0 if on_test_images else 1, norm, measure.radius or 0.0, position, key)


def measure_title(key: str) -> str:
    """pgd-20@linf:8/255 -> PGD-20, L∞, 8/255; radius_sweep -> Radius sweep."""
    return describe(key).title


def measure_label(key: str) -> str:
    """Return the title without the threat model: pgd-20@linf:8/255 -> PGD-20."""
    return describe(key).label


def column_heading(key: str) -> str:
    """Return the title with its unit: PGD-20, L∞, 8/255 %."""
    return describe(key).heading


def format_value(key: str, value: float) -> str:
    """Return a value in its unit, without the unit: 52.36."""
    measure = describe(key)
    return f"{measure.scale * value:{'.2f' if measure.accuracy else '.4g'}}"
