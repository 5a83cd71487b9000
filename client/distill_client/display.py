"""How answers look on a terminal: tables, and one bar for each job that is watched."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from pydantic import BaseModel
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from distill_client.events import OnUpdate
from distill_client.responses import Job

WIDE = 240
"""Columns where nobody looks: lines in a pipe or a log are not folded."""


def console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        markup=False,
        emoji=False,
        highlight=False,
        width=None if stream.isatty() else WIDE,
    )


def say(text: str) -> None:
    print(clean(text))


def tell(text: str) -> None:
    """Beside the result: to standard error."""
    print(clean(text), file=sys.stderr)


def clean(text: str) -> str:
    """Without characters that could steer the terminal."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text
    )


def show_json(answer: BaseModel | Iterable[BaseModel]) -> None:
    if isinstance(answer, BaseModel):
        print(json.dumps(answer.model_dump(mode="json", by_alias=True), indent=2))
    else:
        print(
            json.dumps([each.model_dump(mode="json", by_alias=True) for each in answer], indent=2)
        )


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    table = Table(
        *(clean(column) for column in columns), box=None, pad_edge=False, padding=(0, 3, 0, 0)
    )
    for row in rows:
        table.add_row(*("" if cell is None else clean(str(cell)) for cell in row))
    console().print(table)


def show_markdown(text: str) -> None:
    """As a page on a terminal, as it is where nobody looks."""
    if sys.stdout.isatty():
        console().print(Markdown(clean(text)))
    else:
        say(text)


def show_fields(fields: Mapping[str, object]) -> None:
    """One `name  value` a line; what is not known is left out."""
    width = max(map(len, fields))
    for name, value in fields.items():
        if value is not None:
            say(f"{name:<{width}}   {value}")


def percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"


def minute(time: str | None) -> str:
    """2026-01-31T12:34:56.789Z -> 2026-01-31 12:34."""
    return "" if time is None else time[:16].replace("T", " ")


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min"
        if hours
        else f"{minutes} min {rest} s"
        if minutes
        else f"{rest} s"
    )


def shape(description: Mapping[str, Any] | None) -> str:
    """Channels x height x width."""
    return (
        "x".join(str(description.get(key, "?")) for key in ("channels", "height", "width"))
        if description
        else ""
    )


# -- a job as it goes


def stage(job: Job) -> str:
    """One line: what the job is doing."""
    if job.status == "queued":
        place = f"queued, number {job.queue_position} in line" if job.queue_position else "queued"
        return f"{place}: {job.pending_reason}" if job.pending_reason else place
    if job.status != "running" or job.phase is None:
        return job.status
    progress = job.progress
    if progress is None:
        return job.phase
    epoch = (
        f" epoch {progress.epoch}/{progress.epochs}," if progress.epoch and progress.epochs else ""
    )
    unit = " step" if epoch else ""
    step = (
        f"{unit} {progress.step}/{progress.of}" if progress.step is not None and progress.of else ""
    )
    left = f", {duration(progress.eta_seconds)} left" if progress.eta_seconds is not None else ""
    return f"{job.phase}{epoch}{step}{left}"


class Watching:
    """While open, every job that is followed has a bar; where there is no terminal, a line for each change of phase."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[stage]}", markup=False),
            console=console(stderr=True),
            transient=True,
            disable=not self.live,
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

    def follow(self, title: str) -> OnUpdate:
        """What to tell of every change of one job."""
        bar = self.bars.add_task(clean(title), total=None, stage="")
        seen = ""

        def update(job: Job) -> None:
            nonlocal seen
            progress = job.progress
            done, total = (
                (progress.step or 0, progress.of) if progress else (0, 1 if job.terminal else None)
            )
            self.bars.update(
                bar, completed=1 if job.terminal else done, total=total, stage=clean(stage(job))
            )
            now = job.phase or job.status
            if not self.live and now != seen:
                tell(f"{title}: {now}")
            seen = now

        return update
