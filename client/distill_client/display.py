"""Output on a terminal: text, tables, JSON, and a progress bar for each watched job."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import BaseModel
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from distill_client.events import OnUpdate
from distill_client.responses import Job

PIPE_COLUMNS = 240
"""Width of tables in a pipe or a log, whose lines are not folded."""

ModelT = TypeVar("ModelT", bound=BaseModel)


def console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        markup=False,
        emoji=False,
        highlight=False,
        width=None if stream.isatty() else PIPE_COLUMNS,
    )


def echo(text: str) -> None:
    """Print a result to standard output."""
    print(printable(text))


def echo_stderr(text: str) -> None:
    """Print a message that is not a result to standard error."""
    print(printable(text), file=sys.stderr)


def printable(text: str) -> str:
    """Replace characters that could control the terminal."""
    return "".join(
        character if character.isprintable() or character == "\n" else "\ufffd"
        for character in text
    )


# -- responses


def show_json(responses: BaseModel | Iterable[BaseModel]) -> None:
    value: Any
    if isinstance(responses, BaseModel):
        value = responses.model_dump(mode="json", by_alias=True)
    else:
        value = [response.model_dump(mode="json", by_alias=True) for response in responses]
    print(json.dumps(value, indent=2))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    headings = (printable(column) for column in columns)
    table = Table(*headings, box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for row in rows:
        table.add_row(*("" if cell is None else printable(str(cell)) for cell in row))
    console().print(table)


def show_list(
    responses: Iterable[ModelT],
    columns: Sequence[str],
    row: Callable[[ModelT], Sequence[object]],
    *,
    as_json: bool,
) -> None:
    """Print responses as JSON, or as a table with a ``row`` for each."""
    if as_json:
        show_json(responses)
    else:
        show_table(columns, map(row, responses))


def show_markdown(text: str) -> None:
    """Render Markdown on a terminal; print it unchanged into a pipe."""
    if sys.stdout.isatty():
        console().print(Markdown(printable(text)))
    else:
        echo(text)


def show_fields(fields: Mapping[str, object]) -> None:
    """Print a line ``name  value`` for each field that is not None."""
    width = max(map(len, fields))
    for name, value in fields.items():
        if value is not None:
            echo(f"{name:<{width}}   {value}")


# -- values


def format_percent(share: float | None) -> str:
    """Return a share in [0, 1] as a percentage with two decimals."""
    return "" if share is None else f"{100 * share:.2f}"


def format_minute(time: str | None) -> str:
    """Return a time to the minute: 2026-01-31T12:34:56.789Z -> 2026-01-31 12:34."""
    return "" if time is None else time[:16].replace("T", " ")


def format_duration(seconds: float) -> str:
    """Return a duration in its two largest units: 1 h 5 min, 3 min 20 s, 40 s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    if minutes:
        return f"{minutes} min {rest} s"
    return f"{rest} s"


def format_bytes(size: int | None) -> str:
    """Return a size in the unit in which it is at least 1: 3.4 GiB, 12.0 MiB, 512 bytes."""
    if size is None:
        return ""
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


def format_shape(description: Mapping[str, Any] | None) -> str | None:
    """Return the shape of images, channels x height x width; None if it is not known."""
    if not description:
        return None
    return "x".join(str(description.get(key, "?")) for key in ("channels", "height", "width"))


# -- progress


def describe_status(job: Job) -> str:
    """Return what a job is doing, in one line."""
    if job.status == "queued":
        return _describe_queued(job)
    if job.status != "running" or job.phase is None:
        return job.status
    progress = job.progress
    if progress is None:
        return job.phase
    position = []
    if progress.epoch and progress.epochs:
        position.append(f"epoch {progress.epoch}/{progress.epochs}")
    if progress.step is not None and progress.of:
        unit = "step " if position else ""
        position.append(f"{unit}{progress.step}/{progress.of}")
    text = f"{job.phase} {', '.join(position)}".rstrip()
    if progress.eta_seconds is not None:
        text += f", {format_duration(progress.eta_seconds)} left"
    return text


def _describe_queued(job: Job) -> str:
    text = "queued"
    if job.queue_position:
        text += f", number {job.queue_position} in line"
    if job.pending_reason:
        text += f": {job.pending_reason}"
    return text


class ProgressDisplay:
    """While open, shows a progress bar for each job.

    Where standard error is not a terminal, prints a line for each change of phase instead.
    """

    def __init__(self) -> None:
        self.is_terminal = sys.stderr.isatty()
        self.bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[status]}", markup=False),
            console=console(stderr=True),
            transient=True,
            disable=not self.is_terminal,
        )

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.bars.stop()

    def print(self, text: str) -> None:
        """Print a line above the bars."""
        if self.is_terminal:
            self.bars.console.print(printable(text))
        else:
            echo_stderr(text)

    def add(self, title: str) -> OnUpdate:
        """Add a bar, and return the function that updates it from a job."""
        bar = self.bars.add_task(printable(title), total=None, status="")
        last_phase = ""
        messages: set[str] = set()
        """Of the warnings that have been printed."""

        def update(job: Job) -> None:
            nonlocal last_phase
            for warning in job.warnings:
                if warning.message not in messages:
                    messages.add(warning.message)
                    self.print(f"{title}: warning: {warning.message}")
            completed, total = _progress_of(job)
            status = printable(describe_status(job))
            self.bars.update(bar, completed=completed, total=total, status=status)
            phase = job.phase or job.status
            if not self.is_terminal and phase != last_phase:
                echo_stderr(f"{title}: {phase}")
            last_phase = phase

        return update


def _progress_of(job: Job) -> tuple[int, int | None]:
    """Return completed and total units of a job's bar; the total is None if it is not known."""
    if job.terminal:
        return 1, 1
    if job.progress is None:
        return 0, None
    return job.progress.step or 0, job.progress.of
