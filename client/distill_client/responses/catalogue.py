"""What a job's spec can name, and examples of specs."""

from typing import Any

from distill_client.responses.base import ResponseModel


class Architecture(ResponseModel):
    """A network architecture that the service can build."""

    name: str
    title: str
    channels: list[int]
    """The numbers of image channels that it accepts."""
    smallest_side: int
    """Of images, in pixels."""
    features: int | None = None
    parameters_10_classes: int | None = None
    """The number of parameters with 10 classes; None if it depends on the width."""
    settings: dict[str, Any] = {}
    """JSON Schema."""


class Method(ResponseModel):
    """A training method."""

    name: str
    kind: str
    """The kind of job that it trains in: distillation or adversarial_training."""
    summary: str
    settings: dict[str, Any] = {}
    """JSON Schema."""


class ExampleJob(ResponseModel):
    """The job of one line of a sweep's table."""

    line: str
    spec: dict[str, Any]


class Example(ResponseModel):
    """A job or a sweep to start from."""

    name: str
    group: str
    """example, or paper: it makes a table or a figure of the STARSHIP paper."""
    endpoint: str
    """What `spec` is the body of: jobs or sweeps."""
    title: str
    description: str
    text: str
    """As YAML, with comments."""
    spec: dict[str, Any]
    jobs: list[ExampleJob] = []
    """Of a sweep: one job for each line of its table."""
