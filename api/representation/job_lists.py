"""A list of jobs as a response, and how many jobs it has."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from api.representation.pagination import page_of
from api.representation.schemas import JobSummaryResponse, Page, ResponseBody
from core.jobspec.status import STATUSES, Status
from core.reportspec.accuracies import main_results
from core.reportspec.result_sections import ResultSection, result_sections


class JobPage(Page[JobSummaryResponse]):
    sections: list[ResultSection] = Field(default_factory=list)
    """By data set and threat model, which attack decides among the jobs on this page; that of most
    jobs first. Unlike data sets and threat models are never in one column."""


class JobCountsResponse(ResponseBody):
    """How many jobs match the filters of a list."""

    total: int
    statuses: dict[Status, int]
    """Number of jobs by status; all statuses, or those of the filter."""


def job_page(jobs: list[JobSummaryResponse], next_cursor: str | None) -> JobPage:
    sections = result_sections((job.dataset_id, main_results(job.results)) for job in jobs)
    return JobPage(**dict(page_of(jobs, next_cursor)), sections=sections)


def job_counts(counts: Mapping[Status, int], statuses: Iterable[Any]) -> JobCountsResponse:
    """``statuses``: those of the filter; empty for all."""
    by_status = {status: counts.get(status, 0) for status in tuple(statuses) or STATUSES}
    return JobCountsResponse(total=sum(by_status.values()), statuses=by_status)
