"""The job and sweep files of docs/examples and docs/paper, as bodies that can be submitted."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from api.representation.submission.examples import ExampleGroup, ExampleJob, ExampleResponse
from core.jobspec.sweep import SEEDS, SweepSpec, expand

FOLDER = Path(__file__).parents[2] / "docs"
"""Beside the packages: the wheel carries its two folders."""
EXAMPLES = ("digits-teacher", "digits-starship", "digits-arkd", "cifar10-starship")
PAPER = (
    "table1",
    "table2",
    "table3",
    "table4",
    "table5",
    "table6",
    "table7",
    "table8",
    "figure1",
    "figure3",
    "figure4",
    "figure5",
    "readings",
    "teachers",
)
COMMAND = "   distill "
"""Begins a comment line that shows a command."""


@cache
def load_examples() -> list[ExampleResponse]:
    """Return all examples, the easiest first, then what the paper shows."""
    examples = [_load("example", FOLDER / "examples" / f"{name}.yaml") for name in EXAMPLES]
    return examples + [_load("paper", FOLDER / "paper" / f"{name}.yaml") for name in PAPER]


def _load(group: ExampleGroup, path: Path) -> ExampleResponse:
    text = path.read_text("utf-8")
    # Only the pure parser reads YAML 1.2, in which 5e-4 is a number.
    spec: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    is_sweep = "base" in spec
    return ExampleResponse(
        name=path.stem,
        group=group,
        endpoint="sweeps" if is_sweep else "jobs",
        title=spec["name"],
        description=_describe(text),
        text=text,
        spec=spec,
        jobs=list(_jobs_of(SweepSpec.model_validate(spec))) if is_sweep else [],
    )


def _describe(text: str) -> str:
    """Return the comment at the file's head, up to its first command, as one paragraph."""
    lines = []
    for line in text.splitlines():
        comment = line.removeprefix("#")
        if comment == line or comment.startswith(COMMAND):
            break
        lines.append(comment.strip())
    description = " ".join(lines)
    return f"{description[:-1]}." if description.endswith(":") else description


def _jobs_of(sweep: SweepSpec) -> Iterator[ExampleJob]:
    """Yield one job for each line of the sweep's table: that of the first seeds."""
    lines = set()
    for point in expand(sweep):
        if point.line_name not in lines:
            lines.add(point.line_name)
            name = ": ".join(part for part in (sweep.name, point.line_name) if part)
            head = {"kind": point.body["kind"], "name": name}
            settings = {key: value for key, value in point.body.items() if key not in SEEDS}
            yield ExampleJob(line=point.line_name, spec=head | settings | head)
