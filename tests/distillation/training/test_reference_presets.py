"""Steps by `preset: reference` of a distillation: their learning rates, and which of their passes
move batch norm's running statistics.
"""

from pathlib import Path
from typing import Any

import pytest

from core.distillation.__main__ import create_run
from core.distillation.jobs.training import TrainingRun
from core.distillation.models.small_cnn import SmallCnn
from core.distillation.training.optimization import learning_rate_at
from core.jobspec.job import DistillationSpec
from core.jobspec.resolved import ResolvedDistillationSpec
from tests.distillation.folders import create_job_folder, distillation_spec

ATTACK_STEPS = 10


def tracked_batches(path: Path, **changes: Any) -> int:
    """Take one step, and return how many batches one batch norm's statistics are of."""
    body: dict[str, Any] = {
        "preset": "reference",
        "adversary": {"name": "pgd", "radius": 0.1},
        "schedule": {"epochs": 1, "batch_size": 64},
        **changes,
    }
    folder = create_job_folder(path / "job", distillation_spec(**body))
    spec = folder.read_spec()
    assert isinstance(spec, ResolvedDistillationSpec)
    run = create_run(folder, spec, lambda: False)
    assert isinstance(run, TrainingRun)
    trainer = run.prepare()[0]
    assert isinstance(trainer.student, SmallCnn)
    for _ in trainer.train_step():
        pass
    count = trainer.student.bn1.num_batches_tracked
    assert count is not None
    return int(count)


@pytest.mark.parametrize(
    ("method", "passes"),
    [
        ({"name": "rslad"}, 2),
        ({"name": "adaad"}, 2),
        ({"name": "ard"}, ATTACK_STEPS + 2),
        ({"name": "iad"}, ATTACK_STEPS + 3),
        ({"name": "iad", "begin": 0}, ATTACK_STEPS + 4),
        ({"name": "akd"}, 1),
        ({"name": "arkd"}, 2),
        ({"name": "starship"}, 2),
    ],
    ids=str,
)
def test_passes_that_move_statistics(method: dict[str, Any], passes: int, tmp_path: Path) -> None:
    """ARD and IAD attack in train mode; AdaAD and ARD at alpha 1 still pass the clean images."""
    assert tracked_batches(tmp_path, method=method) == passes


def test_igdm_passes_that_move_statistics(tmp_path: Path) -> None:
    """The adversarial images, which both losses share, and those behind the clean ones."""
    assert tracked_batches(tmp_path, method={"name": "adaad"}, igdm={}) == 2


def test_perturbing_weights_moves_no_statistics(tmp_path: Path) -> None:
    """AWP's own pass over the loss leaves the running statistics, as its authors' proxy does."""
    assert tracked_batches(tmp_path, method={"name": "adaad"}, awp={}) == 2


@pytest.mark.parametrize(
    ("method", "rates"),
    [
        ("ard", {1: 0.1, 100: 0.1, 101: 0.01, 150: 0.01, 151: 0.01, 200: 0.01}),
        ("iad", {1: 0.1, 100: 0.1, 101: 0.01, 150: 0.01, 151: 0.01, 200: 0.01}),
        (
            "rslad",
            {1: 0.1, 215: 0.1, 216: 0.01, 260: 0.01, 261: 1e-3, 285: 1e-3, 286: 1e-4, 300: 1e-4},
        ),
        ("adaad", {1: 0.1, 100: 0.1, 101: 0.01, 150: 0.01, 151: 0.001, 200: 0.001}),
    ],
)
def test_rates_of_epochs_around_the_milestones(method: str, rates: dict[int, float]) -> None:
    """Epochs count from 1, and have one rate from their first to their last of 390 steps."""
    spec = DistillationSpec.model_validate(
        {
            "teacher": "t",
            "student": {"architecture": "resnet18"},
            "data": {"dataset": "any"},
            "preset": "reference",
            "method": {"name": method},
        }
    )
    schedule = spec.schedule
    assert max(rates) == schedule.epochs
    steps = 390 * schedule.epochs
    for epoch, rate in rates.items():
        for step in (390 * (epoch - 1), 390 * epoch - 1):
            assert learning_rate_at(schedule, step, steps, 390) == pytest.approx(rate)
