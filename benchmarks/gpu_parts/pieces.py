"""The pieces of a training step alone, and evaluation, as they are and as CUDA graphs.

B batch, C channels, H height, W width, K classes.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from step_time import as_leaves
from torch import Tensor
from torch.nn.functional import cross_entropy

from core.distillation import seeds
from core.distillation.adversaries.pgd import START_NOISE
from core.distillation.evaluation.attacks import classify_under_attack
from core.distillation.methods import MethodLoss
from core.distillation.methods.method import OutputPair
from core.distillation.methods.starship import Starship
from core.distillation.models.inference_network import prepare_for_inference
from core.distillation.models.network import Classifier
from core.distillation.network_modes import convolution_precision, network_mode
from core.distillation.training.non_finite import gradient_norm
from core.distillation.training.trainer import Trainer
from core.jobspec.resolved import ResolvedPgdAttack
from gpu_parts.graphed_step import FoldedCopy, ascend, capture, with_networks
from gpu_parts.session import (
    METHODS,
    Session,
    make_trainer,
    new_network,
    on_device,
    random_images,
    rates,
    time_calls,
)

RADIUS = 8 / 255
STEP_SIZE = 2 / 255


def measure_pieces(session: Session) -> None:
    """The pieces of a step alone, as they are and as a graph."""
    for batch in (session.batch, 4 * session.batch):
        if session.fits(30):
            session.attempt("piece", partial(measure_pieces_at, session, batch), batch=batch)


def measure_pieces_at(session: Session, batch: int) -> None:
    trainer = make_trainer(session, batch, method=METHODS["STARSHIP"])
    for _ in range(3):
        for _ in trainer.train_step():
            pass
    pieces = StepPieces(trainer, session.attack_steps)
    session.record("folded attack", batch=batch, **pieces.folding_errors())
    for name, piece in pieces.by_name().items():
        session.attempt(
            "piece",
            partial(measure_piece, session, name, batch, piece),
            name=name,
            batch=batch,
        )
    host_only = {
        "batch with its augmentation": lambda: trainer.batches.at(trainer.state.step + 1),
        "optimizer": trainer.optimizer.step,
    }
    for name, call in host_only.items():
        eager = time_calls(session, call)
        session.record("piece", name=name, batch=batch, eager=eager, graph=None)


def measure_piece(session: Session, name: str, batch: int, piece: Callable[[], object]) -> None:
    eager = time_calls(session, piece)
    replay = capture(lambda: void(piece()), session.device)
    session.record("piece", name=name, batch=batch, eager=eager, graph=time_calls(session, replay))


def void(value: object) -> None:
    """Drop a value: a captured function returns nothing."""


class StepPieces:
    """STARSHIP's step in pieces, on one batch; the same attack and teacher on folded copies."""

    def __init__(self, trainer: Trainer, steps: int) -> None:
        method = trainer.method
        assert isinstance(method, Starship)
        self.trainer = trainer
        self.method = method
        self.steps = steps
        self.images_BCHW, labels_B = trainer.batches.at(trainer.state.step)
        dtype = torch.bfloat16 if method.precision == "bf16" else torch.float32
        self.student = FoldedCopy(trainer.student, dtype)
        teacher = FoldedCopy(method.teacher, dtype)
        folded = with_networks(method, self.student.network, teacher.network)
        assert isinstance(folded, Starship)
        self.folded = folded
        self.batch = method.prepare_batch(self.images_BCHW, labels_B)
        noise_BCHW = torch.randn_like(self.images_BCHW)
        self.start_BCHW = self.images_BCHW + START_NOISE * noise_BCHW
        self.adversarial_BCHW = self.attack(method)

    def attack(self, method: Starship) -> Tensor:
        with network_mode(self.trainer.student, "eval"):
            return ascend(
                method.inner(self.batch),
                self.images_BCHW,
                self.start_BCHW,
                radius=RADIUS,
                step_size=STEP_SIZE,
                steps=self.steps,
            )

    def loss_and_gradient(self, outer: Callable[..., MethodLoss]) -> Tensor:
        self.trainer.optimizer.zero_grad(set_to_none=True)
        with network_mode(self.trainer.student, "train"):
            total = outer(self.batch, self.adversarial_BCHW).total
            total.backward()  # type: ignore[no-untyped-call]
        return gradient_norm(self.trainer.optimizer)

    def folding_errors(self) -> dict[str, float]:
        """The share of pixels that the folded attack changes, and the folded teacher's error."""
        different_BCHW = self.attack(self.folded) != self.adversarial_BCHW
        expected_BK = self.batch.teacher.logits_BK
        error_BK = self.folded.teacher_output(self.images_BCHW).logits_BK - expected_BK
        return {
            "pixels_different": round(float(different_BCHW.float().mean()), 5),
            "teacher_error": float(error_BK.norm() / expected_BK.norm()),
        }

    def by_name(self) -> dict[str, Callable[[], object]]:
        method = self.method
        return {
            "teacher, one pass": partial(method.teacher_output, self.images_BCHW),
            "teacher, one pass, folded": partial(self.folded.teacher_output, self.images_BCHW),
            "attack": partial(self.attack, method),
            "attack, folded": partial(self.attack, self.folded),
            "computing the folded student": self.student.refresh,
            "STARSHIP's loss and gradient": partial(self.loss_and_gradient, method.outer),
            "ARKD's loss and gradient": partial(self.loss_and_gradient, method.arkd.outer),
            "STARSHIP's statistics alone": statistics_alone(method, self.images_BCHW),
        }


def statistics_alone(method: Starship, images_BCHW: Tensor) -> Callable[[], None]:
    """Return FCA (with its perturbation), PGM and Omega, forward and backward, without networks."""
    with torch.no_grad():
        flipped_BCHW = images_BCHW.flip(3)
        teacher = OutputPair(
            method.teacher_output(images_BCHW), method.teacher_output(flipped_BCHW)
        )
        student = OutputPair(
            method.student_output(images_BCHW), method.student_output(flipped_BCHW)
        )

    def compute() -> None:
        leaves = OutputPair(as_leaves(student.clean), as_leaves(student.adversarial))
        terms = method.feature_loss(teacher, leaves).terms
        terms |= method.prediction_terms(teacher, leaves)
        method.heads.zero_grad(set_to_none=True)
        MethodLoss(terms).total.backward()  # type: ignore[no-untyped-call]

    return compute


def measure_evaluation(session: Session) -> None:
    """Images per second under PGD-20, fp32 as reported evaluations are, and in other precisions."""
    for batch in (2 * session.batch, 8 * session.batch):
        for name, precision in (
            ("network", "fp32"),
            ("folded", "fp32"),
            ("folded, graph", "fp32"),
            ("folded, graph", "tf32"),
            ("folded, graph", "bf16"),
        ):
            labels: dict[str, Any] = {"form": name, "precision": precision, "batch": batch}
            slow = session.smoke and precision == "bf16"
            if session.fits(15) and not slow:
                session.attempt("evaluation", partial(measure_attack, session, **labels), **labels)


def measure_attack(session: Session, form: str, precision: Any, batch: int, **labels: Any) -> None:
    """Record how many images per second PGD attacks and the network then classifies."""
    steps = session.attack_steps if session.smoke else 20
    rounds = (1, 1) if session.smoke else (3, 2)
    with convolution_precision(precision):
        if form == "folded, graph":
            call = capture(captured_attack(session, precision, batch, steps), session.device)
        else:
            call = eager_attack(session, form, batch, steps)
        times = time_calls(session, call, rounds)
    labels = {"form": form, "precision": precision, "batch": batch, **labels}
    images_s = rates(batch, times["ms"])["images_s"]
    session.record("evaluation", **labels, **times, images_s=images_s)


def evaluated(session: Session, batch: int) -> tuple[Classifier, Tensor, Tensor]:
    """Return a student in eval mode, images and labels."""
    torch.manual_seed(0)
    network = on_device(new_network(session.student), session.device).eval()
    indices_B = torch.arange(batch, device=session.device)
    return network, *random_images(session.device, batch).batch(indices_B)


def eager_attack(session: Session, form: str, batch: int, steps: int) -> Callable[[], None]:
    """Return an evaluation's own attack, of the network or of its folded form."""
    network, images_BCHW, labels_B = evaluated(session, batch)
    attacked: Any = network if form == "network" else prepare_for_inference(network)
    attack = ResolvedPgdAttack(radius=RADIUS, step_size=STEP_SIZE, steps=steps)

    def run() -> None:
        generator = seeds.generator(session.device, 0, "evaluation", 0, 0)
        classify_under_attack(attack, attacked, images_BCHW, labels_B, generator)

    return run


def captured_attack(session: Session, precision: str, batch: int, steps: int) -> Callable[[], None]:
    """Return the same from a fixed start, on the folded network, to be captured."""
    network, images_BCHW, labels_B = evaluated(session, batch)
    attacked: Any = prepare_for_inference(network)
    if precision == "bf16":
        attacked = FoldedCopy(network, torch.bfloat16).network
    noise_BCHW = torch.empty_like(images_BCHW).uniform_(-RADIUS, RADIUS)
    start_BCHW = (images_BCHW + noise_BCHW).clamp(0, 1)

    def classify(candidates_BCHW: Tensor) -> Tensor:
        with torch.autocast(session.device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits_BK: Tensor = attacked(candidates_BCHW)
        return logits_BK.float()

    def run() -> None:
        adversarial_BCHW = ascend(
            lambda iterate: cross_entropy(classify(iterate), labels_B, reduction="none"),
            images_BCHW,
            start_BCHW,
            radius=RADIUS,
            step_size=STEP_SIZE,
            steps=steps,
        )
        with torch.no_grad():
            classify(adversarial_BCHW)

    return run
