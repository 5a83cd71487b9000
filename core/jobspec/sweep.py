"""A sweep: one job's body, changed along rows and axes; each combination is an ordinary job. A table averages over the seeds."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from core.jobspec.base import Spec
from core.jobspec.job import Label, Text
from core.jobspec.merge_patch import changed

MOST_JOBS = 300
SEEDS = ("seed", "evaluation.seed")
"""Axes that make no lines of their own: the table averages over them."""
TAGS = {
    "method": "name",
    "adversary": "name",
    "averaging": "name",
    "schedule.decay": "name",
    "student": "architecture",
}
"""Where a plain text on an axis names a kind of thing, as ``method: [ard, rslad]`` does."""

Path = Annotated[str, StringConstraints(max_length=200, pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$")]
Body = dict[str, Any]


class SweepRow(Spec):
    """One line of a table, by a name of its own."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
    changes: Body = Field(default_factory=dict)
    """A JSON merge patch on the base."""


class SweepSpec(Spec):
    """Jobs that differ where the sweep says so: every row, with every combination of the axes' values."""

    name: Text | None = None
    metadata: dict[Label, Text] = Field(default_factory=dict, max_length=32)
    """Of every job."""
    base: Body
    """A job's body, as POST /v1/jobs takes it, without what rows and axes bring."""
    rows: tuple[SweepRow, ...] = Field(default=(), strict=False, max_length=MOST_JOBS)
    """Changes by name, for whatever differs in more than one place."""
    axes: dict[Path, list[Any]] = Field(default_factory=dict, max_length=8)
    """Values by path, such as {"method.beta": [0.2, 0.5, 0.8], "seed": [0, 1, 2]}. The table has a line for each combination
    of all but the seeds, and their mean and standard deviation over the seeds."""

    @model_validator(mode="after")
    def _bounded(self) -> "SweepSpec":
        for path, values in self.axes.items():
            if not values:
                raise ValueError(f"the axis {path!r} has no values")
        names = [row.name for row in self.rows]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"two rows are named {twice!r}")
        overlaps = [
            path
            for path in self.axes
            for other in self.axes
            if other != path and other.startswith(f"{path}.")
        ]
        if overlaps:
            raise ValueError(
                f"the axis {overlaps[0]!r} and another one that leads into it change the same thing"
            )
        if self.size > MOST_JOBS:
            raise ValueError(f"this makes {self.size} jobs; a sweep has at most {MOST_JOBS}")
        return self

    @property
    def size(self) -> int:
        """How many jobs it makes."""
        jobs = max(1, len(self.rows))
        for values in self.axes.values():
            jobs *= len(values)
        return jobs


@dataclass(frozen=True)
class SweepPoint:
    """One job of a sweep: its line in the table, and its body."""

    line: str
    """Row and values of the axes, but for the seeds."""
    settings: dict[str, Any]
    """Values of the axes, by path."""
    body: Body

    @property
    def title(self) -> str:
        return ", ".join(
            [
                self.line,
                *(f"{path} {self.settings[path]}" for path in SEEDS if path in self.settings),
            ]
        )


def points(sweep: SweepSpec) -> Iterator[SweepPoint]:
    """Row by row, the last axis changing fastest. The bodies are not checked yet."""
    for row in sweep.rows or (SweepRow(name="base"),):
        for values in product(*sweep.axes.values()):
            settings = dict(zip(sweep.axes, values, strict=True))
            body = changed(sweep.base, row.changes)
            for path, value in settings.items():
                body = changed(body, _nested(path, value))
            line = _line(row.name if sweep.rows else None, settings)
            labels = {**(body.get("metadata") or {}), **sweep.metadata}
            body |= {"metadata": labels} if labels else {}
            point = SweepPoint(line, settings, body)
            body.setdefault("name", _name(sweep, point))
            yield point


def _nested(path: str, value: Any) -> Body:
    found = {TAGS[path]: value} if path in TAGS and isinstance(value, str) else value
    for key in reversed(path.split(".")):
        found = {key: found}
    return dict(found)


def _name(sweep: SweepSpec, point: SweepPoint) -> str:
    return ": ".join(part for part in (sweep.name, point.title) if part)[:200].replace("\0", "")


def _line(row: str | None, settings: dict[str, Any]) -> str:
    """Such as ``STARSHIP, method.beta 0.5``."""
    values = [_shown(path, value) for path, value in settings.items() if path not in SEEDS]
    return ", ".join([*([row] if row else []), *values]) or "base"


def _shown(path: str, value: Any) -> str:
    if path in TAGS and isinstance(value, str):
        return value
    if isinstance(value, dict) and TAGS.get(path) in value:
        rest = json.dumps({key: it for key, it in value.items() if key != TAGS[path]})
        return f"{value[TAGS[path]]} {rest}".removesuffix(" {}").replace('"', "")
    return f"{path} {value if isinstance(value, str) else json.dumps(value)}"
