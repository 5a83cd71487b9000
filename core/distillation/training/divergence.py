"""Whether a training has diverged: what its loss and its held-out accuracies tell.

Everything is a function of the history of epochs, so that a resumed training is judged as an
uninterrupted one is. N images.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor

from core.distillation.training.optimization import learning_rate_at
from core.errors import JobFailed
from core.jobspec.training.schedule import Schedule
from core.summary_statistics import wilson_interval

History = list[dict[str, float]]

GROWN_LOSS = 100.0
"""A mean loss of so many times the first step's is beyond reason: where trainings go well, it stays
below twice."""
COLLAPSED_EPOCHS = 5
COLLAPSED_SHARE = 0.05
"""At least so many validated epochs, and as many as this share of all epochs, must show the same
before a training counts as collapsed."""
RISEN_LOSS = 1.1
LASTING_LOSS = 0.9
"""The mean loss of a collapsed training was above this multiple of the first step's at some time,
and is not below that multiple now. A slow start has the second in common with it, not the first."""
MIN_EPOCHS = 3
MIN_STEPS = 100
"""Validated epochs, and steps, fewer of which are too short a training to have learned anything."""


@dataclass(frozen=True)
class Chance:
    """What guessing achieves on the held-out images."""

    images: int
    share: float
    """Share of the most frequent class: the accuracy of the best constant prediction."""

    @classmethod
    def of(cls, labels_N: Tensor) -> "Chance":
        return cls(len(labels_N), int(labels_N.cpu().bincount().max()) / len(labels_N))

    def explains(self, accuracy: float) -> bool:
        """Return whether an accuracy is not significantly above that of guessing.

        It is not if the lower end of its 95 % interval (Wilson, 1927) is at most ``share``. Every
        constant prediction is explained, whichever class it names.
        """
        low, _ = wilson_interval(accuracy, self.images)
        return low <= self.share


@dataclass(frozen=True)
class Divergence:
    """What is wrong with the latest epochs, as a sentence.

    ``loss_grown``: but the network still does better than guessing. ``at_chance``: it does not, but
    its loss may yet fall. ``diverged``: neither.
    """

    code: Literal["loss_grown", "at_chance", "diverged"]
    reason: str

    @property
    def recoverable(self) -> bool:
        return self.code != "diverged"


@dataclass(frozen=True)
class DivergenceCheck:
    """Judges the epochs of one training."""

    schedule: Schedule
    steps_per_epoch: int
    classes: int
    chance: Chance

    def judge(self, history: History, first_loss: float | None) -> Divergence | None:
        """Return what is wrong at the end of ``history``; None if nothing is.

        ``first_loss``: the loss of the first step, before any update; None in the checkpoints of
        earlier versions, for which the first epoch's mean stands in.
        """
        if not history:
            return None
        start = history[0]["loss"] if first_loss is None else first_loss
        return self._grown_loss(history[-1], start) or self._collapse(history, start)

    def is_chance(self, entry: dict[str, float]) -> bool:
        """Return whether an epoch was validated, and did no better than guessing."""
        return "held_out_clean" in entry and self.chance.explains(entry["held_out_clean"])

    def _grown_loss(self, entry: dict[str, float], start: float) -> Divergence | None:
        # Some methods' losses begin near 0, and all may where the student starts from the weights
        # of a trained model: a guess's cross entropy is then the scale.
        scale = max(start, math.log(self.classes))
        if entry["loss"] <= GROWN_LOSS * scale:
            return None
        reason = (
            f"The mean loss of epoch {entry['epoch']:g} is {entry['loss']:.3g}, more than "
            f"{GROWN_LOSS:g} times {_scale_name(start, scale)}."
        )
        if not self.is_chance(entry):
            return Divergence("loss_grown", reason)
        return Divergence("diverged", f"{reason} {self._accuracy_sentence(entry)}")

    def _collapse(self, history: History, start: float) -> Divergence | None:
        """Return what is wrong with a network that has done no better than guessing for long.

        It has collapsed if its loss has risen, and is no longer falling below its start: training
        on would not help. A slow start has neither.
        """
        validated = [entry for entry in history if "held_out_clean" in entry]
        least = max(COLLAPSED_EPOCHS, math.ceil(COLLAPSED_SHARE * self.schedule.epochs))
        latest = validated[-least:]
        is_long = (
            len(latest) == least
            and latest[-1] is history[-1]
            and latest[0]["epoch"] > self.warm_up_epochs
            and (latest[-1]["epoch"] - latest[0]["epoch"] + 1) * self.steps_per_epoch >= MIN_STEPS
        )
        if not is_long or not all(map(self.is_chance, latest)):
            return None
        reason = (
            f"In {least} validated epochs, {latest[0]['epoch']:g} to {latest[-1]['epoch']:g}, the "
            f"held-out accuracy was that of a guess. {self._accuracy_sentence(latest[-1])}"
        )
        has_risen = max(entry["loss"] for entry in history) > RISEN_LOSS * start
        if has_risen and all(entry["loss"] >= LASTING_LOSS * start for entry in latest):
            return Divergence("diverged", f"{reason} The loss stayed near its start or above.")
        return Divergence("at_chance", reason)

    @cached_property
    def warm_up_epochs(self) -> int:
        """Epochs before the one at whose end the learning rate is highest."""
        epochs = self.schedule.epochs
        steps = epochs * self.steps_per_epoch
        return max(
            range(epochs),
            key=lambda epoch: learning_rate_at(
                self.schedule, (epoch + 1) * self.steps_per_epoch - 1, steps, self.steps_per_epoch
            ),
        )

    def _accuracy_sentence(self, entry: dict[str, float]) -> str:
        return (
            f"The held-out accuracy is {100 * entry['held_out_clean']:.1f} %; the best guess, "
            f"always the most frequent class, has {100 * self.chance.share:.1f} %."
        )


def _scale_name(start: float, scale: float) -> str:
    if scale == start:
        return f"that of the first step ({start:.3g})"
    return f"the cross entropy of a guess ({scale:.3g})"


def diverged_error(divergence: Divergence, schedule: Schedule) -> JobFailed:
    """Return the error of a training that has diverged before it had learned anything."""
    remedies = ["A lower learning rate"]
    if schedule.max_gradient_norm is None:
        remedies.append("clipped gradients (schedule.max_gradient_norm)")
    message = (
        f"The training has diverged. {divergence.reason} No epoch was better than guessing, so "
        f"there is no student to evaluate. {' or '.join(remedies)} may help; "
        f"schedule.learning_rate is {schedule.learning_rate:g}. With schedule.on_divergence: "
        "continue the job trains on all the same."
    )
    return JobFailed("diverged", "user", message)
