"""Seconds from passes: what a job will take, learned from jobs that have finished on the device.

Training and each kind of measure have a rate of their own, in seconds a pass. So what an attack
saves by leaving out images that it has broken is part of its rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from core.jobspec.cost.settings import TimeSettings
from core.store.database.tables import JobCostRow

CLOSE_MARGINS = (0.35, 0.15)
"""Relative width of the range around rates of jobs with the same networks, method and batches: from
one job, from several."""
SAME_MARGINS = (0.25, 0.1)
"""The same of jobs with the same settings throughout."""
DISTANT_MARGIN = 0.5
"""The same where method or batch size were others."""
UNKNOWN_MEASURE = (0.25, 1.5)
"""Range of a measure that no such job has made, relative to the rate of training."""


@dataclass(frozen=True)
class CostSettings:
    """What a job's time depends on, beside the device."""

    project_id: str
    architecture: str
    student: dict[str, object]
    teacher: dict[str, object] | None
    settings_sha256: str
    time: TimeSettings
    attack_passes: dict[str, int]
    """On one network, by name of the attack."""
    analysis_passes: dict[str, int]
    evaluations: int
    """Networks that are evaluated under the attacks, at most."""


@dataclass(frozen=True)
class Span:
    """An estimate with its range."""

    low: float
    middle: float
    high: float

    def __add__(self, other: "Span") -> "Span":
        return Span(self.low + other.low, self.middle + other.middle, self.high + other.high)

    def times(self, low: float, middle: float, high: float) -> "Span":
        return Span(self.low * low, self.middle * middle, self.high * high)

    def widen(self, margin: float) -> "Span":
        return self.times(1 - margin, 1.0, 1 + margin)


NOTHING = Span(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Prediction:
    """The seconds of a job, and from how many jobs they are learned."""

    seconds: Span
    jobs: int
    has_same_settings: bool = field(default=False)


def predict(settings: CostSettings, rows: Sequence[JobCostRow]) -> Prediction | None:
    """Predict from jobs on one device; None where none of them is like this one."""
    same = [
        row
        for row in rows
        if row.settings_sha256 == settings.settings_sha256 and row.project_id == settings.project_id
    ]
    if same:
        seconds = _span([_total(row) for row in same]).widen(_margin(SAME_MARGINS, same))
        return Prediction(seconds, len(same), has_same_settings=True)
    alike = [
        row
        for row in rows
        if row.student == settings.student and row.image_side == settings.time.image_side
    ]
    group, margin = _closest(settings, alike)
    if not group:
        return None
    training = _span([_training_rate(row) for row in group])
    seconds = training.times(*3 * [settings.time.training_passes])
    seconds += _evaluation(settings, alike, training)
    seconds += _span([row.other_seconds for row in group])
    return Prediction(seconds.widen(margin), len(group))


def _total(row: JobCostRow) -> float:
    measures: float = sum(measure["seconds"] for measure in row.measures.values())
    return row.training_seconds + measures + row.other_seconds


def _closest(settings: CostSettings, rows: Sequence[JobCostRow]) -> tuple[list[JobCostRow], float]:
    """Return the jobs most like this one, and how wide the range around their rates is."""
    if settings.time.training_passes == 0:
        return list(rows), _margin(CLOSE_MARGINS, rows)
    similar = [
        row
        for row in rows
        if row.training_passes > 0
        and row.teacher == settings.teacher
        and row.precision == settings.time.precision
        and row.compiled == settings.time.compiled
    ]
    close = [
        row
        for row in similar
        if row.method == settings.time.method and row.batch_size == settings.time.batch_size
    ]
    if close:
        return close, _margin(CLOSE_MARGINS, close)
    return similar, DISTANT_MARGIN


def _training_rate(row: JobCostRow) -> float:
    """Return the seconds of a pass; 0 for an evaluation."""
    return row.training_seconds / row.training_passes if row.training_passes else 0.0


def _evaluation(settings: CostSettings, rows: Sequence[JobCostRow], training: Span) -> Span:
    """Return the seconds of all measures.

    The last epoch's student is evaluated only where it is not the best one: as often as in the jobs
    before.
    """
    trainings = [row.evaluated_networks for row in rows if row.training_passes > 0]
    usual = sum(trainings) / len(trainings) if trainings else settings.evaluations
    networks = (1.0, min(usual, settings.evaluations), float(settings.evaluations))
    seconds = NOTHING
    for name, passes in settings.attack_passes.items():
        rate = _measure_rate(name, rows, training)
        seconds += rate.times(*(passes * count for count in networks))
    for name, passes in settings.analysis_passes.items():
        seconds += _measure_rate(name, rows, training).times(*3 * [passes])
    return seconds


def _measure_rate(name: str, rows: Sequence[JobCostRow], training: Span) -> Span:
    """Return the seconds of a pass of this kind of measure."""
    rates = [
        row.measures[name]["seconds"] / row.measures[name]["passes"]
        for row in rows
        if row.measures.get(name, {}).get("passes")
    ]
    if rates:
        return _span(rates)
    if training.middle > 0:
        return training.times(UNKNOWN_MEASURE[0], 1.0, UNKNOWN_MEASURE[1])
    measures = [measure for row in rows for measure in row.measures.values()]
    passes = sum(measure["passes"] for measure in measures)
    rate = sum(measure["seconds"] for measure in measures) / passes if passes else 0.0
    return Span(UNKNOWN_MEASURE[0] * rate, rate, UNKNOWN_MEASURE[1] * rate)


def _span(values: Sequence[float]) -> Span:
    return Span(min(values), median(values), max(values))


def _margin(margins: tuple[float, float], rows: Sequence[JobCostRow]) -> float:
    return margins[0] if len(rows) == 1 else margins[1]
