"""What a job would take."""

from typing import Any, Literal

from distill_client.responses.base import ResponseModel
from distill_client.responses.service import Device


class TimeEstimate(ResponseModel):
    """How long a job would take on one kind of device that live workers have."""

    device: Device
    workers: list[str] = []
    seconds: float | None = None
    """None: no finished job tells."""
    low: float | None = None
    high: float | None = None
    n: int = 0
    """The finished jobs that it is learned from."""
    based_on: str | None = None
    sentence: str


class MemoryEstimate(ResponseModel):
    """How much device memory a job would need."""

    status: Literal["known", "pending", "unavailable"]
    """pending: a worker works it out; ask again in a few seconds."""
    bytes: int | None = None
    parts: dict[str, int] | None = None
    fits: list[str] | None = None
    """The live workers whose device has room for it; None if that is not known."""
    sentence: str


class QueueEstimate(ResponseModel):
    """How long a job would wait, if it was submitted now."""

    position: int
    workers: int
    sentence: str


class Estimate(ResponseModel):
    """What a job would take; fields about training are None if nothing is trained."""

    steps_per_epoch: int | None = None
    steps: int | None = None
    training_images: int | None = None
    held_out_images: int | None = None
    test_images: int
    student_parameters: int | None = None
    checkpoint_bytes: int | None = None
    network_passes: int
    """Forward passes of one image through one network, over the whole job."""
    time: list[TimeEstimate] = []
    """For each kind of device; services of earlier versions send none, nor what follows."""
    memory: MemoryEstimate | None = None
    queue: QueueEstimate | None = None


class DryRun(ResponseModel):
    """The result of validating a job without submitting it."""

    spec: dict[str, Any]
    """Fully resolved."""
    dataset_id: str
    teacher_id: str | None = None
    estimate: Estimate
    warnings: list[str] = []
    """Reasons not to submit it as it is."""
