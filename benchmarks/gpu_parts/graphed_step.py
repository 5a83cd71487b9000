"""The trainer's step as one CUDA graph, to be measured beside the trainer's own.

In the graph: the teacher's clean pass, the attack, the loss, the backward pass, the metrics.
Outside stays what changes from step to step: the batch, the attack's noise, the schedule, the
optimizer.
B batch, C channels, H height, W width.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import symbolic_trace

from core.distillation import seeds
from core.distillation.adversaries.pgd import START_NOISE, Objective, gradient_sign
from core.distillation.methods import Method, TrainingPosition
from core.distillation.methods.method import DistillationMethod
from core.distillation.models.network import Classifier
from core.distillation.network_modes import attack_mode, convolution_precision, network_mode
from core.distillation.training.compiled import CompiledForward
from core.distillation.training.non_finite import gradient_norm
from core.distillation.training.optimization import apply_schedule
from core.distillation.training.trainer import Trainer

WARM_UP_CALLS = 3
"""Before a capture: they make handles, plans and compiled code, none of which can be captured."""


def capture(function: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """Return what replays ``function`` as a CUDA graph; on a CPU, the function itself."""
    if device.type != "cuda":
        return function
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP_CALLS):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    return graph.replay


def ascend(
    objective: Objective,
    images_BCHW: Tensor,
    start_BCHW: Tensor,
    *,
    radius: float,
    step_size: float,
    steps: int,
) -> Tensor:
    """Return what ``pgd`` returns from this start; it draws nothing."""
    adversarial_BCHW = start_BCHW
    lower_BCHW = (images_BCHW - radius).clamp_min(0)
    upper_BCHW = (images_BCHW + radius).clamp_max(1)
    for _ in range(steps):
        step_BCHW = step_size * gradient_sign(objective, adversarial_BCHW)
        adversarial_BCHW = adversarial_BCHW + step_BCHW
        adversarial_BCHW = torch.maximum(torch.minimum(adversarial_BCHW, upper_BCHW), lower_BCHW)
    return adversarial_BCHW.clamp(0, 1)


class FoldedCopy:
    """A copy of a network in eval mode with fewer operations, computed from its present weights.

    Batch norms after a convolution are folded into it. Convolutions and linear layers have
    ``dtype``.
    """

    def __init__(self, source: Classifier, dtype: torch.dtype) -> None:
        self.network = copy.deepcopy(source).eval().requires_grad_(False)
        self.pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []
        self.targets: list[Tensor] = []
        for convolution_name, norm_name in list(convolutions_with_norm(source)):
            convolution = self.network.get_submodule(convolution_name)
            norm = source.get_submodule(norm_name)
            assert isinstance(convolution, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            bias = torch.zeros_like(convolution.weight[:, 0, 0, 0])
            convolution.bias = nn.Parameter(bias, requires_grad=False)
            self.network.set_submodule(norm_name, nn.Identity())
            original = source.get_submodule(convolution_name)
            assert isinstance(original, nn.Conv2d)
            self.pairs.append((original, norm))
        for module in self.network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.to(dtype)
        self._collect_copies(source)
        self.refresh()

    def _collect_copies(self, source: Classifier) -> None:
        """Find the tensors that ``refresh`` writes, and those that it copies as they are."""
        folded = {id(convolution.weight) for convolution, _ in self.pairs}
        originals = source.state_dict(keep_vars=True)
        copies = self.network.state_dict(keep_vars=True)
        names = {id(value): name for name, value in originals.items()}
        for convolution, _ in self.pairs:
            name = names[id(convolution.weight)]
            bias_name = name.removesuffix("weight") + "bias"
            self.targets += [copies[name].detach(), copies[bias_name].detach()]
        self.unchanged = []
        for name, value in originals.items():
            if name in copies and id(value) not in folded:
                self.targets.append(copies[name].detach())
                self.unchanged.append(value.detach())

    @torch.no_grad()
    def refresh(self) -> None:
        """Compute the copy's weights again from those of the network, in place."""
        values = []
        for convolution, norm in self.pairs:
            assert norm.running_mean is not None
            assert norm.running_var is not None
            scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
            values.append(convolution.weight * scale[:, None, None, None])
            values.append(norm.bias - norm.running_mean * scale)
        torch._foreach_copy_(self.targets, values + self.unchanged)


def convolutions_with_norm(network: Classifier) -> Iterator[tuple[str, str]]:
    """Yield the names of each convolution without bias and the batch norm that alone uses it."""
    for node in symbolic_trace(network).graph.nodes:
        if node.op != "call_module":
            continue
        if not isinstance(network.get_submodule(node.target), nn.BatchNorm2d):
            continue
        previous = node.args[0]
        if previous.op != "call_module" or len(previous.users) > 1:
            continue
        convolution = network.get_submodule(previous.target)
        if isinstance(convolution, nn.Conv2d) and convolution.bias is None:
            yield previous.target, node.target


def with_networks(
    method: Method[Any], student: Classifier, teacher: Classifier | None
) -> Method[Any]:
    """Return the same method, with its heads, on other networks."""
    copied = copy.copy(method)
    copied.student = student
    if teacher is not None and isinstance(copied, DistillationMethod):
        copied.teacher = teacher
    for name in ("arkd", "method"):  # STARSHIP is beside an ARKD, IGDM beside a method
        inner = getattr(method, name, None)
        if isinstance(inner, Method):
            setattr(copied, name, with_networks(inner, student, teacher))
    return copied


class GraphedStep:
    """Takes the trainer's steps; ``loss`` is the latest one's."""

    def __init__(self, trainer: Trainer, *, folded: bool = False, compiled: bool = False) -> None:
        """``folded``: attack and teacher run on folded copies. ``compiled``: by Inductor."""
        self.trainer = trainer
        self.device = trainer.device
        images_BCHW, labels_B = trainer.batches.at(trainer.state.step)
        self.images_BCHW = images_BCHW.clone()
        self.labels_B = labels_B.clone()
        self.noise_BCHW = torch.zeros_like(self.images_BCHW)
        self.loss = torch.zeros((), device=self.device)
        self.non_finite = torch.zeros((), device=self.device)
        self.sums: dict[str, Tensor] = {}
        self.method = self.attacked = trainer.method
        self.copies: list[FoldedCopy] = []
        self.student_copy: FoldedCopy | None = None
        if folded:
            self._fold()
        networks = [trainer.student, *(each.network for each in self.copies)]
        context = CompiledForward(*networks) if compiled else nullcontext()
        precision = trainer.spec.schedule.precision
        state = {key: value.clone() for key, value in trainer.student.state_dict().items()}
        with context, convolution_precision(precision):
            self.replay = capture(self._compute, self.device)
        # The calls before the capture have moved the batch norms' statistics. The graph knows the
        # tensors by their addresses, so they are written in place.
        trainer.student.load_state_dict(state)
        for total in self.sums.values():
            total.zero_()

    def _fold(self) -> None:
        method = self.trainer.method
        dtype = torch.bfloat16 if method.precision == "bf16" else torch.float32
        self.student_copy = FoldedCopy(self.trainer.student, dtype)
        self.copies.append(self.student_copy)
        teacher = None
        if len(method.networks) > 1:
            self.copies.append(FoldedCopy(method.networks[1], dtype))
            teacher = self.copies[1].network
        self.method = with_networks(method, self.trainer.student, teacher)
        self.attacked = with_networks(method, self.student_copy.network, teacher)

    def __call__(self) -> None:
        """Take one step, as Trainer.train_step does."""
        trainer = self.trainer
        step = trainer.state.step
        apply_schedule(
            trainer.optimizer, trainer.spec.schedule, step, trainer.steps, trainer.steps_per_epoch
        )
        images_BCHW, labels_B = trainer.batches.at(step)
        self.images_BCHW.copy_(images_BCHW)
        self.labels_B.copy_(labels_B)
        generator = seeds.generator(self.device, trainer.spec.seed, "adversary", step)
        self.noise_BCHW.normal_(generator=generator)
        self.replay()
        trainer.optimizer.found_inf = self.non_finite  # type: ignore[attr-defined]
        trainer.optimizer.step()
        trainer.state.step += 1

    def _compute(self) -> None:
        """Everything that is captured: it reads and writes tensors that stay where they are."""
        trainer = self.trainer
        adversary = trainer.spec.adversary
        assert adversary.name == "pgd"
        assert adversary.start == "gaussian"
        # Without gradients before the capture they are made inside it, in the graph's memory.
        trainer.optimizer.zero_grad(set_to_none=True)
        position = TrainingPosition(0, trainer.steps_per_epoch, trainer.spec.schedule.epochs)
        batch = self.method.prepare_batch(self.images_BCHW, self.labels_B, position)
        if self.student_copy is not None:
            self.student_copy.refresh()
        with attack_mode(trainer.student, adversary.student_mode):
            adversarial_BCHW = ascend(
                self.attacked.inner(batch),
                batch.images_BCHW,
                batch.images_BCHW + START_NOISE * self.noise_BCHW,
                radius=adversary.radius,
                step_size=adversary.step_size,
                steps=adversary.steps,
            )
        with (
            network_mode(trainer.student, "train"),
            trainer.perturbation(batch, adversarial_BCHW),
        ):
            loss = self.method.outer(batch, adversarial_BCHW)
            total = loss.total
            total.backward()  # type: ignore[no-untyped-call]
        terms = {f"loss_{name}": term.value for name, term in loss.terms.items()}
        self._add_metrics(total.detach(), {**terms, **loss.metrics})

    @torch.no_grad()
    def _add_metrics(self, total: Tensor, metrics: dict[str, Tensor]) -> None:
        norm = gradient_norm(self.trainer.optimizer)
        self.non_finite.copy_(~(total.isfinite() & norm.isfinite()))
        self.loss.copy_(total)
        for name, value in metrics.items():
            if name not in self.sums:
                self.sums[name] = torch.zeros((), dtype=torch.float64, device=self.device)
            self.sums[name].add_(value)
