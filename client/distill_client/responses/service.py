"""What operates the service: workers, their machines, and storage."""

from distill_client.responses.base import ResponseModel


class Device(ResponseModel):
    """What the trainers of a worker compute on."""

    kind: str
    """cpu or cuda."""
    name: str | None = None


class Gpu(ResponseModel):
    """A GPU of a worker's machine; None: not reported."""

    name: str
    memory_total: int | None = None
    """In bytes."""
    memory_used: int | None = None
    utilization: float | None = None
    """In [0, 1]."""
    temperature: int | None = None
    """In degrees Celsius."""
    driver: str | None = None


class Hardware(ResponseModel):
    """The machine of a worker at its last heartbeat; None: not reported."""

    device: Device
    gpus: list[Gpu] | None = None
    cores: int | None = None
    load: float | None = None
    """Processes that ran or waited, on average over the last minute."""
    memory_total: int | None = None
    """Of the host, in bytes."""
    memory_used: int | None = None
    scratch_free: int | None = None
    """Free space of the scratch folder, in bytes."""


class Worker(ResponseModel):
    """A worker process."""

    name: str
    version: str
    protocol: int
    slots: int
    """The number of jobs that it runs at a time, at most."""
    running: int
    """The number of jobs that it runs now."""
    draining: bool
    trouble: str | None = None
    """Why it claims no job although it is not draining."""
    alive: bool
    started_at: str
    seen_at: str
    hardware: Hardware | None = None
    """None if the worker does not report it."""


class Installation(ResponseModel):
    """What an installation is and allows."""

    version: str
    dataset_imports: list[str]
    """From where a data set may come: upload, folder, download."""
    max_upload_bytes: int
    restore_days: float


class StorageTotal(ResponseModel):
    """Number and size of some stored files."""

    files: int
    bytes: int


class Storage(ResponseModel):
    """What a project stores, and the space that is left."""

    total: StorageTotal
    kinds: dict[str, StorageTotal]
    deleted: StorageTotal
    """Of deleted jobs, models and data sets, which can still be restored."""
    free_bytes: int | None = None
    """None if the files are in a bucket."""
    capacity_bytes: int | None = None
