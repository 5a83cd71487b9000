"""``distill logs`` and ``distill attempts``."""

from datetime import datetime
from typing import Annotated

import typer

from distill_client.client import Distill
from distill_client.display import (
    echo,
    echo_stderr,
    format_duration,
    format_minute,
    show_list,
)
from distill_client.options import EXIT_DETACHED, AsJson, JobId
from distill_client.responses import Attempt, LogLine

COLUMNS = ["number", "worker", "started (UTC)", "ran for", "end", "lines", "failure", "advice"]


def logs(
    job_id: JobId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new lines until the job ends.")
    ] = False,
    attempt: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only of this attempt.")
    ] = None,
    tail: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Only the newest N lines.")
    ] = None,
) -> None:
    """Print the log of a job's newest attempt: what its trainer and its worker say."""
    with Distill() as service:
        try:
            for line in service.logs(job_id, attempt=attempt, tail=tail, follow=follow):
                echo(format_line(line))
        except KeyboardInterrupt:
            echo_stderr(f"No longer following; {job_id} goes on.")
            raise typer.Exit(EXIT_DETACHED) from None


def attempts(job_id: JobId, as_json: AsJson = False) -> None:
    """List the attempts at a job: who made them, and how they ended."""
    with Distill() as service:
        show_list(service.attempts(job_id), COLUMNS, row, as_json=as_json)


def format_line(line: LogLine) -> str:
    """Return a line with its time (UTC), and with its stream unless that is standard output."""
    stream = "" if line.stream == "stdout" else f"[{line.stream}] "
    return f"{line.at[11:19]}  {stream}{line.text}"


def row(attempt: Attempt) -> list[object]:
    failure = attempt.failure
    return [
        attempt.number,
        attempt.worker,
        format_minute(attempt.started_at),
        describe_duration(attempt),
        attempt.outcome or "running",
        attempt.log.lines if attempt.log else None,
        failure and f"{failure.message} ({failure.code})",
        failure and failure.advice,
    ]


def describe_duration(attempt: Attempt) -> str | None:
    """Return how long an attempt took; None while it goes on."""
    if attempt.ended_at is None:
        return None
    ended_at = datetime.fromisoformat(attempt.ended_at)
    return format_duration((ended_at - datetime.fromisoformat(attempt.started_at)).total_seconds())
