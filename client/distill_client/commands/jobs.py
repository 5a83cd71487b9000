"""``distill submit``, ``jobs``, ``show``, ``watch``; ``cancel`` and what else may be asked of a job; ``download``."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from core.reportspec.measures import is_accuracy, number_of
from distill_client import spec_file
from distill_client.client import Distill
from distill_client.display import (
    Watching,
    minute,
    percent,
    say,
    show_fields,
    show_json,
    show_table,
    stage,
    tell,
)
from distill_client.responses import DryRun, Job

DETACHED = 130
JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of a job.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


def submit(
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, readable=True, help="A job in YAML or JSON."),
    ],
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="E.g. schedule.epochs=5")
    ] = None,
    follow: Annotated[bool, typer.Option("--watch", help="Watch it until it ends.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check it, and say what it would take.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Submit a job."""
    spec = spec_file.load(file, changes or [])
    with Distill() as service:
        if dry_run:
            show_dry_run(service.dry_run(spec), as_json)
            return
        job = service.submit(spec)
        if follow:
            tell(f"{job.id} is submitted.")
            watch_to_end(service, job.id, as_json)
        elif as_json:
            show_json(job)
        else:
            say(f"{job.id} is {stage(job)}.")


def list_jobs(
    status: Annotated[
        list[str] | None, typer.Option(help="Only jobs in this state; may be given more than once.")
    ] = None,
    method: Annotated[str | None, typer.Option()] = None,
    student: Annotated[str | None, typer.Option(help="An architecture.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Id or name.")] = None,
    sweep: Annotated[
        str | None, typer.Option(metavar="ID", help="Only the jobs of this sweep.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    with Distill() as service:
        found = list(
            islice(
                service.jobs(
                    status=status, method=method, student=student, dataset=dataset, sweep=sweep
                ),
                limit,
            )
        )
    if as_json:
        show_json(found)
    else:
        show_table(
            ["id", "status", "method", "student", "data", "clean %", "PGD %", "made (UTC)", "name"],
            map(row, found),
        )


def row(job: Job) -> list[object]:
    results = job.results or {}
    best = results.get("best") or results.get("model") or {}
    accuracies = [percent(best.get("clean")), percent(best.get("pgd"))]
    what = [job.method or job.kind, job.student, job.dataset]
    return [job.id, job.phase or job.status, *what, *accuracies, minute(job.created_at), job.name]


def show(job_id: JobId, as_json: AsJson = False) -> None:
    """Show one job."""
    with Distill() as service:
        job = service.job(job_id)
    if as_json:
        show_json(job)
        return
    show_fields(
        {
            "id": job.id,
            "name": job.name,
            "kind": job.kind,
            "status": stage(job),
            "waits for": job.pending_reason,
            "failure": job.failure
            and f"{job.failure.message} ({job.failure.code}, {job.failure.failure_class})",
            "method": job.method,
            "student": job.student,
            "data": job.dataset,
            "teacher": job.teacher_id,
            "model": job.model_id,
            "metadata": job.metadata or None,
            "attempt": job.attempt,
            "worker": job.worker,
            "submitted (UTC)": minute(job.created_at),
            "started": job.started_at and minute(job.started_at),
            "ended": job.finished_at and minute(job.finished_at),
        }
    )
    show_accuracies(job)


def watch(job_id: JobId, as_json: AsJson = False) -> None:
    """Watch a job until it ends. Ctrl-C stops watching, not the job."""
    with Distill() as service:
        watch_to_end(service, job_id, as_json)


def cancel(job_id: JobId) -> None:
    """Cancel a job."""
    ask(Distill.cancel, job_id)


def pause(job_id: JobId) -> None:
    """Pause a job: its worker is free, and it goes on from its last checkpoint when it is resumed."""
    ask(Distill.pause, job_id)


def resume(job_id: JobId) -> None:
    """Let a paused job go on."""
    ask(Distill.resume, job_id)


def retry(job_id: JobId) -> None:
    """Try a failed or cancelled job once more, from its last checkpoint."""
    ask(Distill.retry, job_id)


def ask(action: Callable[[Distill, str], Job], job_id: str) -> None:
    with Distill() as service:
        job = action(service, job_id)
    say(f"{job.id} is {job.status}.")


def delete(job_id: JobId) -> None:
    """Delete a job that has ended, with its files. Its student stays."""
    with Distill() as service:
        job = service.delete(job_id)
    say(f"{job.id} is deleted; for some days `distill undelete {job.id}` brings it back.")


def undelete(job_id: JobId) -> None:
    """Bring a deleted job back."""
    with Distill() as service:
        job = service.restore(job_id)
    say(f"{job.id} is back.")


def download(
    job_id: JobId,
    to: Annotated[Path | None, typer.Option(help="A folder; default: ./ID.")] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="Only this file; may be given more than once.")
    ] = None,
) -> None:
    """Fetch a job's weights and report, and check them. What is there already is not fetched again."""
    with Distill() as service:
        for path in service.download(job_id, to or Path(job_id), name):
            say(str(path))


def watch_to_end(service: Distill, job_id: str, as_json: bool) -> None:
    try:
        with Watching() as watching:
            job = service.wait(job_id, watching.follow(job_id))
    except KeyboardInterrupt:
        tell(
            f"No longer watching; {job_id} goes on. `distill watch {job_id}` looks again, `distill cancel {job_id}` ends it."
        )
        raise typer.Exit(DETACHED) from None
    if as_json:
        show_json(job)
    else:
        say(outcome(job))
        show_accuracies(job)
    if job.status != "succeeded":
        raise typer.Exit(1)


def outcome(job: Job) -> str:
    if job.failure is not None and job.status == "failed":
        return f"{job.id} failed: {job.failure.message} ({job.failure.code})"
    return (
        f"{job.id} {job.status}."
        if job.model_id is None
        else f"{job.id} {job.status}; its student is {job.model_id}."
    )


def show_accuracies(job: Job) -> None:
    if not job.results:
        return
    measures = list(dict.fromkeys(name for found in job.results.values() for name in found))
    accuracies = [name for name in measures if is_accuracy(name)]
    rows = (
        [network, *(percent(found.get(name)) for name in accuracies)]
        for network, found in job.results.items()
    )
    show_table(["accuracy %", *accuracies], rows)
    for network, found in job.results.items():
        numbers = {
            number_of(name): value for name, value in found.items() if name not in accuracies
        }
        if numbers:
            say(f"\n{network}")
            show_fields({number.title: number.text(value) for number, value in numbers.items()})


def show_dry_run(answer: DryRun, as_json: bool) -> None:
    if as_json:
        show_json(answer)
        return
    it = answer.estimate
    trained = (
        f"{it.training_images} to train on, {it.held_out_images} held out, "
        if it.training_images is not None
        else ""
    )
    images = f"{trained}{it.test_images} to test on"
    say("This job can be run; nothing was submitted.")
    show_fields(
        {
            "data": answer.dataset_id,
            "images": images,
            "teacher": answer.teacher_id,
            "steps": f"{it.steps} ({it.steps_per_epoch} an epoch)"
            if it.steps is not None
            else None,
            "student": f"{it.student_parameters:,} parameters" if it.student_parameters else None,
            "checkpoint": f"{it.checkpoint_bytes / 2**20:.1f} MiB" if it.checkpoint_bytes else None,
            "network passes": f"{it.network_passes:,} (one image through one network)",
        }
    )
