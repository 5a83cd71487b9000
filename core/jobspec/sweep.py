"""A sweep: the body of one job, varied along rows and axes. Each combination is an ordinary job.

The table of a sweep has a line for each combination of rows and axes but the seeds, over which it
averages.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from core.jobspec.base import Spec
from core.jobspec.job import LabelKey, ShortText
from core.jobspec.merge_patch import apply_patch

MAX_JOBS = 300
MAX_JOB_NAME_LENGTH = 200
SEEDS = ("seed", "evaluation.seed")
"""Axes over which the table averages."""
KIND_FIELDS = {
    "method": "name",
    "adversary": "name",
    "averaging": "name",
    "schedule.decay": "name",
    "student": "architecture",
}
"""By path, the field that a text on an axis is the value of: ``method: [ard, rslad]``."""

Path = Annotated[str, StringConstraints(max_length=200, pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$")]
Body = dict[str, Any]


class SweepVariant(Spec):
    """A named set of changes: one line of the table, or several where there are axes."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
    changes: Body = Field(default_factory=dict)
    """A JSON merge patch on the base."""


class SweepSpec(Spec):
    """A job for every row and every combination of the axes' values."""

    name: ShortText | None = None
    metadata: dict[LabelKey, ShortText] = Field(default_factory=dict, max_length=32)
    """Labels that every job gets."""
    base: Body
    """The body of a job, as for POST /v1/jobs, without what rows and axes add."""
    rows: tuple[SweepVariant, ...] = Field(default=(), strict=False, max_length=MAX_JOBS)
    """Named sets of changes, for variants that differ in more than one field."""
    axes: dict[Path, list[Any]] = Field(default_factory=dict, max_length=8)
    """Values by path, such as {"method.beta": [0.2, 0.5, 0.8], "seed": [0, 1, 2]}. The table has a
    line for each combination of all axes but the seeds, with mean and standard deviation over the
    seeds."""

    @model_validator(mode="after")
    def _check(self) -> "SweepSpec":
        for path, values in self.axes.items():
            if not values:
                raise ValueError(f"the axis {path!r} has no values")
        names = [row.name for row in self.rows]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two rows are named {name!r}")
        for path in self.axes:
            if any(other.startswith(f"{path}.") for other in self.axes):
                raise ValueError(
                    f"the axis {path!r} overlaps with another axis, which is a part of it"
                )
        if self.size > MAX_JOBS:
            raise ValueError(f"this makes {self.size} jobs; a sweep has at most {MAX_JOBS}")
        return self

    @property
    def size(self) -> int:
        """Number of jobs."""
        jobs = max(1, len(self.rows))
        for values in self.axes.values():
            jobs *= len(values)
        return jobs


@dataclass(frozen=True)
class SweepPoint:
    """One job of a sweep: its line in the table, and its body."""

    line_name: str
    """The row's name and the values of all axes but the seeds."""
    settings: dict[str, Any]
    """Values of the axes, by path."""
    body: Body

    @property
    def title(self) -> str:
        """The name of the line, and the seeds."""
        seeds = [f"{path} {self.settings[path]}" for path in SEEDS if path in self.settings]
        return ", ".join([self.line_name, *seeds])


def expand(sweep: SweepSpec) -> Iterator[SweepPoint]:
    """Yield the jobs of a sweep, row by row, the last axis fastest. Bodies are not validated."""
    for row in sweep.rows or (SweepVariant(name="base"),):
        for values in product(*sweep.axes.values()):
            settings = dict(zip(sweep.axes, values, strict=True))
            body = apply_patch(sweep.base, row.changes)
            for path, value in settings.items():
                body = apply_patch(body, _nested_patch(path, value))
            line_name = _line_name(row.name if sweep.rows else None, settings)
            labels = {**(body.get("metadata") or {}), **sweep.metadata}
            body |= {"metadata": labels} if labels else {}
            point = SweepPoint(line_name, settings, body)
            body.setdefault("name", _job_name(sweep, point))
            yield point


def _nested_patch(path: str, value: Any) -> Body:
    """Return {"schedule": {"epochs": 5}} for "schedule.epochs" and 5."""
    patch = value
    if path in KIND_FIELDS and isinstance(value, str):
        patch = {KIND_FIELDS[path]: value}
    for key in reversed(path.split(".")):
        patch = {key: patch}
    return dict(patch)


def _job_name(sweep: SweepSpec, point: SweepPoint) -> str:
    name = ": ".join(part for part in (sweep.name, point.title) if part)
    return name[:MAX_JOB_NAME_LENGTH].replace("\0", "")


def _line_name(row: str | None, settings: dict[str, Any]) -> str:
    """Such as ``STARSHIP, method.beta 0.5``."""
    titles = [] if row is None else [row]
    titles += [_setting_title(path, value) for path, value in settings.items() if path not in SEEDS]
    return ", ".join(titles) or "base"


def _setting_title(path: str, value: Any) -> str:
    """Such as ``method.beta 0.5``, or ``ard {alpha: 0.5}`` for an object with a name."""
    if path in KIND_FIELDS and isinstance(value, str):
        return value
    if isinstance(value, dict) and KIND_FIELDS.get(path) in value:
        kind_field = KIND_FIELDS[path]
        settings = {key: setting for key, setting in value.items() if key != kind_field}
        text = f"{value[kind_field]} {json.dumps(settings)}"
        return text.removesuffix(" {}").replace('"', "")
    return f"{path} {value if isinstance(value, str) else json.dumps(value)}"
