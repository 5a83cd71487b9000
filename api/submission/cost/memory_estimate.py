"""How much device memory jobs need: asked of the workers, which keep the answers."""

from collections.abc import Sequence

from api.representation.submission.dry_run import MemoryEstimate
from api.submission.prepare import PreparedJob
from core.jobspec.cost.memory import MemoryRequest, evaluation_request, training_request
from core.jobspec.network import ModelDescription
from core.jobspec.resolved import ResolvedEvaluationJobSpec
from core.store.database.tables import MemoryEstimateRow
from core.store.workers import WorkerState

GIB = 2**30


def memory_request(
    job: PreparedJob, model: ModelDescription, teacher: ModelDescription | None
) -> MemoryRequest:
    """``model``: the student, or the evaluated model; ``teacher``: or its reference."""
    if isinstance(job.spec, ResolvedEvaluationJobSpec):
        return evaluation_request(job.spec, job.dataset, model, teacher)
    return training_request(job.spec, job.dataset, teacher)


def describe_memory(
    row: MemoryEstimateRow | None, workers: Sequence[WorkerState]
) -> MemoryEstimate:
    """Return what is known. ``row``: None where it has not been asked for before."""
    alive = [worker for worker in workers if worker.alive]
    if row is None or row.status == "pending":
        sentence = "It is being worked out; ask again in a few seconds."
        if not alive:
            sentence = "It will be worked out by a worker; none is alive."
        return MemoryEstimate(status="pending", sentence=sentence)
    if row.status != "known" or row.bytes is None:
        return MemoryEstimate(status="unavailable", sentence=row.problem or "It is not known.")
    return _known(row.bytes, row.parts or {}, alive)


def _known(size: int, parts: dict[str, int], alive: Sequence[WorkerState]) -> MemoryEstimate:
    reported = {
        worker.row.name: worker.hardware
        for worker in alive
        if worker.hardware is not None and worker.hardware.device_memory is not None
    }
    fits = [name for name, hardware in reported.items() if hardware.has_room_for(size)]
    amount = f"About {format_gib(size)}"
    if not reported:
        fits_sentence = "no live worker reports how much it has"
    elif fits:
        fits_sentence = f"fits {', '.join(fits)}"
    else:
        largest = max(hardware.device_memory or 0 for hardware in reported.values())
        fits_sentence = f"fits no worker you have: the largest has {format_gib(largest)}"
    return MemoryEstimate(
        status="known",
        bytes=size,
        parts=parts,
        fits=fits if reported else None,
        sentence=f"{amount}; {fits_sentence}.",
    )


def memory_warnings(estimate: MemoryEstimate) -> list[str]:
    """Return a warning if the job fits no live worker."""
    return [f"Memory: {estimate.sentence}"] if estimate.fits == [] else []


def format_gib(size: int) -> str:
    """Return a size in GiB with one decimal, or in MiB where it is small."""
    return f"{size / GIB:.1f} GiB" if size >= GIB / 2 else f"{size / 2**20:.0f} MiB"
