"""The training loop: attack, answer, loss, backward, step. Goes on exactly where a checkpoint stopped, inside an epoch too."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from core.distillation import seeds
from core.distillation.adversaries import attack
from core.distillation.data.batches import Batches
from core.distillation.data.images import ImageSource
from core.distillation.evaluation import Finding, measure
from core.distillation.forward import convolutions_in, mode
from core.distillation.metering.stopwatch import Stopwatch
from core.distillation.methods import Batch, Method, MethodLoss, TrainingPosition
from core.distillation.run_state import RunState
from core.distillation.training import checkpoint
from core.distillation.training.averaging import WeightAverage
from core.distillation.training.compiled import CompiledForward
from core.distillation.training.optimization import make_optimizer, apply_schedule
from core.distillation.training.weight_perturbation import perturbed
from core.errors import JobFailed
from core.job_folder import EpochCompleted, Metrics, Progress
from core.jobspec.evaluation import SELECTION_STEPS
from core.jobspec.resolved import ResolvedPgdAttack, ResolvedTrainingSpec

CURVE_POINTS = 2000
PROGRESS_SECONDS = 0.5
STATISTICS_BATCHES = 64
"""Training batches that an averaged student's batch norm statistics are taken over, at most."""


@dataclass(frozen=True)
class SerializedCheckpoint:
    """Yielded where one is due: ``data`` holds everything needed to go on from here."""

    number: int
    step: int
    data: bytes


@dataclass(frozen=True)
class TrainingStopped:
    """Yielded last, after a checkpoint, when the job was asked to stop."""

    step: int


class Trainer:
    """One student in training. ``train`` yields what happens; ``state`` says where it stands.

    On CUDA nothing inside a step waits for the device: what has to be looked at is looked at when a figure is due.
    """

    def __init__(
        self,
        spec: ResolvedTrainingSpec,
        method: Method,
        batches: Batches,
        held_out: ImageSource,
        classes: int,
        watch: Stopwatch,
    ) -> None:
        self.spec, self.method = spec, method
        self.batches, self.held_out, self.classes = batches, held_out, classes
        self.student = method.student
        self.device = next(self.student.parameters()).device
        schedule = spec.schedule
        self.steps_per_epoch = batches.steps_per_epoch
        self.steps = self.steps_per_epoch * schedule.epochs
        self.metrics_interval = max(1, self.steps // CURVE_POINTS)
        self.optimizer = make_optimizer(
            schedule, [*self.student.parameters(), *method.heads.parameters()]
        )
        self.state = RunState()
        self.average = None if spec.averaging is None else WeightAverage(spec.averaging, self.student)
        self.passes = CompiledForward(*method.networks) if schedule.compile else nullcontext()
        self.figures = RunningMetrics()
        self.watch, self.told = watch, time.monotonic()

    # -- checkpoints

    def resume(self, path: Path) -> None:
        self.state = checkpoint.load(
            path, self.student, self.method.heads, self.optimizer, self.spec.model_dump_json()
        )
        self.check_history()
        self.figures = RunningMetrics(
            {
                name: torch.tensor(total, dtype=torch.float64)
                for name, total in self.state.sums.items()
            }
        )
        if self.average is not None:
            self.average.weights = {
                name: weight.to(self.device) for name, weight in self.state.average.items()
            }
            self.average.updates = self.state.averaged

    def check_history(self) -> None:
        """Raise JobFailed where it does not tell of every epoch that is over; the last may not have been judged yet."""
        epochs, step = len(self.state.history), self.state.step
        last_progress = [entry.get("epoch") for entry in self.state.history] == list(range(1, epochs + 1))
        if not last_progress or not 0 <= step - epochs * self.steps_per_epoch <= self.steps_per_epoch:
            message = f"The checkpoint is incomplete: it has {epochs} epochs of {self.steps_per_epoch} steps at step {step}."
            raise JobFailed("incomplete_checkpoint", "infrastructure", message)

    def serialize_checkpoint(self) -> SerializedCheckpoint:
        self.check_finite()
        self.watch.record_phase(self.state, "training" if self.state.step < self.steps else "evaluating")
        self.state.saves += 1
        self.state.sums = self.figures.totals()
        if self.average is not None:
            self.state.average, self.state.averaged = self.average.weights, self.average.updates
        data = checkpoint.serialize(
            self.state, self.student, self.method.heads, self.optimizer, self.spec.model_dump_json()
        )
        self.watch.restart_checkpoint_interval()
        return SerializedCheckpoint(self.state.saves, self.state.step, data)

    def checkpoint_due(self) -> bool:
        return self.watch.checkpoint_due(self.spec.schedule.checkpoint_seconds)

    # -- the loop

    def train(
        self, stop: Callable[[], bool]
    ) -> Iterator[Metrics | EpochCompleted | Progress | SerializedCheckpoint | TrainingStopped]:
        """Until all epochs are done, or ``stop`` says so between two steps."""
        first_step, first_time = self.state.step, time.monotonic()
        while True:
            if stop():
                yield self.serialize_checkpoint()
                yield TrainingStopped(self.state.step)
                return
            if self.state.step == self.steps_per_epoch * (len(self.state.history) + 1):
                yield self.validate_epoch()
            elif self.state.step == self.steps:
                self.watch.record_phase(self.state, "training")
                return
            else:
                yield from self.train_step()
                yield from self.progress_events(first_step, first_time)
            if self.checkpoint_due():
                yield self.serialize_checkpoint()

    def train_step(self) -> Iterator[Metrics]:
        step, schedule = self.state.step, self.spec.schedule
        rate = apply_schedule(self.optimizer, schedule, step, self.steps, self.steps_per_epoch)
        with convolutions_in(schedule.precision), self.passes:
            batch, adversarial_BCHW = self.adversarial_batch(step)
            self.student.train()
            with self.weight_perturbation(batch, adversarial_BCHW):
                outcome = self.method.outer(batch, adversarial_BCHW)
                loss = outcome.total
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
            # A fused optimizer leaves everything as it is where found_inf is 1, without telling the host.
            skipped = self.figures.add(step, outcome, loss, gradient_norm(self.optimizer))
            self.optimizer.found_inf = skipped  # type: ignore[attr-defined]
            self.optimizer.step()
        if self.average is not None:
            self.average.after_step()
        self.state.step += 1
        if self.state.step % self.metrics_interval == 0 or self.device.type == "cpu":
            self.check_finite()
        if self.state.step % self.metrics_interval == 0:
            yield Metrics(
                step=self.state.step, values=self.figures.last_values() | {"learning_rate": rate}
            )

    def adversarial_batch(self, step: int) -> tuple[Batch, Tensor]:
        """The step's batch and its adversarial images: a function of the seed, the step and the student."""
        torch.manual_seed(seeds.derive(self.spec.seed, "network", step))
        images_BCHW, labels_B = self.batches.at(step)
        batch = self.method.prepare_batch(
            images_BCHW, labels_B, TrainingPosition(step, self.steps_per_epoch, self.spec.schedule.epochs)
        )
        with mode(self.student, self.spec.adversary.student_mode):
            generator = seeds.generator(self.device, self.spec.seed, "adversary", step)
            return batch, attack(
                self.spec.adversary, self.method.inner(batch), batch.images_BCHW, generator
            )

    def weight_perturbation(
        self, batch: Batch, adversarial_BCHW: Tensor
    ) -> AbstractContextManager[None]:
        awp = self.spec.awp
        if awp is None or batch.position.epoch < awp.begin:
            return nullcontext()
        return perturbed(
            self.student, awp.gamma, lambda: self.method.outer(batch, adversarial_BCHW).total
        )

    def check_finite(self) -> None:
        """Raise JobFailed if a step since the last look had a loss or gradient that is not finite."""
        bad = self.figures.first_non_finite_step()
        if bad is None:
            return
        # No step was taken from there on: the student is what it was, and so is the step's loss.
        with convolutions_in(self.spec.schedule.precision):
            batch, adversarial_BCHW = self.adversarial_batch(bad)
            self.student.train()
            raise self.diagnose_non_finite(self.method.outer(batch, adversarial_BCHW), bad + 1)

    def diagnose_non_finite(self, outcome: MethodLoss, step: int) -> JobFailed:
        """The failure that names the first term that is no longer a number, or whose gradient is not, though the term is."""
        for name, term in outcome.terms.items():
            if not term.value.isfinite():
                return non_finite_error(f"The loss term {name} became {term.value.item()}", step)
        parameters = [
            each
            for group in self.optimizer.param_groups
            for each in group["params"]
            if each.requires_grad
        ]
        for name, term in outcome.terms.items():
            found = torch.autograd.grad(
                term.value, parameters, retain_graph=True, allow_unused=True
            )
            if not all(gradient.isfinite().all() for gradient in found if gradient is not None):
                return non_finite_error(f"The gradient of the loss term {name} is not finite", step)
        return non_finite_error("The sum of the loss terms' gradients is not finite", step)

    # -- between epochs

    def validate_epoch(self) -> EpochCompleted:
        """Close the epoch: mean loss terms and, when it is due, accuracy on the held-out images, which chooses the best."""
        self.check_finite()
        epoch = len(self.state.history) + 1
        if self.average is not None:
            self.average.after_epoch(epoch)
        values = {
            name: total / self.steps_per_epoch for name, total in self.figures.totals().items()
        }
        due = epoch % self.spec.evaluation.every_epochs == 0 or epoch == self.spec.schedule.epochs
        if due:
            with self.averaged_weights():
                clean, robust = (
                    self.held_out_accuracy(None),
                    self.held_out_accuracy(self.selection_attack()),
                )
                values |= {"held_out_clean": clean, "held_out_robust": robust}
                if (robust, clean) >= self.state.best_score:
                    self.state.best_score, self.state.best_epoch = (robust, clean), epoch
                    self.state.best = self.copy_weights()
        self.state.history.append({"epoch": epoch, **values})
        self.figures = RunningMetrics()
        self.state.sums = {}
        return EpochCompleted(epoch=epoch, step=self.state.step, values=values)

    def averaged_weights(self) -> AbstractContextManager[None]:
        """The student that would be published: the average of its weights, where one is kept."""
        if self.average is None:
            return nullcontext()
        steps = range(min(self.steps_per_epoch, STATISTICS_BATCHES))
        return self.average.applied(self.batches.at(step)[0] for step in steps)

    def copy_weights(self) -> dict[str, Tensor]:
        return {key: value.detach().clone() for key, value in self.student.state_dict().items()}

    def selection_attack(self) -> ResolvedPgdAttack:
        radius = self.spec.adversary.radius
        return ResolvedPgdAttack(radius=radius, step_size=radius / 4, steps=SELECTION_STEPS)

    def held_out_accuracy(self, attack: ResolvedPgdAttack | None) -> float:
        size, seed = self.spec.evaluation.batch_size, self.spec.seed
        *_, result = measure(
            self.student, self.held_out, attack, classes=self.classes, batch_size=size, seed=seed
        )
        assert isinstance(result, Finding)
        assert result.value is not None
        return result.value

    def progress_events(self, first_step: int, first_time: float) -> Iterator[Progress]:
        now = time.monotonic()
        if now - self.told < PROGRESS_SECONDS:
            return
        self.told = now
        step = self.state.step
        eta = (now - first_time) / (step - first_step) * (self.steps - step)
        epoch = min(self.spec.schedule.epochs, step // self.steps_per_epoch + 1)
        yield Progress(
            phase="training",
            step=step,
            of=self.steps,
            epoch=epoch,
            epochs=self.spec.schedule.epochs,
            eta_seconds=round(eta, 1),
        )


class RunningMetrics:
    """Sums of an epoch's figures, and whether all was finite: kept on the device, read when somebody asks."""

    def __init__(self, sums: dict[str, Tensor] | None = None) -> None:
        self.sums = sums or {}
        self.last: dict[str, Tensor] = {}
        self.non_finite_step: Tensor | None = None

    def add(self, step: int, outcome: MethodLoss, loss: Tensor, gradient_norm: Tensor) -> Tensor:
        """1.0 where loss or gradient of this step, or of one before it, is not finite; else 0.0.

        A figure that is not finite adds nothing to its sum.
        """
        terms = {f"loss_{name}": term.value for name, term in outcome.terms.items()}
        self.last = {
            name: value.detach()
            for name, value in ({"loss": loss} | terms | outcome.metrics).items()
        }
        for name, value in self.last.items():
            finite = (
                value.double()
                .nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
                .to(loss.device, non_blocking=True)
            )
            self.sums[name] = (
                self.sums[name].to(loss.device) + finite if name in self.sums else finite
            )
        bad = ~(loss.detach().isfinite() & gradient_norm.isfinite())
        if self.non_finite_step is None:
            self.non_finite_step = torch.full((), -1, device=loss.device)
        self.non_finite_step = torch.where((self.non_finite_step < 0) & bad, step, self.non_finite_step)
        return (self.non_finite_step >= 0).float()

    def first_non_finite_step(self) -> int | None:
        step = -1 if self.non_finite_step is None else int(self.non_finite_step)
        return step if step >= 0 else None

    def totals(self) -> dict[str, float]:
        return _numbers(self.sums)

    def last_values(self) -> dict[str, float]:
        return _numbers(self.last)


def _numbers(figures: dict[str, Tensor]) -> dict[str, float]:
    """In one transfer from the device; a figure that is not finite is left out."""
    if not figures:
        return {}
    device = next(iter(figures.values())).device
    values = torch.stack([value.double().to(device) for value in figures.values()]).tolist()
    return {
        name: value for name, value in zip(figures, values, strict=True) if math.isfinite(value)
    }


def gradient_norm(optimizer: torch.optim.Optimizer) -> Tensor:
    parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
    return torch.nn.utils.get_total_norm(
        [parameter.grad for parameter in parameters if parameter.grad is not None]
    )


def non_finite_error(what: str, step: int) -> JobFailed:
    advice = "A lower learning rate, or a smaller weight of the term, may help."
    return JobFailed(
        "non_finite_loss", "user", f"{what} at step {step}; that step was not taken. {advice}"
    )
