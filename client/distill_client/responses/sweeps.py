"""Sweeps, and their tables."""

from typing import Any

from distill_client.responses.base import ResponseModel
from distill_client.responses.estimates import MemoryEstimate, QueueEstimate, TimeEstimate
from distill_client.responses.measures import Measure


class Sweep(ResponseModel):
    """Many jobs that were submitted together. Lists leave out ``spec``."""

    id: str
    name: str | None = None
    size: int
    """The number of jobs."""
    jobs: dict[str, int]
    """The number of jobs by status."""
    terminal: bool
    """True once every job has ended."""
    created_at: str
    spec: dict[str, Any] = {}


class SweepDryRunJob(ResponseModel):
    """One job that a sweep would submit."""

    title: str
    """The job's line in the table, and its seed."""
    spec: dict[str, Any]
    """Fully resolved."""


class SweepEstimate(ResponseModel):
    """What the jobs of a sweep would take together."""

    time: list[TimeEstimate] = []
    """The sum over all jobs, one after the other, for each kind of device."""
    memory: MemoryEstimate
    """Of the job that needs the most."""
    queue: QueueEstimate


class SweepDryRun(ResponseModel):
    """The result of validating a sweep without submitting it."""

    jobs: list[SweepDryRunJob]
    network_passes: int
    """Forward passes of one image through one network, over all jobs."""
    estimate: SweepEstimate | None = None
    """None from services of earlier versions."""
    warnings: list[str] = []


class SweepCell(ResponseModel):
    """One measure over the seeds of a line."""

    mean: float
    sd: float | None
    """Standard deviation over the seeds (divided by n - 1); None for a single seed."""
    n: int


class SweepLine(ResponseModel):
    """One combination of a sweep's settings, over its seeds."""

    name: str
    jobs: int
    done: int
    """The jobs that have succeeded; the cells are means over these."""
    best: bool
    """True for the complete line with the highest robust accuracy on held-out images, of those
    that were validated under the same threat model."""
    cells: dict[str, SweepCell]
    """By the measure's key."""


class SweepTable(ResponseModel):
    """A sweep's results: a line for each combination of settings."""

    network: str
    """best: the epoch selected by held-out images; last: the last epoch; model: of evaluations."""
    measures: list[str]
    """The key of every measure that at least one line has; accuracies first, by threat model."""
    descriptions: dict[str, Measure]
    """What each key says."""
    lines: list[SweepLine]
