"""What a dry run says: the resolved spec, and what the job will cost."""

from typing import Literal

from api.representation.schemas import ResponseBody
from core.hardware import Device
from core.jobspec.resolved import ResolvedSpec


class Cost(ResponseBody):
    """What a job will cost, as far as its spec tells. Null where nothing is trained."""

    steps_per_epoch: int | None = None
    steps: int | None = None
    training_images: int | None = None
    held_out_images: int | None = None
    test_images: int
    student_parameters: int | None = None
    checkpoint_bytes: int | None = None
    network_passes: int
    """Approximate number of forward passes of one image through student or teacher, over the whole
    job: the unit of its cost."""


class TimeEstimate(ResponseBody):
    """How long a job will take on one kind of device that live workers have."""

    device: Device
    workers: list[str]
    """The live workers with this device."""
    seconds: float | None
    """Null: no finished job tells."""
    low: float | None
    high: float | None
    """The job will hardly take less than `low` or more than `high` seconds."""
    n: int
    """Number of finished jobs that it is learned from."""
    based_on: str | None
    """Such as "5 finished jobs on NVIDIA H200, small_cnn, fp32"."""
    sentence: str


class MemoryEstimate(ResponseBody):
    """How much device memory a job needs at its peak."""

    status: Literal["known", "pending", "unavailable"]
    """pending: a worker works it out; ask again in a few seconds."""
    bytes: int | None = None
    """What the trainer's tensors take; the CUDA context comes in addition."""
    parts: dict[str, int] | None = None
    """What makes up the peak, in bytes: networks, gradients, optimizer, average, images,
    activations, and libraries such as cuDNN."""
    fits: list[str] | None = None
    """Live workers whose device has room for it; null where it is not known."""
    sentence: str


class QueueEstimate(ResponseBody):
    """How long a job will wait, if it is submitted now."""

    position: int
    """Its position in line, from 1."""
    workers: int
    """Number of live workers that claim jobs."""
    sentence: str


class Estimate(Cost):
    """What a job will cost on this installation."""

    time: list[TimeEstimate]
    """For each kind of device that live workers have."""
    memory: MemoryEstimate
    queue: QueueEstimate


class DryRunResponse(ResponseBody):
    """The response to POST /v1/jobs?dry_run=true, which submits nothing."""

    spec: ResolvedSpec
    """With all defaults resolved."""
    dataset_id: str
    teacher_id: str | None
    estimate: Estimate
    warnings: list[str]
    """Reasons not to submit it as it is, although it could be."""


class SweepDryRunJob(ResponseBody):
    line: str
    """The job's line in the table of the sweep."""
    title: str
    """Line and seed."""
    spec: ResolvedSpec
    """With all defaults resolved."""


class SweepEstimate(ResponseBody):
    """What the jobs of a sweep will cost together."""

    time: list[TimeEstimate]
    """The sum over all jobs, one after the other, for each kind of device."""
    memory: MemoryEstimate
    """Of the job that needs the most."""
    queue: QueueEstimate
    """Of the first job."""


class SweepDryRunResponse(ResponseBody):
    """The response to POST /v1/sweeps?dry_run=true, which submits nothing."""

    jobs: list[SweepDryRunJob]
    network_passes: int
    """Approximate number of forward passes of one image through one network, over all jobs: the
    unit of their cost."""
    estimate: SweepEstimate
    warnings: list[str]
    """Reasons not to submit it as it is, although it could be."""
