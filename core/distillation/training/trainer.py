"""The training loop: attack, forward passes and loss, backward pass, optimizer step.

It resumes exactly where a checkpoint was taken, inside an epoch too.
B batch, C channels, H height, W width.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.distillation import seeds
from core.distillation.adversaries import run_adversary
from core.distillation.data.batches import Batches
from core.distillation.data.images import ImageSource
from core.distillation.evaluation import EvaluationTarget, Finding, measure
from core.distillation.metering.stopwatch import Stopwatch
from core.distillation.methods import Batch, Method, TrainingPosition
from core.distillation.network_modes import convolution_precision, network_mode
from core.distillation.run_state import RunState
from core.distillation.training import checkpoint
from core.distillation.training.averaging import WeightAverage
from core.distillation.training.compiled import CompiledForward
from core.distillation.training.non_finite import (
    gradient_norm,
    non_finite_error,
    trained_parameters,
)
from core.distillation.training.optimization import apply_schedule, make_optimizer
from core.distillation.training.running_metrics import RunningMetrics
from core.distillation.training.weight_perturbation import perturbed_weights
from core.errors import JobFailed
from core.job_folder import EpochCompleted, Metrics, Progress
from core.jobspec.evaluation import SELECTION_STEPS
from core.jobspec.resolved import ResolvedPgdAttack, ResolvedTrainingSpec

CURVE_POINTS = 2000
"""About as many Metrics events a job emits, however many steps it has."""
PROGRESS_SECONDS = 0.5
"""Between two Progress events."""
STATISTICS_BATCHES = 64
"""Most training batches from which an averaged student's batch norm statistics are computed."""


@dataclass(frozen=True)
class SerializedCheckpoint:
    """A checkpoint to be saved. ``number`` counts a job's checkpoints from 1."""

    number: int
    step: int
    data: bytes


@dataclass(frozen=True)
class TrainingStopped:
    """The last event, after a checkpoint, of a training that was asked to stop."""

    step: int


class Trainer:
    """Trains one student. ``train`` yields events; ``state`` is how far the training has got.

    On CUDA no training step waits for the device, except where metrics or a checkpoint are due.
    """

    def __init__(
        self,
        spec: ResolvedTrainingSpec,
        method: Method[Any],
        batches: Batches,
        held_out: ImageSource,
        classes: int,
        stopwatch: Stopwatch,
    ) -> None:
        self.spec = spec
        self.method = method
        self.batches = batches
        self.held_out = held_out
        self.classes = classes
        self.stopwatch = stopwatch
        self.student = method.student
        self.device = next(self.student.parameters()).device
        schedule = spec.schedule
        self.steps_per_epoch = batches.steps_per_epoch
        self.steps = self.steps_per_epoch * schedule.epochs
        self.metrics_interval = max(1, self.steps // CURVE_POINTS)
        parameters = [*self.student.parameters(), *method.heads.parameters()]
        self.optimizer = make_optimizer(schedule, parameters)
        self.average = (
            None if spec.averaging is None else WeightAverage(spec.averaging, self.student)
        )
        self.compiled = CompiledForward(*method.networks) if schedule.compile else nullcontext()
        self.state = RunState()
        self.metrics = RunningMetrics()
        self.last_progress_time = time.monotonic()

    # -- checkpoints

    def resume(self, path: Path) -> None:
        """Load a checkpoint. Raises JobFailed if it is incomplete or belongs to another job."""
        self.state = checkpoint.load(
            path, self.student, self.method.heads, self.optimizer, self.spec.model_dump_json()
        )
        self.check_history()
        self.metrics = RunningMetrics(self.state.sums)
        if self.average is not None:
            self.average.weights = {
                name: weight.to(self.device) for name, weight in self.state.average.items()
            }
            self.average.updates = self.state.averaged

    def check_history(self) -> None:
        """Raise JobFailed unless the history has an entry for every epoch that is complete.

        The latest epoch may lack one: a checkpoint can be taken before it is validated.
        """
        numbers = [entry.get("epoch") for entry in self.state.history]
        epochs = len(numbers)
        later_steps = self.state.step - epochs * self.steps_per_epoch
        consecutive = numbers == list(range(1, epochs + 1))
        if not consecutive or not 0 <= later_steps <= self.steps_per_epoch:
            message = (
                f"The checkpoint is incomplete: at step {self.state.step} its history has "
                f"{epochs} epochs of {self.steps_per_epoch} steps."
            )
            raise JobFailed("incomplete_checkpoint", "infrastructure", message)

    def serialize_checkpoint(self) -> SerializedCheckpoint:
        """Serialize everything from which the training can resume."""
        self.check_finite()
        phase = "training" if self.state.step < self.steps else "evaluating"
        self.stopwatch.record_phase(self.state, phase)
        self.state.saves += 1
        self.state.sums = self.metrics.totals()
        if self.average is not None:
            self.state.average = self.average.weights
            self.state.averaged = self.average.updates
        data = checkpoint.serialize(
            self.state, self.student, self.method.heads, self.optimizer, self.spec.model_dump_json()
        )
        self.stopwatch.restart_checkpoint_interval()
        return SerializedCheckpoint(self.state.saves, self.state.step, data)

    def checkpoint_due(self) -> bool:
        return self.stopwatch.checkpoint_due(self.spec.schedule.checkpoint_seconds)

    # -- the loop

    def train(
        self, stop: Callable[[], bool]
    ) -> Iterator[Metrics | EpochCompleted | Progress | SerializedCheckpoint | TrainingStopped]:
        """Train until all epochs are complete, or until ``stop()`` is true between two steps."""
        first_step = self.state.step
        start_time = time.monotonic()
        while True:
            if stop():
                yield self.serialize_checkpoint()
                yield TrainingStopped(self.state.step)
                return
            if self.state.step == self.steps_per_epoch * (len(self.state.history) + 1):
                yield self.validate_epoch()
            elif self.state.step == self.steps:
                self.stopwatch.record_phase(self.state, "training")
                return
            else:
                yield from self.train_step()
                yield from self.progress_events(first_step, start_time)
            if self.checkpoint_due():
                yield self.serialize_checkpoint()

    def train_step(self) -> Iterator[Metrics]:
        """Take one step, and yield its metrics where they are due."""
        step = self.state.step
        schedule = self.spec.schedule
        learning_rate = apply_schedule(
            self.optimizer, schedule, step, self.steps, self.steps_per_epoch
        )
        with convolution_precision(schedule.precision), self.compiled:
            batch, adversarial_BCHW = self.adversarial_batch(step)
            with network_mode(self.student, "train"), self.perturbation(batch, adversarial_BCHW):
                loss = self.method.outer(batch, adversarial_BCHW)
                total = loss.total
                self.optimizer.zero_grad(set_to_none=True)
                total.backward()  # type: ignore[no-untyped-call]
            non_finite = self.metrics.add(step, loss, total, gradient_norm(self.optimizer))
            # A fused optimizer reads found_inf on the device: where it is 1, it updates nothing.
            self.optimizer.found_inf = non_finite  # type: ignore[attr-defined]
            self.optimizer.step()
        if self.average is not None:
            self.average.after_step()
        self.state.step += 1
        metrics_due = self.state.step % self.metrics_interval == 0
        if metrics_due or self.device.type == "cpu":
            self.check_finite()
        if metrics_due:
            values = self.metrics.latest_values() | {"learning_rate": learning_rate}
            yield Metrics(step=self.state.step, values=values)

    def adversarial_batch(self, step: int) -> tuple[Batch, Tensor]:
        """Return the batch of step ``step``, from 0, and its adversarial images [B, C, H, W].

        They are a function of the seed, the step and the student.
        """
        torch.manual_seed(seeds.derive(self.spec.seed, "network", step))
        images_BCHW, labels_B = self.batches.at(step)
        position = TrainingPosition(step, self.steps_per_epoch, self.spec.schedule.epochs)
        batch = self.method.prepare_batch(images_BCHW, labels_B, position)
        generator = seeds.generator(self.device, self.spec.seed, "adversary", step)
        with network_mode(self.student, self.spec.adversary.student_mode):
            objective = self.method.inner(batch)
            return batch, run_adversary(
                self.spec.adversary, objective, batch.images_BCHW, generator
            )

    def perturbation(self, batch: Batch, adversarial_BCHW: Tensor) -> AbstractContextManager[None]:
        """Perturb the student's weights for a step's loss and gradient, if the job uses AWP."""
        awp = self.spec.awp
        if awp is None or batch.position.epoch < awp.begin:
            return nullcontext()
        return perturbed_weights(
            self.student, awp.gamma, lambda: self.method.outer(batch, adversarial_BCHW).total
        )

    def check_finite(self) -> None:
        """Raise JobFailed if a step since the last check had a loss or gradient that is not finite.

        The optimizer has updated nothing from that step on. So the student is what it was, and the
        step's loss can be computed again, term by term.
        """
        step = self.metrics.first_non_finite_step()
        if step is None:
            return
        with convolution_precision(self.spec.schedule.precision):
            batch, adversarial_BCHW = self.adversarial_batch(step)
            with network_mode(self.student, "train"):
                loss = self.method.outer(batch, adversarial_BCHW)
                raise non_finite_error(loss, trained_parameters(self.optimizer), step + 1)

    def progress_events(self, first_step: int, start_time: float) -> Iterator[Progress]:
        """Yield progress where it is due. The estimate counts steps and time of this attempt."""
        now = time.monotonic()
        if now - self.last_progress_time < PROGRESS_SECONDS:
            return
        self.last_progress_time = now
        step = self.state.step
        epochs = self.spec.schedule.epochs
        seconds_per_step = (now - start_time) / (step - first_step)
        yield Progress(
            phase="training",
            step=step,
            of=self.steps,
            epoch=min(epochs, step // self.steps_per_epoch + 1),
            epochs=epochs,
            eta_seconds=round(seconds_per_step * (self.steps - step), 1),
        )

    # -- between epochs

    def validate_epoch(self) -> EpochCompleted:
        """Complete the epoch: its mean metrics and, where due, held-out accuracies.

        By these the best epoch is chosen: the highest robust accuracy, then the highest clean one,
        then the latest epoch.
        """
        self.check_finite()
        epoch = len(self.state.history) + 1
        if self.average is not None:
            self.average.after_epoch(epoch)
        totals = self.metrics.totals()
        values = {name: total / self.steps_per_epoch for name, total in totals.items()}
        if epoch % self.spec.evaluation.every_epochs == 0 or epoch == self.spec.schedule.epochs:
            values |= self.select_epoch(epoch)
        self.state.history.append({"epoch": epoch, **values})
        self.state.sums = {}
        self.metrics = RunningMetrics()
        return EpochCompleted(epoch=epoch, step=self.state.step, values=values)

    def select_epoch(self, epoch: int) -> dict[str, float]:
        """Measure held-out accuracies, and keep the weights if they are the best so far."""
        with self.averaged_weights():
            clean = self.held_out_accuracy(None)
            robust = self.held_out_accuracy(self.selection_attack())
            score = (robust, clean)
            if score >= self.state.best_score:
                self.state.best_score = score
                self.state.best_epoch = epoch
                self.state.best = self.copy_weights()
        return {"held_out_clean": clean, "held_out_robust": robust}

    def averaged_weights(self) -> AbstractContextManager[None]:
        """Put the averaged weights into the student: those are evaluated and published.

        Without averaging they are the student's own.
        """
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
        """Return the share of held-out images that are classified correctly; None: no attack."""
        target = EvaluationTarget(
            self.student,
            None,
            self.held_out,
            classes=self.classes,
            batch_size=self.spec.evaluation.batch_size,
            seed=self.spec.seed,
            radius=self.spec.adversary.radius,
        )
        *_, finding = (step for step in measure(target, attack) if isinstance(step, Finding))
        return finding.require_value()
