"""The training loop: attack, answer, loss, backward, step. Goes on exactly where a checkpoint stopped, inside an epoch too."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from core.distillation import checkpoint, seeds
from core.distillation.adversaries import attack
from core.distillation.checkpoint import State
from core.distillation.data.augmentation import augment
from core.distillation.data.images import Images
from core.distillation.evaluation import Accuracy, measure
from core.distillation.methods import Method, Outcome
from core.distillation.optimisation import make_optimizer, set_rates
from core.distillation.views import convolutions_in, mode
from core.errors import JobFailed
from core.folder import EpochDone, Metrics, Progress
from core.spec.evaluation import SELECTION_STEPS, PgdAttack
from core.spec.job import TrainingJob

CURVE_POINTS = 2000
PROGRESS_SECONDS = 0.5


@dataclass(frozen=True)
class Checkpoint:
    """Yielded where one is due: ``data`` holds everything needed to go on from here."""

    number: int
    step: int
    data: bytes


@dataclass(frozen=True)
class Stopped:
    """Yielded last, after a checkpoint, when the job was asked to stop."""

    step: int


class Trainer:
    """One student in training. ``train`` yields what happens; ``state`` says where it stands."""

    def __init__(self, spec: TrainingJob, method: Method, training: Images, held_out: Images, classes: int) -> None:
        self.spec, self.method = spec, method
        self.training, self.held_out, self.classes = training, held_out, classes
        self.student = method.student
        self.device = training.labels_N.device
        schedule = spec.schedule
        self.steps_per_epoch = len(training) // schedule.batch_size
        self.steps = self.steps_per_epoch * schedule.epochs
        self.optimizer = make_optimizer(schedule, [*self.student.parameters(), *method.heads.parameters()])
        self.state = State()
        self.begun = self.saved = self.told = time.monotonic()

    # -- checkpoints

    def resume(self, path: Path) -> None:
        self.state = checkpoint.load(path, self.student, self.method.heads, self.optimizer, self.spec.model_dump_json())
        self.begun = time.monotonic() - self.state.seconds

    def save(self) -> Checkpoint:
        self.state.seconds = self.seconds()
        self.state.saves += 1
        data = checkpoint.to_bytes(self.state, self.student, self.method.heads, self.optimizer, self.spec.model_dump_json())
        self.saved = time.monotonic()
        return Checkpoint(self.state.saves, self.state.step, data)

    def seconds(self) -> float:
        """Time spent on the job so far, over all attempts."""
        return time.monotonic() - self.begun

    def save_due(self) -> bool:
        return time.monotonic() - self.saved >= self.spec.schedule.checkpoint_seconds

    # -- the loop

    def train(self, stop: Callable[[], bool]) -> Iterator[Metrics | EpochDone | Progress | Checkpoint | Stopped]:
        """Until all epochs are done, or ``stop`` says so between two steps."""
        first_step, first_time = self.state.step, time.monotonic()
        while True:
            if stop():
                yield self.save()
                yield Stopped(self.state.step)
                return
            if self.state.step == self.steps_per_epoch * (len(self.state.history) + 1):
                yield self.judge_epoch()
            elif self.state.step == self.steps:
                return
            else:
                yield from self.train_step()
                yield from self.tell(first_step, first_time)
            if self.save_due():
                yield self.save()

    def train_step(self) -> Iterator[Metrics]:
        step, schedule = self.state.step, self.spec.schedule
        rate = set_rates(self.optimizer, schedule, step, self.steps, self.steps_per_epoch)
        torch.manual_seed(seeds.derive(self.spec.seed, "network", step))
        images_BCHW, labels_B = self.next_batch(step)

        with convolutions_in(schedule.precision):
            batch = self.method.begin(images_BCHW, labels_B)
            with mode(self.student, self.spec.adversary.student_mode):
                generator = seeds.generator(self.device, self.spec.seed, "adversary", step)
                adversarial_BCHW = attack(self.spec.adversary, self.method.inner(batch), images_BCHW, generator)

            self.student.train()
            outcome = self.method.outer(batch, adversarial_BCHW)
            loss = outcome.loss
            if not loss.isfinite():
                raise non_finite(outcome, step + 1)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if not gradient_norm(self.optimizer).isfinite():
                raise self.non_finite_gradient(self.method.outer(batch, adversarial_BCHW), step + 1)
            self.optimizer.step()

        self.state.step += 1
        values = figures(outcome, loss)
        for name, value in values.items():
            self.state.sums[name] = self.state.sums.get(name, 0.0) + value
        if self.state.step % max(1, self.steps // CURVE_POINTS) == 0:
            yield Metrics(step=self.state.step, values=values | {"learning_rate": rate})

    def non_finite_gradient(self, outcome: Outcome, step: int) -> JobFailed:
        """The failure that names the first term whose gradient is no longer a number, though the term is."""
        parameters = [each for group in self.optimizer.param_groups for each in group["params"] if each.requires_grad]
        for name, term in outcome.terms.items():
            found = torch.autograd.grad(term.value, parameters, retain_graph=True, allow_unused=True)
            if not all(gradient.isfinite().all() for gradient in found if gradient is not None):
                return failure(f"The gradient of the loss term {name} is not finite", step)
        return failure("The sum of the loss terms' gradients is not finite", step)

    def next_batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The step's images, augmented, and labels: a function of the seed and the step alone."""
        epoch, position = divmod(step, self.steps_per_epoch)
        size = self.spec.schedule.batch_size
        order = torch.randperm(len(self.training), generator=seeds.generator("cpu", self.spec.seed, "order", epoch))
        indices = order[position * size : (position + 1) * size].to(self.device)
        images_BCHW, labels_B = self.training.batch(indices)
        assert self.spec.data.augmentation is not None
        generator = seeds.generator(self.device, self.spec.seed, "augmentation", step)
        return augment(images_BCHW, self.spec.data.augmentation, generator), labels_B

    def judge_epoch(self) -> EpochDone:
        """Close the epoch: mean loss terms and, when it is due, accuracy on the held-out images, which chooses the best."""
        epoch = len(self.state.history) + 1
        values = {name: total / self.steps_per_epoch for name, total in self.state.sums.items()}
        due = epoch % self.spec.evaluation.every_epochs == 0 or epoch == self.spec.schedule.epochs
        if due:
            clean, robust = self.accuracy_on_held_out(None), self.accuracy_on_held_out(self.selection_attack())
            values |= {"held_out_clean": clean, "held_out_robust": robust}
            if (robust, clean) >= self.state.best_score:
                self.state.best_score, self.state.best_epoch = (robust, clean), epoch
                self.state.best = {key: value.detach().clone() for key, value in self.student.state_dict().items()}
        self.state.history.append({"epoch": epoch, **values})
        self.state.sums = {}
        return EpochDone(epoch=epoch, step=self.state.step, values=values)

    def selection_attack(self) -> PgdAttack:
        radius = self.spec.adversary.radius
        return PgdAttack(radius=radius, step_size=radius / 4, steps=SELECTION_STEPS)

    def accuracy_on_held_out(self, attack: PgdAttack | None) -> float:
        size, seed = self.spec.evaluation.batch_size, self.spec.seed
        *_, result = measure(self.student, self.held_out, attack, classes=self.classes, batch_size=size, seed=seed)
        assert isinstance(result, Accuracy)
        return result.overall

    def tell(self, first_step: int, first_time: float) -> Iterator[Progress]:
        now = time.monotonic()
        if now - self.told < PROGRESS_SECONDS:
            return
        self.told = now
        step = self.state.step
        eta = (now - first_time) / (step - first_step) * (self.steps - step)
        epoch = min(self.spec.schedule.epochs, step // self.steps_per_epoch + 1)
        yield Progress(
            phase="training", step=step, of=self.steps, epoch=epoch, epochs=self.spec.schedule.epochs, eta_seconds=round(eta, 1)
        )


def figures(outcome: Outcome, loss: Tensor) -> dict[str, float]:
    """Loss, terms and watched figures as numbers, in one transfer from the device; a watched one that is none is left out."""
    named = {"loss": loss} | {f"loss_{name}": term.value for name, term in outcome.terms.items()} | outcome.watched
    values = torch.stack([value.detach() for value in named.values()]).tolist()
    return {name: value for name, value in zip(named, values, strict=True) if math.isfinite(value)}


def gradient_norm(optimizer: torch.optim.Optimizer) -> Tensor:
    parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
    return torch.nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])


def non_finite(outcome: Outcome, step: int) -> JobFailed:
    """The failure that names the first term that is no longer a number."""
    name, term = next(
        ((name, term) for name, term in outcome.terms.items() if not term.value.isfinite()), next(iter(outcome.terms.items()))
    )
    return failure(f"The loss term {name} became {term.value.item()}", step)


def failure(what: str, step: int) -> JobFailed:
    advice = "A lower learning rate, or a smaller weight of the term, may help."
    return JobFailed("non_finite_loss", "user", f"{what} at step {step}; that step was not taken. {advice}")
