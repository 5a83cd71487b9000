"""Accuracies as comparisons read them, and which of them may stand beside each other.

Those of one data set under one threat model make a section. Within it the strongest attack decides:
AutoAttack where it was run, whatever numbers the attacks gave. This is the one rule of the service.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from core.paired_statistics import Counts, Difference, PairedCounts, SampleCounts, count_pairs
from core.reportspec.measures import HELD_OUT_ROBUST, describe, sort_key
from core.reportspec.result_columns import MAIN_NETWORKS
from core.reportspec.threat_model import ThreatModel

CLEAN = "clean"
STRENGTHS = {"autoattack": 3, "cw": 2, "pgd": 1}
"""By attack: the one with the greatest number decides."""


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


@dataclass(frozen=True)
class Accuracy:
    """One accuracy of a network. ``low`` and ``high`` bound Wilson's 95 % interval."""

    key: str
    value: float
    images: int | None = None
    low: float | None = None
    high: float | None = None
    image_set: str | None = None
    mask: bytes | None = field(default=None, repr=False)
    per_class: Sequence[float | None] | None = field(default=None, repr=False)

    def is_paired_with(self, other: "Accuracy") -> bool:
        """Return whether both are of one attack on the same images, and both masks are stored."""
        has_masks = self.mask is not None and other.mask is not None
        same_images = self.image_set is not None and self.image_set == other.image_set
        return has_masks and same_images and (self.key, self.images) == (other.key, other.images)


Accuracies = Mapping[str, Accuracy]
"""By key."""


class AccuracyValue(Part):
    value: float
    """Share of the images, in [0, 1]."""
    low: float | None
    """Of Wilson's 95 % interval, with the images as a sample; null for results of earlier
    versions."""
    high: float | None
    images: int | None


class DifferenceValue(Part):
    """An accuracy less that of another network, adjusted with all comparisons of its section."""

    value: float
    low: float | None
    """Of the interval, in [-1, 1]. The intervals of a section hold together with 95 %. Null where
    the images of one of both were not counted: a result of an earlier version."""
    high: float | None
    p: float | None
    """Of this comparison alone: McNemar's exact test if paired, else the z test of two shares."""
    adjusted_p: float | None
    """Adjusted by Holm's method."""
    verdict: str
    """higher, lower or not distinguishable; not compared without numbers of images."""
    paired: bool
    """Whether the same images were counted under the same attack."""
    only_this: int | None
    """Images that only this network classifies correctly, and the other does not. Null unless
    paired."""
    only_other: int | None
    """Images that only the other network classifies correctly."""
    note: str | None
    """Why the comparison is not paired, as a sentence."""


def to_value(accuracy: Accuracy) -> AccuracyValue:
    return AccuracyValue(
        value=accuracy.value, low=accuracy.low, high=accuracy.high, images=accuracy.images
    )


def strength(key: str) -> tuple[int, bool, int, str]:
    """Return a sort key: the greatest is that of the attack that decides."""
    measure = describe(key)
    is_usual = measure.version in (None, "standard")
    return (STRENGTHS.get(measure.name, 0), is_usual, measure.steps or 0, key)


def is_test_accuracy(key: str) -> bool:
    """Return whether it is clean, or the first run of an attack of a spec, on test images."""
    measure = describe(key)
    return key == CLEAN or (measure.is_test_robustness and measure.run == 1)


def threat_model_of(key: str) -> ThreatModel | None:
    """Return the threat model of a key; None without an attack."""
    return describe(key).threat_model


def main_results(results: Mapping[str, Mapping[str, float]] | None) -> Mapping[str, float]:
    """Return a job's results of the network that counts, by key; empty without any."""
    networks = results or {}
    return next((networks[name] for name in MAIN_NETWORKS if networks.get(name)), {})


def section_keys(keys: Iterable[str], threat_model: ThreatModel | None) -> list[str]:
    """Return clean and the attacks under a threat model, in the order of tables."""
    own = None if threat_model is None else threat_model.key
    in_section = []
    for key in keys:
        other = threat_model_of(key)
        if key == CLEAN or (other is not None and other.key == own):
            in_section.append(key)
    return sorted(dict.fromkeys(in_section), key=sort_key)


def deciding_key(keys: Iterable[str]) -> str | None:
    """Return the strongest attack of a section; clean if nothing was attacked."""
    return max(keys, key=strength, default=None)


def deciding_keys(keys: Iterable[str]) -> list[str]:
    """Return the strongest attack under each threat model, of the keys of one network.

    That under which the network was trained comes first, as far as a held-out accuracy tells, then
    that of the strongest attack.
    """
    keys = list(keys)
    own = next(
        (threat_model_of(key) for key in keys if describe(key).name == HELD_OUT_ROBUST), None
    )
    by_threat_model: dict[str, list[str]] = {}
    for key in keys:
        threat_model = threat_model_of(key)
        if threat_model is not None and is_test_accuracy(key):
            by_threat_model.setdefault(threat_model.key, []).append(key)

    def order(key: str) -> tuple[bool, tuple[int, bool, int, str]]:
        threat_model = threat_model_of(key)
        is_own = own is not None and threat_model is not None and threat_model.key == own.key
        return is_own, strength(key)

    strongest = [max(group, key=strength) for group in by_threat_model.values()]
    return sorted(strongest, key=order, reverse=True)


def pair(first: Accuracy, second: Accuracy) -> Counts | None:
    """Return the counts to compare: paired where that is possible.

    None where the number of images of either is not known.
    """
    if not first.images or not second.images:
        return None
    if first.is_paired_with(second) and first.mask is not None and second.mask is not None:
        return count_pairs(first.mask, second.mask, first.images)
    return SampleCounts(
        round(first.value * first.images),
        first.images,
        round(second.value * second.images),
        second.images,
    )


def to_difference(
    first: Accuracy, second: Accuracy, counts: Counts | None, difference: Difference | None
) -> DifferenceValue:
    """``difference`` of ``counts``; both None where the images of either were not counted."""
    is_paired = isinstance(counts, PairedCounts)
    return DifferenceValue(
        value=first.value - second.value if difference is None else difference.value,
        low=None if difference is None else difference.low,
        high=None if difference is None else difference.high,
        p=None if difference is None else difference.p,
        adjusted_p=None if difference is None else difference.adjusted_p,
        verdict="not compared" if difference is None else difference.verdict,
        paired=is_paired,
        only_this=counts.only_first if isinstance(counts, PairedCounts) else None,
        only_other=counts.only_second if isinstance(counts, PairedCounts) else None,
        note=None if is_paired else _unpaired_note(first, second, counts),
    )


def _unpaired_note(first: Accuracy, second: Accuracy, counts: Counts | None) -> str:
    if counts is None:
        return (
            "Not compared: how many images one of them was measured on is not known, as it is a "
            "result of an earlier version. Evaluate its model again."
        )
    if first.mask is None or second.mask is None:
        reason = "which images are correct was not stored for one of them"
    elif first.image_set != second.image_set:
        reason = "they were measured on other images"
    else:
        reason = "it is not known whether they were measured on the same images"
    return f"Not paired, because {reason}: compared as two samples, which distinguishes less."
