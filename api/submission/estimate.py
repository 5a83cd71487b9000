"""Estimate what a job will cost: steps, images, and passes of the networks.

None of these depends on the machine. What a method, an attack or an analysis costs is declared by
its settings (core/jobspec).
"""

from api.representation import schemas
from api.submission.prepare import PreparedJob
from core.jobspec import compatibility
from core.jobspec.evaluation import SELECTION_STEPS, GradientChecks
from core.jobspec.network import ARCHITECTURES
from core.jobspec.resolved import (
    ResolvedDistillationSpec,
    ResolvedEvaluation,
    ResolvedEvaluationJobSpec,
    ResolvedTrainingSpec,
)

COPIES_IN_CHECKPOINT = 3
"""Student, best student so far, momentum: each as large as the network."""
BYTES_PER_PARAMETER = 4


def estimate_cost(job: PreparedJob) -> schemas.Estimate:
    spec = job.spec
    dataset = job.dataset
    test_images = min(spec.evaluation.limit or dataset.test_images, dataset.test_images)
    attack_passes = _attack_passes(spec.evaluation, test_images)
    analysis_passes = _analysis_passes(spec.evaluation, test_images)
    if isinstance(spec, ResolvedEvaluationJobSpec):
        return schemas.Estimate(
            test_images=test_images, network_passes=attack_passes + analysis_passes
        )
    steps_per_epoch = compatibility.steps_per_epoch(spec, dataset)
    held_out = compatibility.held_out_images(spec, dataset)
    train_images = min(spec.data.limit or dataset.train_images, dataset.train_images) - held_out
    architecture = ARCHITECTURES[spec.student.architecture]
    parameters = architecture.count_parameters(dataset.classes, spec.student)
    checkpoint_bytes = None
    if parameters is not None:
        checkpoint_bytes = parameters * BYTES_PER_PARAMETER * COPIES_IN_CHECKPOINT
    # The attacks run on two networks: the student of the best epoch and that of the last.
    passes = (
        _training_passes(spec, steps_per_epoch)
        + _selection_passes(spec, held_out)
        + 2 * attack_passes
        + analysis_passes
    )
    return schemas.Estimate(
        steps_per_epoch=steps_per_epoch,
        steps=steps_per_epoch * spec.schedule.epochs,
        training_images=train_images,
        held_out_images=held_out,
        test_images=test_images,
        student_parameters=parameters,
        checkpoint_bytes=checkpoint_bytes,
        network_passes=passes,
    )


def _training_passes(spec: ResolvedTrainingSpec, steps_per_epoch: int) -> int:
    """Return the passes of the adversary and of the loss."""
    attacked_networks = 2 if spec.method.attacks_teacher else 1
    passes = spec.adversary.gradient_steps * attacked_networks + spec.method.loss_passes
    if isinstance(spec, ResolvedDistillationSpec) and spec.igdm is not None:
        passes += spec.igdm.loss_passes
    if spec.awp is not None:
        passes += spec.awp.loss_passes
    return passes * spec.schedule.epochs * steps_per_epoch * spec.schedule.batch_size


def _selection_passes(spec: ResolvedTrainingSpec, held_out: int) -> int:
    """Return the passes of the attacks on held-out images that choose the best epoch."""
    evaluations = -(-spec.schedule.epochs // spec.evaluation.every_epochs)
    return evaluations * held_out * (SELECTION_STEPS + 2)


def _attack_passes(evaluation: ResolvedEvaluation, test_images: int) -> int:
    """Return the passes on one network, as if no attack broke an image before its end."""
    clean = 1
    return test_images * (clean + sum(attack.network_passes for attack in evaluation.attacks))


def _analysis_passes(evaluation: ResolvedEvaluation, test_images: int) -> int:
    """Return the passes on the network and its reference, as if there always were a reference.

    The gradient checks, which every evaluation makes, count as one of the analyses.
    """
    analyses = sum(analysis.network_passes for analysis in evaluation.analyses)
    return test_images * (GradientChecks.network_passes + analyses)
