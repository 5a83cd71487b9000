"""FLOPs of a training step, and the FLOP/s that the device reaches in matrix products."""

import statistics
import time
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from core.distillation.adversaries import run_adversary
from core.distillation.methods import build
from core.distillation.models import from_description
from core.jobspec.data import DatasetDescription
from core.jobspec.network import ModelDescription
from core.jobspec.resolved import ResolvedDistillationSpec

COUNTED_IMAGES = 4
CONVOLUTIONS = (torch.ops.aten.convolution, torch.ops.aten.convolution_backward)


def matrix_rate(device: torch.device, precision: str, repeats: int = 20) -> float:
    """FLOP/s of square matrix products in a schedule's precision; the median of ``repeats``."""
    size = 8192 if device.type == "cuda" else 1024
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    previous = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    try:
        seconds = [multiplication_seconds(a, b) for _ in range(repeats + 3)][3:]
    finally:
        torch.backends.cuda.matmul.allow_tf32 = previous
    return 2 * size**3 / statistics.median(seconds)


def multiplication_seconds(a: torch.Tensor, b: torch.Tensor) -> float:
    synchronize(a.device)
    start = time.perf_counter()
    _ = a @ b
    synchronize(a.device)
    return time.perf_counter() - start


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def flops_per_image(
    spec: ResolvedDistillationSpec, teacher: ModelDescription, data: DatasetDescription
) -> float:
    """FLOPs of the convolutions in one training step: attack, forward passes, backward pass."""
    shape = {name: getattr(data, name) for name in ("classes", "channels", "height", "width")}
    student = from_description(ModelDescription(network=spec.student, **shape))
    method = build(spec.method, student, from_description(teacher), "fp32", spec.igdm)
    images = torch.rand(COUNTED_IMAGES, data.channels, data.height, data.width)
    labels = torch.zeros(COUNTED_IMAGES, dtype=torch.long)
    with ConvolutionCounter() as counter:  # type: ignore[no-untyped-call]
        batch = method.prepare_batch(images, labels)
        student.eval()
        adversarial = run_adversary(
            spec.adversary, method.inner(batch), batch.images_BCHW, torch.Generator().manual_seed(0)
        )
        student.train()
        method.outer(batch, adversarial).total.backward()  # type: ignore[no-untyped-call]
    return float(counter.flops / COUNTED_IMAGES)


class ConvolutionCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the FLOPs of convolutions. Torch's own counter cannot follow autograd.grad."""

    flops: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in CONVOLUTIONS:
            self.flops += flop_registry[func.overloadpacket](
                *args, **(kwargs or {}), out_val=result
            )
        return result
