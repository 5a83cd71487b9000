"""One step of the trainer: what of a job's settings reaches the attack and the optimizer."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.distillation.__main__ import create_run
from core.distillation.jobs.training import TrainingRun
from core.distillation.methods import Batch
from core.distillation.methods.pgd_at import PgdAt
from core.distillation.models.small_cnn import SmallCnn
from core.distillation.training.trainer import Trainer
from core.jobspec.resolved import ResolvedAdversarialTrainingSpec
from tests.distillation.folders import create_job_folder, training_spec

PLAIN_SGD: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 64,
    "momentum": 0.0,
    "weight_decay": 0.0,
    "decay": {"name": "constant"},
}


def trainer_of(path: Path, **changes: Any) -> Trainer:
    """Return the trainer of a job on digits, before its first step."""
    folder = create_job_folder(path / "job", training_spec(**{"method": PGD_AT, **changes}))
    spec = folder.read_spec()
    assert isinstance(spec, ResolvedAdversarialTrainingSpec)
    run = create_run(folder, spec, lambda: False)
    assert isinstance(run, TrainingRun)
    return run.prepare()[0]


PGD_AT = {"name": "pgd_at"}


def take_step(trainer: Trainer) -> None:
    for _ in trainer.train_step():
        pass


def buffers(trainer: Trainer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in trainer.student.named_buffers()}


# -- the mode of the attack


@pytest.mark.parametrize(("mode", "passes"), [("eval", 0), ("train_untracked", 0), ("train", 3)])
def test_attack_moves_running_statistics_only_in_train_mode(
    mode: str, passes: int, tmp_path: Path
) -> None:
    """Three steps of the attack are three passes."""
    adversary = {"name": "pgd", "radius": 0.1, "steps": 3, "student_mode": mode}
    trainer = trainer_of(tmp_path, adversary=adversary)
    before = buffers(trainer)
    trainer.adversarial_batch(0)
    assert isinstance(trainer.student, SmallCnn)
    count = trainer.student.bn1.num_batches_tracked
    assert count is not None
    assert count.item() == passes
    unchanged = [torch.equal(value, before[name]) for name, value in buffers(trainer).items()]
    assert all(unchanged) == (passes == 0)
    assert trainer.student.bn1.momentum == 0.1


def test_untracked_attack_uses_the_batchs_statistics(tmp_path: Path) -> None:
    """So it makes the images of an attack in train mode, not those in eval mode."""
    images = {}
    for mode in ("eval", "train", "train_untracked"):
        adversary = {"name": "pgd", "radius": 0.1, "steps": 3, "student_mode": mode}
        trainer = trainer_of(tmp_path / mode, adversary=adversary)
        images[mode] = trainer.adversarial_batch(0)[1]
    assert torch.equal(images["train"], images["train_untracked"])
    assert not torch.equal(images["train"], images["eval"])


@pytest.mark.parametrize(
    ("method", "passes"), [("trades", 3), ("pgd_at", 13), ("score", 2), ("n_fgsm", 2)]
)
def test_passes_of_a_reference_that_move_statistics(
    method: str, passes: int, tmp_path: Path
) -> None:
    """PGD-AT attacks in train mode, 10 steps, and so does N-FGSM, 1; TRADES and SCORE do not."""
    trainer = trainer_of(
        tmp_path,
        preset="reference",
        method={"name": method},
        adversary={"name": "n_fgsm" if method == "n_fgsm" else "pgd", "radius": 0.1},
        schedule={"epochs": 1, "batch_size": 64, "decay": {"name": "constant"}},
    )
    take_step(trainer)
    assert isinstance(trainer.student, SmallCnn)
    count = trainer.student.bn1.num_batches_tracked
    assert count is not None
    assert count.item() == passes


class HalfwayBack(PgdAt):
    """PGD-AT whose attack halves the perturbation before every gradient."""

    def transform_iterate(self, batch: Batch, iterate_BCHW: Tensor) -> Tensor:
        return batch.images_BCHW + (iterate_BCHW - batch.images_BCHW) / 2


def test_method_transforms_the_iterates_of_the_attack(tmp_path: Path) -> None:
    """From x: one step of 0.08, half of it, and another: at most 0.12, not 0.16."""
    adversary = {"name": "pgd", "radius": 0.5, "step_size": 0.08, "steps": 2, "start": "clean"}
    trainer = trainer_of(tmp_path, adversary=adversary)
    batch, plain = trainer.adversarial_batch(0)
    trainer.method = HalfwayBack(trainer.method.settings, trainer.student)
    _, halved = trainer.adversarial_batch(0)
    assert (plain - batch.images_BCHW).abs().max().item() == pytest.approx(0.16)
    assert (halved - batch.images_BCHW).abs().max().item() == pytest.approx(0.12)


@pytest.fixture
def patches_of_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SmallCnn, "patch_size", 2)


@pytest.mark.usefixtures("patches_of_2")
def test_attack_of_at_prm_masks_15_of_16_patches_at_first(tmp_path: Path) -> None:
    """Of one step of 0.01 from a uniform start within 0.2, only the end is seen here."""
    trainer = trainer_of(
        tmp_path,
        method={"name": "at_prm", "mixing_probability": 0.0},
        adversary={
            "name": "pgd",
            "radius": 0.2,
            "step_size": 0.01,
            "steps": 1,
            "start": "uniform",
        },
    )
    batch, attacked = trainer.adversarial_batch(0)
    perturbation = (attacked - batch.images_BCHW).abs()
    largest = perturbation.amax(dim=(0, 1)).unfold(0, 2, 2).unfold(1, 2, 2).amax(dim=(2, 3))
    assert (largest > 0.011).sum() == 1
    assert (largest > 0.005).all()


# -- the optimizer's step


def weights(trainer: Trainer) -> Tensor:
    return torch.cat([weight.detach().flatten().clone() for weight in trainer.student.parameters()])


@pytest.mark.parametrize("max_norm", [0.01, 1e-4])
def test_step_is_as_long_as_the_clipped_gradient(max_norm: float, tmp_path: Path) -> None:
    """The rate times the greatest norm; its direction is that of the gradient."""
    schedule = {**PLAIN_SGD, "learning_rate": 0.5}
    plain = trainer_of(tmp_path / "plain", schedule=schedule)
    clipped = trainer_of(tmp_path / "clipped", schedule={**schedule, "max_gradient_norm": max_norm})
    steps = []
    for trainer in (plain, clipped):
        before = weights(trainer).double()
        take_step(trainer)
        steps.append(weights(trainer).double() - before)
    assert steps[0].norm() > 0.5 * 0.1
    assert steps[1].norm().item() == pytest.approx(0.5 * max_norm, rel=1e-2)
    cosine = torch.nn.functional.cosine_similarity(steps[0], steps[1], dim=0)
    assert cosine.item() == pytest.approx(1.0, abs=1e-3)


def test_gradient_shorter_than_the_greatest_norm_is_not_clipped(tmp_path: Path) -> None:
    plain = trainer_of(tmp_path / "plain", schedule=PLAIN_SGD)
    clipped = trainer_of(tmp_path / "clipped", schedule={**PLAIN_SGD, "max_gradient_norm": 1e6})
    take_step(plain)
    take_step(clipped)
    assert torch.equal(weights(plain), weights(clipped))


def test_batch_norms_of_the_student_get_their_own_weight_decay(tmp_path: Path) -> None:
    trainer = trainer_of(
        tmp_path, schedule={**PLAIN_SGD, "weight_decay": 0.02, "batch_norm_weight_decay": 0.0}
    )
    student = trainer.student
    assert isinstance(student, SmallCnn)
    groups = {group["weight_decay"]: group["params"] for group in trainer.optimizer.param_groups}
    norms = [*student.bn1.parameters(), *student.bn2.parameters(), *student.bn3.parameters()]
    assert {id(weight) for weight in groups[0.0]} == {id(weight) for weight in norms}
    all_weights = list(student.parameters())
    assert len(groups[0.02]) == len(all_weights) - len(norms)


def test_ema_begins_after_its_share_of_all_steps(tmp_path: Path) -> None:
    """Of 2 epochs of 4 steps, a share of 0.5: the fourth step is the first that is averaged."""
    trainer = trainer_of(
        tmp_path, schedule=PLAIN_SGD, averaging={"name": "ema", "decay": 0.9, "warmup": 0.5}
    )
    assert trainer.steps == 8
    assert trainer.average is not None
    updates = []
    for _ in range(6):
        take_step(trainer)
        updates.append(trainer.average.updates)
    assert updates == [0, 0, 0, 1, 2, 3]
