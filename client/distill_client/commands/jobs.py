"""``distill submit``, ``jobs``, ``show``, ``watch`` and the other commands for one job."""

from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from distill_client import spec_file
from distill_client.client import Distill
from distill_client.commands import edits
from distill_client.commands.estimates import await_memory, describe_estimates, show_warnings
from distill_client.display import (
    ProgressDisplay,
    describe_status,
    echo,
    echo_stderr,
    format_minute,
    format_percent,
    show_fields,
    show_json,
    show_list,
    show_table,
)
from distill_client.measures import describe, format_value
from distill_client.options import (
    EXIT_DETACHED,
    AsJson,
    Deleted,
    JobId,
    Search,
    Sort,
    Where,
    parse_bounds,
)
from distill_client.responses import DryRun, Estimate, Job, JobCounts

COLUMNS = [
    "id",
    "status",
    "method",
    "student",
    "data",
    "clean %",
    "robust %",
    "created (UTC)",
    "name",
]


def submit(
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, readable=True, help="A job in YAML or JSON."),
    ],
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="PATH=VALUE", help="For example schedule.epochs=5; repeatable."
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--watch", help="Watch the job until it ends.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only validate the job and estimate its cost."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Submit a job."""
    spec = spec_file.load(file, changes or [])
    with Distill() as service:
        if dry_run:
            show_dry_run(await_memory(lambda: service.dry_run(spec)), as_json)
            return
        job = service.submit(spec)
        if follow:
            echo_stderr(f"{job.id} is submitted.")
            watch_job(service, job.id, as_json)
        elif as_json:
            show_json(job)
        else:
            echo(f"{job.id} is {describe_status(job)}.")


def list_jobs(
    status: Annotated[
        list[str] | None, typer.Option(help="Only jobs in this status; repeatable.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="Only jobs of this method.")] = None,
    student: Annotated[
        str | None, typer.Option(help="Only jobs whose student has this architecture.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Only jobs on this data set, an id or a name.")
    ] = None,
    sweep: Annotated[
        str | None, typer.Option(metavar="ID", help="Only the jobs of this sweep.")
    ] = None,
    search: Search = None,
    sort: Sort = None,
    where: Where = None,
    deleted: Deleted = False,
    count: Annotated[
        bool, typer.Option("--count", help="Only count them, by status; --sort does not matter.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of jobs.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first, or sorted by their end or a result."""
    filters: dict[str, Any] = {
        "status": status,
        "method": method,
        "student": student,
        "dataset": dataset,
        "sweep": sweep,
        "q": search,
    }
    bounds = parse_bounds(where)
    with Distill() as service:
        if count:
            show_counts(service.count_jobs(results=bounds, deleted=deleted, **filters), as_json)
            return
        jobs = service.jobs(results=bounds, deleted=deleted, sort=sort, **filters)
        show_list(islice(jobs, limit), COLUMNS, row, as_json=as_json)


def show_counts(counts: JobCounts, as_json: bool) -> None:
    if as_json:
        show_json(counts)
        return
    rows = [[status, count] for status, count in counts.statuses.items() if count]
    show_table(["status", "jobs"], [*rows, ["all", counts.total]])


def row(job: Job) -> list[object]:
    results = job.results or {}
    best = results.get("best") or results.get("model") or {}
    return [
        job.id,
        job.phase or job.status,
        job.method or job.kind,
        job.student,
        job.dataset,
        format_percent(best.get("clean")),
        describe_robustness(job, best),
        format_minute(job.created_at),
        job.name,
    ]


def describe_robustness(job: Job, results: Mapping[str, float]) -> str:
    """Return the accuracy that decides, with its attack and threat model."""
    key = next((key for key in job.deciding if key in results), None)
    return "" if key is None else f"{format_percent(results[key])} ({describe(key).title})"


def show(job_id: JobId, as_json: AsJson = False) -> None:
    """Show one job."""
    with Distill() as service:
        job = service.job(job_id)
    if as_json:
        show_json(job)
        return
    failure = job.failure
    show_fields(
        {
            "id": job.id,
            "name": job.name,
            "kind": job.kind,
            "status": describe_status(job),
            "waiting for": job.pending_reason,
            "failure": failure and f"{failure.message} ({failure.code}, {failure.failure_class})",
            "advice": failure and failure.advice,
            "method": job.method,
            "student": job.student,
            "data": job.dataset,
            "teacher": job.teacher_id,
            "model": job.model_id,
            "metadata": job.metadata or None,
            "notes": job.notes,
            "cloned from": job.cloned_from,
            "attempt": job.attempt,
            "worker": job.worker,
            "submitted (UTC)": format_minute(job.created_at),
            "started": job.started_at and format_minute(job.started_at),
            "ended": job.finished_at and format_minute(job.finished_at),
        }
    )
    for warning in job.warnings:
        echo(f"warning: {warning.message} ({warning.code})")
    show_results(job)


def watch(job_id: JobId, as_json: AsJson = False) -> None:
    """Watch a job until it ends. Ctrl-C stops the watching, not the job."""
    with Distill() as service:
        watch_job(service, job_id, as_json)


def cancel(job_id: JobId) -> None:
    """Cancel a job."""
    request_action(Distill.cancel, job_id)


def pause(job_id: JobId) -> None:
    """Pause a job at a checkpoint, which frees its worker."""
    request_action(Distill.pause, job_id)


def resume(job_id: JobId) -> None:
    """Resume a paused job from its last checkpoint."""
    request_action(Distill.resume, job_id)


def retry(job_id: JobId) -> None:
    """Retry a failed or cancelled job from its last checkpoint."""
    request_action(Distill.retry, job_id)


def request_action(action: Callable[[Distill, str], Job], job_id: str) -> None:
    with Distill() as service:
        job = action(service, job_id)
    echo(f"{job.id} is {job.status}.")


def edit(
    job_id: JobId,
    name: edits.Name = None,
    notes: edits.Notes = None,
    notes_file: edits.NotesFile = None,
    metadata: edits.Metadata = None,
    remove: edits.Remove = None,
) -> None:
    """Change a job's name, notes or metadata."""
    changes = edits.merge_patch(name, notes, notes_file, metadata, remove)
    with Distill() as service:
        edits.echo_edited(service.update_job(job_id, changes))


def delete(job_id: JobId) -> None:
    """Delete a job that has ended, with its files. Its student is kept."""
    with Distill() as service:
        job = service.delete(job_id)
    echo(f"{job.id} is deleted; for some days `distill undelete {job.id}` restores it.")


def undelete(job_id: JobId) -> None:
    """Restore a deleted job."""
    with Distill() as service:
        job = service.restore(job_id)
    echo(f"{job.id} is restored.")


def download(
    job_id: JobId,
    to: Annotated[Path | None, typer.Option(help="A folder; default: ./ID.")] = None,
    name: Annotated[list[str] | None, typer.Option(help="Only this file; repeatable.")] = None,
) -> None:
    """Download a job's weights and report, and verify them.

    Files that are already there are not downloaded again.
    """
    with Distill() as service:
        for path in service.download(job_id, to or Path(job_id), name):
            echo(str(path))


def watch_job(service: Distill, job_id: str, as_json: bool) -> None:
    """Show the job's progress, then its results. Exit with 1 unless it has succeeded."""
    try:
        with ProgressDisplay() as display:
            job = service.wait(job_id, display.add(job_id))
    except KeyboardInterrupt:
        echo_stderr(
            f"No longer watching; {job_id} goes on. "
            f"`distill watch {job_id}` watches it again, `distill cancel {job_id}` cancels it."
        )
        raise typer.Exit(EXIT_DETACHED) from None
    if as_json:
        show_json(job)
    else:
        echo(describe_outcome(job))
        show_results(job)
    if job.status != "succeeded":
        raise typer.Exit(1)


def describe_outcome(job: Job) -> str:
    if job.failure is not None and job.status == "failed":
        return f"{job.id} failed: {job.failure.message} ({job.failure.code})"
    if job.model_id is not None:
        return f"{job.id} {job.status}; its student is {job.model_id}."
    return f"{job.id} {job.status}."


def show_results(job: Job) -> None:
    """Print a table of the accuracies, and below it the other numbers of each network."""
    if not job.results:
        return
    keys = dict.fromkeys(key for results in job.results.values() for key in results)
    accuracies = [key for key in keys if describe(key).accuracy]
    rows = (
        [
            describe(key).title,
            *(format_percent(results.get(key)) for results in job.results.values()),
        ]
        for key in accuracies
    )
    show_table(["accuracy %", *job.results], rows)
    for network, results in job.results.items():
        numbers = {
            describe(key).title: f"{format_value(key, value)} {describe(key).unit}".rstrip()
            for key, value in results.items()
            if key not in accuracies
        }
        if numbers:
            echo(f"\n{network}")
            show_fields(numbers)


def show_dry_run(response: DryRun, as_json: bool) -> None:
    if as_json:
        show_json(response)
        return
    estimate = response.estimate
    parameters = estimate.student_parameters
    checkpoint_bytes = estimate.checkpoint_bytes
    echo("This job can run; it was not submitted.")
    show_fields(
        {
            "data": response.dataset_id,
            "images": describe_images(estimate),
            "teacher": response.teacher_id,
            "steps": describe_steps(estimate),
            "student": f"{parameters:,} parameters" if parameters else None,
            "checkpoint": f"{checkpoint_bytes / 2**20:.1f} MiB" if checkpoint_bytes else None,
            "network passes": f"{estimate.network_passes:,} (one image through one network)",
            **describe_estimates(estimate.time, estimate.memory, estimate.queue),
        }
    )
    show_warnings(response.warnings)


def describe_images(estimate: Estimate) -> str:
    test = f"{estimate.test_images} to test on"
    if estimate.training_images is None:
        return test
    return f"{estimate.training_images} to train on, {estimate.held_out_images} held out, {test}"


def describe_steps(estimate: Estimate) -> str | None:
    if estimate.steps is None:
        return None
    return f"{estimate.steps} ({estimate.steps_per_epoch} an epoch)"
