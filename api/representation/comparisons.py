"""The bodies of comparisons."""

from pydantic import ConfigDict

from api.representation.schemas import JobKind, MetricSeries, ResponseBody, Time
from core.jobspec.status import Status
from core.reportspec.comparison import ComparedSettings, ComparisonSection


class ComparedJob(ResponseBody):
    model_config = ConfigDict(frozen=True)

    id: str
    name: str | None
    kind: JobKind
    status: Status
    method: str | None
    student: str | None
    dataset_id: str | None
    teacher_id: str | None
    model_id: str | None
    """The published student, or the model that an evaluation measured."""
    parameters: int | None
    """Of that model."""
    sweep_id: str | None
    sweep_line: str | None
    metadata: dict[str, str]
    created_at: Time


class ComparisonResponse(ResponseBody):
    """Jobs beside each other."""

    base: str
    """Id of the job that the others are compared to."""
    jobs: list[ComparedJob]
    """In the order of the request."""
    settings: ComparedSettings
    sections: list[ComparisonSection]
    """By data set and threat model: unlike ones never share a column."""


class JobSeries(ResponseBody):
    job_id: str
    series: list[MetricSeries]
    """Those of the metrics that the job has; none for one that has not been trained."""


class ComparedMetricsResponse(ResponseBody):
    """Metrics of several jobs."""

    jobs: list[JobSeries]
    """In the order of the request."""
