"""Comparisons of jobs, and the leaderboard."""

from typing import Any

from distill_client.responses.base import ResponseModel
from distill_client.responses.jobs import JobStatus
from distill_client.responses.measures import Measure


class ThreatModelDescription(ResponseModel):
    """What an adversary may do: change an image within a ball."""

    norm: str
    radius: float
    title: str
    """L∞, 8/255."""


class AccuracyValue(ResponseModel):
    """An accuracy with its 95 % interval, of the images as a sample."""

    value: float
    low: float | None = None
    high: float | None = None
    images: int | None = None


class DifferenceValue(ResponseModel):
    """An accuracy less that of another network, adjusted with all comparisons of its section."""

    value: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    adjusted_p: float | None = None
    verdict: str
    """higher, lower, not distinguishable, or not compared."""
    paired: bool
    """Whether the same images were counted under the same attack."""
    only_this: int | None = None
    """Images that only this network classifies correctly."""
    only_other: int | None = None
    note: str | None = None
    """Why the comparison is not paired."""


class ComparedSetting(ResponseModel):
    """A setting in which jobs differ."""

    path: str
    values: list[Any]
    """One for each job; None where it is not set."""


class ComparedSettings(ResponseModel):
    """The settings of compared jobs."""

    different: list[ComparedSetting]
    equal: int
    """The number of settings that are equal."""


class ComparedJob(ResponseModel):
    """A job of a comparison."""

    id: str
    name: str | None = None
    kind: str
    status: JobStatus
    method: str | None = None
    student: str | None = None
    model_id: str | None = None
    parameters: int | None = None


class ComparisonRow(ResponseModel):
    """One job's accuracies on a data set under a threat model."""

    job_id: str
    network: str
    results: dict[str, AccuracyValue]
    """By the measure's key."""
    differences: dict[str, DifferenceValue]
    """To the base job; {} for the base itself."""
    pareto: bool
    per_class: dict[str, list[float | None]] | None = None


class ComparisonSection(ResponseModel):
    """Jobs that were tested on one data set under one threat model."""

    dataset_id: str | None = None
    dataset: str | None = None
    threat_model: ThreatModelDescription | None = None
    """None under no attack."""
    deciding: str
    """Key of the strongest attack."""
    measures: list[str]
    descriptions: dict[str, Measure]
    comparisons: int
    rows: list[ComparisonRow]


class Comparison(ResponseModel):
    """Jobs beside each other."""

    base: str
    jobs: list[ComparedJob]
    settings: ComparedSettings
    sections: list[ComparisonSection]


class RankRange(ResponseModel):
    """The ranks that a model may have."""

    low: int
    high: int


class LeaderboardRow(ResponseModel):
    """A model of a leaderboard."""

    model_id: str
    name: str
    rank: RankRange | None = None
    """None where the section's deciding attack was not run on it."""
    results: dict[str, AccuracyValue]
    """By the measure's key."""
    deciding: str
    teacher_id: str | None = None
    difference: DifferenceValue | None = None
    """To its teacher."""
    architecture: str
    parameters: int | None = None
    method: str | None = None
    job_id: str | None = None
    measured_by: str | None = None


class LeaderboardSection(ResponseModel):
    """Models that were tested on one data set under one threat model."""

    dataset_id: str
    dataset: str
    threat_model: ThreatModelDescription | None = None
    deciding: str
    measures: list[str]
    descriptions: dict[str, Measure]
    rows: list[LeaderboardRow]
    compared: int
    """How many models the ranks are among."""
    has_more: bool


class Leaderboard(ResponseModel):
    """Models ranked by data set and threat model."""

    sections: list[LeaderboardSection]
