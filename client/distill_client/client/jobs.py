"""Jobs: submitting, following and operating them."""

from collections.abc import Iterator, Mapping
from typing import Any

from distill_client import events
from distill_client.client.base import Requests, Spec, job_path, request_body, result_params
from distill_client.events import OnUpdate
from distill_client.responses import (
    Attempt,
    DryRun,
    Event,
    Job,
    JobCounts,
    LogLine,
    Page,
    parse_response,
)
from distill_client.streams import logs


class JobRequests(Requests):
    """Requests about jobs."""

    def submit(self, spec: Spec) -> Job:
        """Submit a job."""
        return parse_response(Job, self.transport.post("jobs", request_body(spec)))

    def dry_run(self, spec: Spec) -> DryRun:
        """Validate a job and estimate its cost, without submitting it.

        ``estimate.memory`` is pending at first: a worker works it out within seconds.
        """
        return parse_response(
            DryRun, self.transport.post("jobs", request_body(spec), {"dry_run": True})
        )

    def job(self, job_id: str) -> Job:
        """Return one job."""
        return events.get_job(self.transport, job_id)

    def jobs(
        self,
        *,
        metadata: Mapping[str, str] | None = None,
        results: Mapping[str, str] | None = None,
        deleted: bool = False,
        **filters: str | list[str] | None,
    ) -> Iterator[Job]:
        """Iterate over jobs, or with ``deleted`` over those that ``restore`` would restore.

        Filters: status (one or several), kind, method, student, dataset, sweep, and q, words of
        which each is the beginning of one in the id, name or metadata. ``results``: bounds by the
        key of a result, such as ``{"autoattack@linf:8/255": ">=0.5"}``. ``sort``: -created_at, the
        default, created_at, -finished_at or finished_at, which list jobs that have ended, or the
        key of a result, such as -autoattack@linf:8/255.
        """
        params = _filter_params(metadata, results, deleted, filters)
        return self._pages("jobs", Page[Job], params)

    def count_jobs(
        self,
        *,
        metadata: Mapping[str, str] | None = None,
        results: Mapping[str, str] | None = None,
        deleted: bool = False,
        **filters: str | list[str] | None,
    ) -> JobCounts:
        """Return how many jobs there are, by status, under the filters of ``jobs``."""
        params = _filter_params(metadata, results, deleted, filters)
        return parse_response(JobCounts, self.transport.get("job-counts", params))

    def cancel(self, job_id: str) -> Job:
        """Cancel a job."""
        return parse_response(Job, self.transport.post(f"{job_path(job_id)}/cancel"))

    def pause(self, job_id: str) -> Job:
        """Pause a job; it saves a checkpoint first."""
        return parse_response(Job, self.transport.post(f"{job_path(job_id)}/pause"))

    def resume(self, job_id: str) -> Job:
        """Resume a paused job from its last checkpoint."""
        return parse_response(Job, self.transport.post(f"{job_path(job_id)}/resume"))

    def retry(self, job_id: str) -> Job:
        """Retry a failed or cancelled job from its last checkpoint."""
        return parse_response(Job, self.transport.post(f"{job_path(job_id)}/retry"))

    def delete(self, job_id: str) -> Job:
        """Delete a job that has ended, with its files. Its student is kept."""
        return parse_response(Job, self.transport.send("DELETE", job_path(job_id)))

    def restore(self, job_id: str) -> Job:
        """Undo ``delete``, as long as the service still has the job."""
        return parse_response(Job, self.transport.post(f"{job_path(job_id)}/restore"))

    def clone(self, job_id: str, changes: Mapping[str, Any] | None = None) -> Job:
        """Submit a job with the spec of another; ``changes`` is a JSON merge patch on it."""
        body = dict(changes) if changes else None
        return parse_response(Job, self.transport.post(f"{job_path(job_id)}/clone", body))

    def update_job(
        self, job_id: str, changes: Mapping[str, Any], *, if_match: str | None = None
    ) -> Job:
        """Change a job's name, notes or metadata; ``changes`` is a JSON merge patch.

        ``if_match``: the ``etag`` of an earlier response; the change is refused (412) if another
        was made since.
        """
        response = self.transport.patch(job_path(job_id), dict(changes), if_match)
        return parse_response(Job, response)

    def events(self, job_id: str, after: int = 0) -> Iterator[Event | Job]:
        """Iterate over every event after number ``after``, each once, until the job ends.

        Also yields the job whenever its progress has changed.
        """
        return events.stream_events(self.transport, job_id, after)

    def wait(self, job_id: str, on_update: OnUpdate = lambda _: None) -> Job:
        """Return the job once it has ended, in whichever status.

        ``on_update`` is called with each change.
        """
        return events.wait_for_job(self.transport, job_id, on_update)

    def attempts(self, job_id: str) -> Iterator[Attempt]:
        """Iterate over the attempts at a job, in order."""
        return self._pages(f"{job_path(job_id)}/attempts", Page[Attempt])

    def logs(
        self,
        job_id: str,
        *,
        attempt: int | None = None,
        tail: int | None = None,
        follow: bool = False,
    ) -> Iterator[LogLine]:
        """Iterate over the log of an attempt, by default of the newest.

        ``tail``: only so many of the newest lines. With ``follow`` it goes on with new lines, and
        without ``attempt`` with later attempts, until the job has ended.
        """
        return logs.stream_log(self.transport, job_id, attempt=attempt, tail=tail, follow=follow)


def _filter_params(
    metadata: Mapping[str, str] | None,
    results: Mapping[str, str] | None,
    deleted: bool,
    filters: Mapping[str, str | list[str] | None],
) -> dict[str, str | int | bool | list[str]]:
    params: dict[str, str | int | bool | list[str]] = {
        name: value for name, value in filters.items() if value
    }
    params |= {f"metadata[{key}]": value for key, value in (metadata or {}).items()}
    if deleted:
        params["deleted"] = True
    return params | result_params(results)
