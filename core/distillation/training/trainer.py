"""The training loop: attack, forward passes and loss, backward pass, optimizer step.

It resumes exactly where a checkpoint was taken, inside an epoch too.
B batch, C channels, H height, W width.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
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
from core.distillation.network_modes import attack_mode, convolution_precision, network_mode
from core.distillation.run_state import RunState
from core.distillation.training import checkpoint
from core.distillation.training.averaging import WeightAverage
from core.distillation.training.compiled import CompiledForward
from core.distillation.training.divergence import (
    MIN_EPOCHS,
    MIN_STEPS,
    Chance,
    Divergence,
    DivergenceCheck,
    diverged_error,
)
from core.distillation.training.non_finite import (
    gradient_norm,
    non_finite_error,
    trained_parameters,
)
from core.distillation.training.optimization import (
    apply_schedule,
    batch_norm_parameters,
    clip_gradients,
    make_optimizer,
)
from core.distillation.training.running_metrics import RunningMetrics
from core.distillation.training.weight_perturbation import perturbed_weights
from core.errors import JobFailed
from core.job_folder import EpochCompleted, Metrics, Progress, Warned
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
        norm_parameters = batch_norm_parameters(self.student, method.heads)
        self.optimizer = make_optimizer(schedule, parameters, norm_parameters)
        self.average = (
            None if spec.averaging is None else WeightAverage(spec.averaging, self.student)
        )
        self.compiled = CompiledForward(*method.networks) if schedule.compile else nullcontext()
        self.state = RunState()
        chance = Chance.of(held_out.labels_N)
        self.divergence_check = DivergenceCheck(schedule, self.steps_per_epoch, classes, chance)
        self.divergence: Divergence | None = None
        """What is wrong with the latest epoch."""
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
        self.divergence = self.divergence_check.judge(self.state.history, self.state.first_loss)
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
        has_losses = all("loss" in entry for entry in self.state.history)
        consecutive = has_losses and numbers == list(range(1, epochs + 1))
        if not consecutive or not 0 <= later_steps <= self.steps_per_epoch:
            message = (
                f"The checkpoint is incomplete: at step {self.state.step} its history has "
                f"{epochs} epochs of {self.steps_per_epoch} steps."
            )
            raise JobFailed("incomplete_checkpoint", "infrastructure", message)

    def serialize_checkpoint(self) -> SerializedCheckpoint:
        """Serialize everything from which the training can resume."""
        self.check_finite()
        phase = "evaluating" if self.has_ended() else "training"
        self.stopwatch.record_phase(self.state, phase)
        self.state.saves += 1
        self.read_first_loss()
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
    ) -> Iterator[
        Metrics | EpochCompleted | Progress | Warned | SerializedCheckpoint | TrainingStopped
    ]:
        """Train until all epochs are complete, or until ``stop()`` is true between two steps.

        A training that has diverged ends earlier if the job says so. Raises JobFailed (diverged)
        if none of its epochs was better than guessing.
        """
        first_step = self.state.step
        start_time = time.monotonic()
        while True:
            if stop():
                yield self.serialize_checkpoint()
                yield TrainingStopped(self.state.step)
                return
            if self.state.step == self.steps_per_epoch * (len(self.state.history) + 1):
                yield self.validate_epoch()
                yield from self.divergence_warnings()
            elif self.has_ended():
                self.require_student()
                yield from self.accuracy_warnings()
                self.stopwatch.record_phase(self.state, "training")
                return
            else:
                yield from self.train_step()
                yield from self.progress_events(first_step, start_time)
            if self.checkpoint_due():
                yield self.serialize_checkpoint()

    def has_ended(self) -> bool:
        """Return whether the training is over, after its last epoch or because it has diverged."""
        return self.must_stop() or (
            self.state.step == self.steps and len(self.state.history) == self.spec.schedule.epochs
        )

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
            norm = gradient_norm(self.optimizer)
            non_finite = self.metrics.add(step, loss, total, norm)
            if schedule.max_gradient_norm is not None:
                clip_gradients(self.optimizer, norm, schedule.max_gradient_norm)
            # A fused optimizer reads found_inf on the device: where it is 1, it updates nothing.
            self.optimizer.found_inf = non_finite  # type: ignore[attr-defined]
            self.optimizer.step()
        if self.average is not None:
            self.average.after_step((step + 1) / self.steps)
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
        with attack_mode(self.student, self.spec.adversary.student_mode):
            adversarial_BCHW = run_adversary(
                self.spec.adversary,
                self.method.inner(batch),
                batch.images_BCHW,
                generator,
                partial(self.method.transform_iterate, batch),
            )
        return batch, adversarial_BCHW

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
        self.read_first_loss()
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
        self.divergence = self.divergence_check.judge(self.state.history, self.state.first_loss)
        return EpochCompleted(epoch=epoch, step=self.state.step, values=values)

    def read_first_loss(self) -> None:
        """Read the loss of the job's first step from the device, once."""
        if self.state.first_loss is None and self.metrics.first_loss is not None:
            self.state.first_loss = self.metrics.first_loss.item()

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

    # -- divergence

    def must_stop(self) -> bool:
        """Return whether the training ends here because it has diverged."""
        divergence = self.divergence
        return (
            divergence is not None
            and not divergence.recoverable
            and self.spec.schedule.on_divergence == "stop"
        )

    def best_is_chance(self) -> bool:
        """Return whether the best epoch's student does no better than guessing."""
        best = self.state.best_epoch
        return best is not None and self.divergence_check.is_chance(self.state.history[best - 1])

    def divergence_warnings(self) -> Iterator[Warned]:
        """Yield what is wrong with the latest epoch. Each kind of warning is given once."""
        divergence = self.divergence
        if divergence is None:
            return
        if divergence.recoverable:
            yield from self.warn(divergence.code, divergence.reason)
            return
        yield from self.warn("diverged", f"{divergence.reason} {self.consequence()}")

    def consequence(self) -> str:
        """Return what follows from a divergence, as a sentence."""
        if not self.must_stop():
            return "The training has diverged; it goes on, as schedule.on_divergence says."
        epoch = len(self.state.history)
        sentence = f"The training has diverged and ends after epoch {epoch} of "
        sentence += f"{self.spec.schedule.epochs}"
        if self.best_is_chance():
            return f"{sentence}."
        return f"{sentence}; its result is the student of epoch {self.state.best_epoch}, the best."

    def accuracy_warnings(self) -> Iterator[Warned]:
        """Yield a warning if the training, as a whole, has learned nothing."""
        validated = [entry for entry in self.state.history if "held_out_clean" in entry]
        is_short = len(validated) < MIN_EPOCHS or self.state.step < MIN_STEPS
        if is_short or not self.best_is_chance():
            return
        chance = self.divergence_check.chance
        best = self.state.history[(self.state.best_epoch or 1) - 1]
        message = (
            f"Even the best epoch's student is no better than guessing: it is right about "
            f"{100 * best['held_out_clean']:.1f} % of {chance.images} held-out images, of which "
            f"{100 * chance.share:.1f} % are of the most frequent class."
        )
        yield from self.warn("no_better_than_guessing", message)

    def require_student(self) -> None:
        """Raise JobFailed if the training has diverged and left no student worth evaluating."""
        if self.divergence is None or not (self.must_stop() and self.best_is_chance()):
            return
        raise diverged_error(self.divergence, self.spec.schedule)

    def warn(self, code: str, message: str) -> Iterator[Warned]:
        """Record a warning in the state, and yield it, unless there is one with its code."""
        if any(warning["code"] == code for warning in self.state.warnings):
            return
        self.state.warnings.append({"code": code, "message": message})
        yield Warned(code=code, message=message)
