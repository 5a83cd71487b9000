"""A short run of a job on fake tensors: they have shapes and no data, and cost no time.

It is the trainer's own code that runs. So the estimate holds for every method and architecture.
The device is the CPU, as CUDA needs a GPU even for fake tensors: what differs between the two is
corrected here.

B batch size, C H W image.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import cross_entropy, layer_norm
from torch.overrides import TorchFunctionMode

from core.distillation.adversaries.pgd import pgd
from core.distillation.data.batches import Batches
from core.distillation.data.images import Images
from core.distillation.memory_estimate.live_memory import LiveMemory
from core.distillation.metering.energy import Meter
from core.distillation.metering.stopwatch import Stopwatch
from core.distillation.methods import build as build_method
from core.distillation.models import from_description
from core.distillation.models.network import Classifier
from core.distillation.training.trainer import Trainer
from core.jobspec.cost.memory import MemoryRequest
from core.jobspec.network import ModelDescription
from core.jobspec.resolved import (
    ResolvedDistillationSpec,
    ResolvedEvaluationJobSpec,
    ResolvedTrainingSpec,
)

TRAINING_STEPS = 2
"""The optimizer has no momentum before the first is complete."""
STUDENT_COPIES = 3
"""Weights beside the student while it is evaluated: of the best, the last and the trained one."""
LIBRARY_BYTES = 96 * 2**20
"""What cuBLAS and cuDNN take for as long as they are used: it brings the steps in bf16 of
benchmarks/memory_estimate.py within 2 % of what an H200 allocated."""
REFERENCE_ANALYSES = frozenset({"transfer", "variance_gap", "spectra", "grad_cam"})
"""Analyses that attack the reference, too."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Device memory in bytes, as ``torch.cuda.max_memory_allocated`` counts it.

    The CUDA context, and what the allocator reserves beyond that, come in addition.
    """

    training_bytes: int
    """The peak of a training step; 0 where nothing is trained."""
    evaluation_bytes: int
    """The peak of a batch that is attacked."""
    parts: dict[str, int]
    """What the larger of them is made of: networks, gradients, optimizer, average, images,
    libraries, and activations, which are the remainder."""

    @property
    def bytes(self) -> int:
        return max(self.training_bytes, self.evaluation_bytes)


def estimate_memory(request: MemoryRequest) -> MemoryEstimate:
    """Run the job's most expensive moments on fake tensors, and return their peaks."""
    memory = LiveMemory()
    with FakeTensorMode(), memory, CudaAutocast():
        student = _build(request.student)
        teacher = None if request.teacher is None else _build(request.teacher)
        if isinstance(request.spec, ResolvedEvaluationJobSpec):
            parts = {"networks": memory.bytes}
            training_peak = 0
            memory.reset_peak()
            _attack(request)
        else:
            trainer = _make_trainer(request, request.spec, student, teacher)
            _train(trainer)
            parts = _sizes(trainer, teacher)
            training_peak = memory.peak_bytes
            memory.reset_peak()
            copies = [trainer.copy_weights() for _ in range(STUDENT_COPIES)]
            _attack(request)
            del copies
    parts |= {"images": request.resident_bytes, "libraries": LIBRARY_BYTES}
    other_bytes = request.resident_bytes + LIBRARY_BYTES
    estimate = MemoryEstimate(
        training_bytes=training_peak and training_peak + other_bytes,
        evaluation_bytes=memory.peak_bytes + other_bytes,
        parts=parts,
    )
    parts["activations"] = max(0, estimate.bytes - sum(parts.values()))
    return estimate


def _train(trainer: Trainer) -> None:
    for _ in range(TRAINING_STEPS):
        for _ in trainer.train_step():
            pass
    if trainer.average is not None:
        trainer.average.after_epoch(1)


def _sizes(trainer: Trainer, teacher: Classifier | None) -> dict[str, int]:
    """Return the bytes of what a training keeps from step to step."""
    heads = trainer.method.heads
    trained = [*trainer.student.parameters(), *heads.parameters()]
    states = trainer.optimizer.state.values()
    return {
        "networks": _size([*_tensors(trainer.student), *_tensors(teacher), *_tensors(heads)]),
        "gradients": _size(weight.grad for weight in trained),
        "optimizer": _size(value for state in states for value in state.values()),
        "average": 0 if trainer.average is None else _size(trainer.average.weights.values()),
    }


class _FakeTrainer(Trainer):
    """A trainer that reads no number: fake tensors have none."""

    def check_finite(self) -> None:
        pass


def _make_trainer(
    request: MemoryRequest,
    spec: ResolvedTrainingSpec,
    student: Classifier,
    teacher: Classifier | None,
) -> Trainer:
    igdm = spec.igdm if isinstance(spec, ResolvedDistillationSpec) else None
    method = build_method(spec.method, student, teacher, spec.schedule.precision, igdm)
    shape = (request.student.channels, request.student.height, request.student.width)
    with _real_tensors():
        held_out = Images(
            torch.zeros(1, *shape, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64)
        )
        trainer = _FakeTrainer(
            spec,
            method,
            _FakeBatches(spec.schedule.batch_size, shape),
            held_out,
            request.student.classes,
            Stopwatch(Meter([], None)),
        )
    trainer.metrics_interval = TRAINING_STEPS + 1
    return trainer


class _FakeBatches(Batches):
    """Batches of one shape."""

    def __init__(self, batch_size: int, shape: tuple[int, int, int]) -> None:
        self.batch_size = batch_size
        self.shape = shape
        self.steps_per_epoch = TRAINING_STEPS

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Return images [B, C, H, W] and labels [B]."""
        images_BCHW = torch.empty(self.batch_size, *self.shape)
        return images_BCHW, torch.zeros(self.batch_size, dtype=torch.int64)


def _attack(request: MemoryRequest) -> None:
    """Take a step of an attack on each network that the evaluation attacks.

    Its weights are those that were trained: what their gradients need is stored, too. AutoAttack,
    whose copy is folded, needs less.
    """
    evaluation = request.spec.evaluation
    attacked = [request.student]
    if request.teacher is not None and any(
        analysis.name in REFERENCE_ANALYSES for analysis in evaluation.analyses
    ):
        attacked.append(request.teacher)
    shape = (request.student.channels, request.student.height, request.student.width)
    images_BCHW = torch.empty(evaluation.batch_size, *shape)
    labels_B = torch.zeros(evaluation.batch_size, dtype=torch.int64)
    for description in attacked:
        objective = _cross_entropy_of(_build(description).eval(), labels_B)
        pgd(objective, images_BCHW, radius=0.1, step_size=0.1, steps=1)


def _build(description: ModelDescription) -> Classifier:
    """Return the network, on fake tensors.

    It is built on the meta device: initial weights, which nobody needs, take no time there.
    """
    with _real_tensors(), torch.device("meta"):
        network = from_description(description)
    _make_fake(network)
    return network


def _make_fake(network: nn.Module) -> None:
    """Replace tensors of the meta device by fake ones."""
    for module in network.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                fake = torch.empty(parameter.shape, dtype=parameter.dtype)
                module._parameters[name] = nn.Parameter(fake, parameter.requires_grad)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)


def _cross_entropy_of(network: nn.Module, labels_B: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda images_BCHW: cross_entropy(network(images_BCHW), labels_B, reduction="none")


class CudaAutocast(TorchFunctionMode):
    """Lets bf16 autocast treat layer norms as on CUDA: there they compute, and return, fp32."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is layer_norm and torch.is_autocast_enabled("cpu"):
            args = (args[0].float(), *args[1:])
        return func(*args, **(kwargs or {}))


@contextmanager
def _real_tensors() -> Iterator[None]:
    """Leave the fake mode meanwhile."""
    with torch.utils._python_dispatch._disable_current_modes():
        yield


def _tensors(module: nn.Module | None) -> list[Tensor]:
    return [] if module is None else [*module.parameters(), *module.buffers()]


def _size(tensors: Iterable[Any]) -> int:
    """Return the bytes of the tensors; what is no tensor counts nothing."""
    return sum(
        tensor.numel() * tensor.element_size() for tensor in tensors if isinstance(tensor, Tensor)
    )
