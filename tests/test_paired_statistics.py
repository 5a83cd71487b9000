"""Tests and intervals of differences: against scipy, by published values, and by simulation."""

import math
import random

import pytest
from scipy import stats

from core.paired_statistics import (
    ERROR_RATE,
    PairedCounts,
    SampleCounts,
    compare,
    count_pairs,
    holm,
    mcnemar_p,
    normal_quantile,
)
from tests.measured_jobs import pack


@pytest.mark.parametrize("discordant", [0, 1, 5, 14, 30, 101, 1000, 9999])
def test_mcnemar_p_is_the_exact_binomial_of_scipy(discordant: int) -> None:
    for only_first in {0, 1, discordant // 3, discordant // 2, discordant}:
        if only_first > discordant:
            continue
        p = mcnemar_p(only_first, discordant - only_first)
        exact = stats.binomtest(only_first, discordant, 0.5).pvalue if discordant else 1.0
        assert p == pytest.approx(exact, rel=1e-9, abs=1e-300)
        assert p == mcnemar_p(discordant - only_first, only_first)


@pytest.mark.parametrize(
    ("counts", "interval"),
    [
        # As the R package contingencytables has them, of Fagerland, Lydersen and Laake's book.
        (PairedCounts(59, 6, 16, 80), (-0.1186, -0.0046)),
        (PairedCounts(1, 0, 0, 1), (-0.5734, 0.5734)),
        # Without discordant images, and with nothing else.
        (PairedCounts(0, 0, 0, 54), (-0.0664, 0.0664)),
        (PairedCounts(0, 30, 0, 0), (0.8394, 1.0)),
    ],
)
def test_paired_interval_is_newcombes(counts: PairedCounts, interval: tuple[float, float]) -> None:
    assert counts.interval(0.95) == pytest.approx(interval, abs=6e-4)


def test_paired_interval_is_symmetric() -> None:
    low, high = PairedCounts(100, 30, 12, 58).interval(0.95)
    other_low, other_high = PairedCounts(100, 12, 30, 58).interval(0.95)
    assert (low, high) == pytest.approx((-other_high, -other_low))


def test_two_sample_interval_is_newcombes() -> None:
    """As the R package contingencytables has it."""
    assert SampleCounts(7, 34, 1, 34).interval(0.95) == pytest.approx((0.0189, 0.3404), abs=1e-4)


def test_two_sample_p_is_that_of_the_pooled_z_test() -> None:
    counts = SampleCounts(56, 70, 48, 80)
    table = [[56, 14], [48, 32]]
    assert counts.p == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    assert SampleCounts(5, 5, 7, 7).p == 1.0


def test_quantile_is_the_normals() -> None:
    for level in (0.5, 0.95, 1 - 0.05 / 299):
        assert normal_quantile(level) == pytest.approx(stats.norm.ppf((1 + level) / 2), rel=1e-9)


def test_holm_by_hand() -> None:
    assert holm([]) == []
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_masks_are_counted_without_their_padding() -> None:
    images = 13
    counts = count_pairs(pack({0, 1, 2, 12}, images), pack({1, 2, 5}, images), images)
    assert counts == PairedCounts(both=2, only_first=2, only_second=1, neither=8)
    assert counts.difference == pytest.approx(1 / 13)


def test_test_and_interval_never_disagree() -> None:
    """Of all families of small tables: an interval excludes 0 only where the test does."""
    generator = random.Random(0)
    for _ in range(2000):
        images = generator.choice([30, 100, 360])
        family = []
        for _ in range(generator.choice([1, 2, 4, 20])):
            first = generator.randint(0, images // 3)
            second = generator.randint(0, images // 3)
            both = generator.randint(0, images - first - second)
            family.append(PairedCounts(both, first, second, images - first - second - both))
        for difference in compare(family):
            assert difference.low <= difference.value <= difference.high
            if difference.verdict == "not distinguishable":
                assert difference.adjusted_p > ERROR_RATE
                assert difference.low <= 0 <= difference.high
            else:
                assert difference.adjusted_p <= ERROR_RATE
                sign = 1 if difference.verdict == "higher" else -1
                assert sign * difference.value > 0
                assert difference.low * difference.high >= 0


@pytest.mark.parametrize(
    ("only_first", "only_second", "both"),
    [(0.05, 0.05, 0.5), (0.02, 0.01, 0.9), (0.15, 0.05, 0.4), (0.3, 0.0, 0.6)],
)
def test_intervals_cover_together_as_often_as_they_say(
    only_first: float, only_second: float, both: float
) -> None:
    """Four networks against one base, on the same images: 95 % of all families hold entirely."""
    families = 1500
    images = 360
    covered = 0
    generator = random.Random(1)
    weights = [both, only_first, only_second, 1 - both - only_first - only_second]
    for _ in range(families):
        family = []
        for _ in range(4):
            draws = generator.choices(range(4), weights, k=images)
            family.append(PairedCounts(*(draws.count(cell) for cell in range(4))))
        truth = only_first - only_second
        covered += all(difference.low <= truth <= difference.high for difference in compare(family))
    error = math.sqrt(0.95 * 0.05 / families)
    assert covered / families >= 0.95 - 3 * error


def test_equal_networks_are_rarely_told_apart() -> None:
    """The error rate of a whole family is at most 5 %."""
    families = 1500
    generator = random.Random(2)
    errors = 0
    for _ in range(families):
        family = []
        for _ in range(6):
            discordant = generator.randint(0, 60)
            first = sum(generator.random() < 0.5 for _ in range(discordant))
            family.append(PairedCounts(200, first, discordant - first, 160 - discordant))
        errors += any(difference.verdict != "not distinguishable" for difference in compare(family))
    assert errors / families <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / families)
