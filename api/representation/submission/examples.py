"""Example jobs and sweeps to start from."""

from typing import Any, Literal

from api.representation.schemas import ResponseBody

ExampleGroup = Literal["example", "paper"]


class ExampleJob(ResponseBody):
    line: str
    """The line of the sweep's table that it belongs to."""
    spec: dict[str, Any]
    """The body of POST /v1/jobs."""


class ExampleResponse(ResponseBody):
    name: str
    group: ExampleGroup
    """paper: it makes a table or a figure of the STARSHIP paper."""
    endpoint: Literal["jobs", "sweeps"]
    """Where `spec` can be submitted: POST /v1/jobs or POST /v1/sweeps."""
    title: str
    description: str
    text: str
    """The example as YAML, with comments."""
    spec: dict[str, Any]
    """The same as JSON. It may name models and data sets that the project does not have."""
    jobs: list[ExampleJob]
    """Of a sweep: one job for each line of its table."""
