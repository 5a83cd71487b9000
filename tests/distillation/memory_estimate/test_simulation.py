"""Memory estimates: a run on fake tensors counts what a run on real ones does."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from core.distillation.data.batches import Batches
from core.distillation.data.images import Images
from core.distillation.memory_estimate import simulation
from core.distillation.memory_estimate.live_memory import BLOCK_BYTES, LiveMemory
from core.distillation.memory_estimate.simulation import LIBRARY_BYTES, estimate_memory
from core.distillation.metering.energy import Meter
from core.distillation.metering.stopwatch import Stopwatch
from core.distillation.methods import build as build_method
from core.distillation.models import from_description
from core.distillation.training.trainer import Trainer
from core.jobspec.cost.memory import MemoryRequest, evaluation_request, training_request
from core.jobspec.data import DIGITS
from core.jobspec.defaults import resolve
from core.jobspec.job import EvaluationJobSpec
from core.jobspec.network import SmallCnn
from core.jobspec.resolved import ResolvedEvaluationJobSpec, ResolvedTrainingSpec
from core.jobspec.training.methods import METHODS
from tests.builders import distillation_spec, model_description, training_spec

TEACHER = model_description(network=SmallCnn(width=8))
TRAINING_METHODS = {"trades", "pgd_at", "score", "n_fgsm"}


def request(method: str = "arkd", **changes: Any) -> MemoryRequest:
    """The request of the tiny job of tests.builders; the attack of its evaluation is tiny, too."""
    changes = {"evaluation": {"attacks": [], "batch_size": 1}, **changes}
    if method in TRAINING_METHODS:
        spec = training_spec(method={"name": method}, **changes)
        return training_request(spec, DIGITS, None)
    return training_request(distillation_spec(method={"name": method}, **changes), DIGITS, TEACHER)


def schedule(batch_size: int, **changes: Any) -> dict[str, Any]:
    return {"epochs": 1, "batch_size": batch_size, "learning_rate": 0.1, **changes}


def activations(batch_size: int, **changes: Any) -> int:
    return estimate_memory(request(schedule=schedule(batch_size, **changes))).parts["activations"]


@pytest.fixture
def memory() -> Iterator[LiveMemory]:
    with LiveMemory() as memory:
        yield memory


def test_live_memory_forgets_what_is_freed(memory: LiveMemory) -> None:
    first = torch.empty(1000)
    second = first + 1
    assert memory.bytes == 2 * -(-4000 // BLOCK_BYTES) * BLOCK_BYTES
    view = second[:10]
    del first, second
    assert memory.bytes == -(-4000 // BLOCK_BYTES) * BLOCK_BYTES
    del view
    assert memory.bytes == 0
    assert memory.peak_bytes == 2 * -(-4000 // BLOCK_BYTES) * BLOCK_BYTES


def test_live_memory_counts_what_backward_needs(memory: LiveMemory) -> None:
    weight = torch.ones(1024, requires_grad=True)
    value = weight.exp().exp().sum()
    assert memory.bytes >= 3 * 4096  # both results of exp are saved
    value.backward()  # type: ignore[no-untyped-call]
    del value
    assert memory.bytes == 2 * 4096  # the weight and its gradient


@pytest.mark.parametrize("method", ["starship", "trades"])
def test_fake_run_needs_what_a_real_one_does(method: str) -> None:
    memory_request = request(method, schedule=schedule(32))
    spec = memory_request.spec
    assert not isinstance(spec, ResolvedEvaluationJobSpec)
    gc.collect()
    with LiveMemory() as memory:
        trainer = real_trainer(spec, has_teacher=memory_request.teacher is not None)
        before = memory.bytes
        for _ in range(simulation.TRAINING_STEPS):
            for _ in trainer.train_step():
                pass
    images = sum(map(size, (trainer.batches.images.images_NCHW, trainer.batches.images.labels_N)))
    assert before > images
    estimate = estimate_memory(memory_request)
    simulated = estimate.training_bytes - LIBRARY_BYTES - memory_request.resident_bytes
    assert simulated == pytest.approx(memory.peak_bytes - images, rel=0.02)


def real_trainer(spec: ResolvedTrainingSpec, *, has_teacher: bool) -> Any:
    student = from_description(model_description())
    teacher = from_description(TEACHER) if has_teacher else None
    method = build_method(spec.method, student, teacher, spec.schedule.precision)
    images = Images(torch.zeros(64, 1, 8, 8, dtype=torch.uint8), torch.arange(64) % 10)
    batches = Batches(
        images,
        batch_size=spec.schedule.batch_size,
        augmentation=spec.data.augmentation.model_copy(update={"crop_padding": 0, "flip": False}),
        seed=0,
        device=torch.device("cpu"),
    )
    trainer = Trainer(spec, method, batches, images, 10, Stopwatch(Meter([], None)))
    trainer.metrics_interval = 100
    return trainer


def size(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def module_bytes(*modules: nn.Module) -> int:
    return sum(
        size(tensor) for module in modules for tensor in (*module.parameters(), *module.buffers())
    )


def test_parts_are_those_of_the_networks() -> None:
    student = from_description(model_description())
    parts = estimate_memory(request("arkd", averaging={"name": "ema"})).parts
    weights = sum(size(weight) for weight in student.parameters())
    assert parts["networks"] == module_bytes(student, from_description(TEACHER))
    assert (parts["gradients"], parts["average"]) == (weights, weights)
    assert parts["optimizer"] == weights  # momentum
    assert parts["images"] == (256 + 360) * 64


def test_activations_grow_with_the_batch() -> None:
    assert activations(256) / activations(128) == pytest.approx(2, rel=0.05)


def test_bf16_needs_less_than_fp32() -> None:
    assert activations(256, precision="bf16") < 0.8 * activations(256)


def test_a_large_evaluation_batch_is_the_peak() -> None:
    evaluation = {"attacks": [], "batch_size": 4096}
    estimate = estimate_memory(request(evaluation=evaluation))
    assert estimate.bytes == estimate.evaluation_bytes > estimate.training_bytes


@pytest.mark.parametrize("method", [name for name in METHODS if name != "at_prm"])
def test_every_method_can_be_estimated(method: str) -> None:
    changes: dict[str, Any] = {"adversary": {"name": "n_fgsm"}} if method == "n_fgsm" else {}
    assert estimate_memory(request(method, **changes)).training_bytes > LIBRARY_BYTES


@pytest.mark.parametrize(
    "changes",
    [
        {"igdm": {}},
        {"awp": {"begin": 0}},
        {"averaging": {"name": "swa", "begin": 0}},
        {"adversary": {"name": "pgd", "student_mode": "train_untracked"}},
        {"evaluation": {"attacks": [], "analyses": [{"name": "transfer"}]}},
    ],
    ids=str,
)
def test_parts_beside_the_method_can_be_estimated(changes: dict[str, Any]) -> None:
    assert estimate_memory(request(**changes)).training_bytes > LIBRARY_BYTES


def test_transformers_can_be_estimated() -> None:
    """Under AT-PRM, which draws numbers on the host, and in bf16, whose norms are fp32."""
    spec = training_spec(
        method={"name": "at_prm"},
        student={"architecture": "deit_s", "image_size": 8},
        schedule=schedule(8, precision="bf16"),
        evaluation={"attacks": [], "batch_size": 1},
    )
    memory_request = training_request(spec, DIGITS.model_copy(update={"channels": 3}), None)
    assert estimate_memory(memory_request).training_bytes > module_bytes(
        from_description(memory_request.student)
    )


def test_an_evaluation_trains_nothing() -> None:
    body = {"kind": "evaluation", "model": "mdl_1", "data": {"dataset": "digits"}}
    spec = resolve(EvaluationJobSpec.model_validate(body), DIGITS)
    memory_request = evaluation_request(spec, DIGITS, model_description(), TEACHER)
    estimate = estimate_memory(memory_request)
    assert estimate.training_bytes == 0
    assert estimate.bytes == estimate.evaluation_bytes
    assert estimate.parts["networks"] > 0
