"""Comparisons of accuracies: on the same images (paired), or on two samples.

An accuracy is the share of images that a network classifies correctly, clean or under an attack.
Of two networks on the same images only those count that one of them gets right and the other wrong:
the discordant ones. The test is McNemar's (1947), exact: the sign test of the discordant images.
The interval of the difference is Newcombe's (1998, Statistics in Medicine 17:2635, method 10).
On two samples the test is the pooled z test, and the interval is Newcombe's for these (1998,
Statistics in Medicine 17:873, method 10).

Several comparisons are adjusted together: p by Holm (1979), intervals by Bonferroni, so that all of
them hold at once with 95 %. Test and interval answer by two ways, and could disagree near the
boundary; ``compare`` lets the test decide, and extends the interval to 0, or ends it there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Literal

from core.summary_statistics import wilson_interval

ERROR_RATE = 0.05
"""Of all comparisons that are adjusted together."""
Verdict = Literal["higher", "lower", "not distinguishable"]
NEGLIGIBLE = 1e-17
"""Terms of a sum that are smaller than this share of it do not change it."""


@dataclass(frozen=True)
class PairedCounts:
    """Images by which of two networks classifies them correctly."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def images(self) -> int:
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def difference(self) -> float:
        """Accuracy of the first less that of the second, in [-1, 1]."""
        return (self.only_first - self.only_second) / self.images

    @property
    def p(self) -> float:
        return mcnemar_p(self.only_first, self.only_second)

    def interval(self, level: float) -> tuple[float, float]:
        return paired_interval(self, level)


@dataclass(frozen=True)
class SampleCounts:
    """Correct images of two networks on samples of their own."""

    first: int
    first_images: int
    second: int
    second_images: int

    @property
    def difference(self) -> float:
        """Accuracy of the first less that of the second, in [-1, 1]."""
        return self.first / self.first_images - self.second / self.second_images

    @property
    def p(self) -> float:
        return two_sample_p(self)

    def interval(self, level: float) -> tuple[float, float]:
        return two_sample_interval(self, level)


Counts = PairedCounts | SampleCounts


@dataclass(frozen=True)
class Difference:
    """The difference of two accuracies, first less second, adjusted with all of its family."""

    value: float
    low: float
    high: float
    p: float
    """Of this comparison alone."""
    adjusted_p: float
    verdict: Verdict
    """Of the first against the second."""


def count_pairs(first: bytes, second: bytes, images: int) -> PairedCounts:
    """Count the images of two masks: packed bits, one for each image, in the same order."""
    first_bits = int.from_bytes(first, "big")
    second_bits = int.from_bytes(second, "big")
    both = (first_bits & second_bits).bit_count()
    only_first = first_bits.bit_count() - both
    only_second = second_bits.bit_count() - both
    return PairedCounts(both, only_first, only_second, images - both - only_first - only_second)


@lru_cache(maxsize=2**16)
def mcnemar_p(only_first: int, only_second: int) -> float:
    """Return the two-sided exact p of McNemar's test: twice the smaller tail of Binomial(n, 1/2).

    It is 1 without discordant images.
    """
    discordant = only_first + only_second
    count = min(only_first, only_second)
    log_term = (
        math.lgamma(discordant + 1)
        - math.lgamma(count + 1)
        - math.lgamma(discordant - count + 1)
        - discordant * math.log(2)
    )
    # The largest term first: each next one is smaller by count / (discordant - count + 1).
    term = tail = 1.0
    while count > 0 and term > NEGLIGIBLE * tail:
        term *= count / (discordant - count + 1)
        tail += term
        count -= 1
    return min(1.0, 2 * tail * math.exp(log_term))


def paired_interval(counts: PairedCounts, level: float) -> tuple[float, float]:
    """Return the interval of the difference on the same images (Newcombe, 1998, method 10).

    ``level``: such as 0.95.
    """
    images = counts.images
    first = (counts.both + counts.only_first) / images
    second = (counts.both + counts.only_second) / images
    correlation = _correlation(counts)
    return _square_and_add((first, images), (second, images), correlation, level)


def two_sample_interval(counts: SampleCounts, level: float) -> tuple[float, float]:
    """Return the interval of the difference on two samples (Newcombe, 1998, method 10)."""
    first = counts.first / counts.first_images
    second = counts.second / counts.second_images
    return _square_and_add((first, counts.first_images), (second, counts.second_images), 0.0, level)


def two_sample_p(counts: SampleCounts) -> float:
    """Return the two-sided p of the z test of two shares, with their pooled variance."""
    images = counts.first_images + counts.second_images
    pooled = (counts.first + counts.second) / images
    inverse = 1 / counts.first_images + 1 / counts.second_images
    variance = pooled * (1 - pooled) * inverse
    if variance <= 0:
        return 1.0
    return math.erfc(abs(counts.difference) / math.sqrt(2 * variance))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted by Holm's step-down method, in the same order."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    by_size = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, index in enumerate(by_size):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def compare(family: Sequence[Counts]) -> list[Difference]:
    """Return the differences of a family of comparisons, whose p and intervals hold together."""
    level = 1 - ERROR_RATE / max(1, len(family))
    p_values = [counts.p for counts in family]
    return [
        _difference(counts, p, adjusted_p, level)
        for counts, p, adjusted_p in zip(family, p_values, holm(p_values), strict=True)
    ]


def _difference(counts: Counts, p: float, adjusted_p: float, level: float) -> Difference:
    value = counts.difference
    low, high = counts.interval(level)
    verdict: Verdict = "not distinguishable"
    if adjusted_p > ERROR_RATE:
        low, high = min(low, 0.0), max(high, 0.0)
    elif value > 0:
        low, verdict = max(low, 0.0), "higher"
    else:
        high, verdict = min(high, 0.0), "lower"
    return Difference(value, low, high, p, adjusted_p, verdict)


def _correlation(counts: PairedCounts) -> float:
    """Return Newcombe's correlation of the two accuracies: phi, corrected for continuity."""
    first = counts.both + counts.only_first
    second = counts.both + counts.only_second
    images = counts.images
    product = first * (images - first) * second * (images - second)
    if product == 0:
        return 0.0
    numerator = float(counts.both * counts.neither - counts.only_first * counts.only_second)
    if numerator > 0:
        numerator = max(0.0, numerator - images / 2)
    return numerator / math.sqrt(product)


def _square_and_add(
    first: tuple[float, int], second: tuple[float, int], correlation: float, level: float
) -> tuple[float, float]:
    """Combine Wilson's intervals of two shares, each with its number of images."""
    z = normal_quantile(level)
    first_low, first_high = wilson_interval(*first, z)
    second_low, second_high = wilson_interval(*second, z)
    share, other = first[0], second[0]
    difference = share - other
    below = _norm(share - first_low, second_high - other, correlation)
    above = _norm(first_high - share, other - second_low, correlation)
    return max(-1.0, difference - below), min(1.0, difference + above)


def _norm(first: float, second: float, correlation: float) -> float:
    return math.sqrt(max(0.0, first**2 - 2 * correlation * first * second + second**2))


@lru_cache(maxsize=1024)
def normal_quantile(level: float) -> float:
    """Return how many standard deviations around 0 hold the share ``level`` of a normal."""
    return NormalDist().inv_cdf((1 + level) / 2)
