"""Forward passes of one image through one network: the unit of a job's cost.

None of the numbers depends on the machine. What a method, an attack or an analysis costs is
declared by its settings.
"""

from core.jobspec import compatibility
from core.jobspec.data import DatasetDescription
from core.jobspec.evaluation import SELECTION_STEPS, GradientChecks
from core.jobspec.resolved import (
    ResolvedDistillationSpec,
    ResolvedEvaluation,
    ResolvedTrainingSpec,
)

CLEAN = "clean"


def used_test_images(evaluation: ResolvedEvaluation, dataset: DatasetDescription) -> int:
    return min(evaluation.limit or dataset.test_images, dataset.test_images)


def training_passes(spec: ResolvedTrainingSpec, dataset: DatasetDescription) -> int:
    """Return the passes of the training, with those of the attacks that choose the best epoch."""
    return _step_passes(spec, dataset) + _selection_passes(spec, dataset)


def _step_passes(spec: ResolvedTrainingSpec, dataset: DatasetDescription) -> int:
    """Return the passes of the adversary and of the loss."""
    attacked_networks = 2 if spec.method.attacks_teacher else 1
    passes = spec.adversary.gradient_steps * attacked_networks + spec.method.loss_passes
    if isinstance(spec, ResolvedDistillationSpec) and spec.igdm is not None:
        passes += spec.igdm.loss_passes
    if spec.awp is not None:
        passes += spec.awp.loss_passes
    steps = spec.schedule.epochs * compatibility.steps_per_epoch(spec, dataset)
    return passes * steps * spec.schedule.batch_size


def _selection_passes(spec: ResolvedTrainingSpec, dataset: DatasetDescription) -> int:
    """Return the passes of the attacks on held-out images."""
    evaluations = -(-spec.schedule.epochs // spec.evaluation.every_epochs)
    held_out = compatibility.held_out_images(spec, dataset)
    return evaluations * held_out * (SELECTION_STEPS + 2)


def attack_passes(evaluation: ResolvedEvaluation, test_images: int) -> dict[str, int]:
    """Return the passes on one network, by name of the attack, and those without an attack.

    They are counted as if no attack broke an image before its end.
    """
    passes = {CLEAN: test_images}
    for attack in evaluation.attacks:
        passes[attack.name] = passes.get(attack.name, 0) + test_images * attack.network_passes
    return passes


def analysis_passes(evaluation: ResolvedEvaluation, test_images: int) -> dict[str, int]:
    """Return the passes on the network and its reference, by name of the analysis.

    They are counted as if there always were a reference. The gradient checks, which every
    evaluation makes, count as one of the analyses.
    """
    analyses = (GradientChecks(), *evaluation.analyses)
    return {analysis.name: test_images * analysis.network_passes for analysis in analyses}
