"""What a job will cost, as far as its spec tells: steps, images, and passes of the networks, which depend on no machine."""

from api.representation import schemas
from api.submission.prepare import PreparedJob
from core.jobspec import compatibility
from core.jobspec.evaluation import (
    SELECTION_STEPS,
    Analysis,
    AutoAttack,
    Calibration,
    Evaluation,
    GradientMasking,
    RadiusSweep,
    Transfer,
    VarianceGap,
)
from core.jobspec.job import DistillationSpec, EvaluationJobSpec, TrainingSpec
from core.jobspec.network import ARCHITECTURES
from core.jobspec.training.adversary import PgdSettings

COPIES_IN_CHECKPOINT = 3
"""Student, best student so far, momentum: each as large as the network."""
PGD_20 = 20
"""Passes of the attack that most analyses are taken under."""


def estimate_cost(ready: PreparedJob) -> schemas.Estimate:
    """What the job will cost, as far as its spec tells."""
    spec, data = ready.spec, ready.description
    test_images = min(spec.evaluation.limit or data.test_images, data.test_images)
    final = _attack_passes(spec.evaluation, test_images)
    analyses = _analysis_passes(spec.evaluation, test_images)
    if isinstance(spec, EvaluationJobSpec):
        return schemas.Estimate(test_images=test_images, network_passes=final + analyses)
    steps, held_out = (
        compatibility.steps_per_epoch(spec, data),
        compatibility.held_out_images(spec, data),
    )
    parameters = ARCHITECTURES[spec.student.architecture].parameters(data.classes, spec.student)
    return schemas.Estimate(
        steps_per_epoch=steps,
        steps=steps * spec.schedule.epochs,
        training_images=min(spec.data.limit or data.train_images, data.train_images) - held_out,
        held_out_images=held_out,
        test_images=test_images,
        student_parameters=parameters,
        checkpoint_bytes=None if parameters is None else parameters * 4 * COPIES_IN_CHECKPOINT,
        network_passes=_training_passes(spec, steps)
        + _selection_passes(spec, held_out)
        + 2 * final
        + analyses,
    )


def _training_passes(spec: TrainingSpec, steps_per_epoch: int) -> int:
    """The adversary's, and those of the loss: the distillation methods differ by one or two of these."""
    adversary = spec.adversary.steps if isinstance(spec.adversary, PgdSettings) else 1
    through_both = spec.method.name == "adaad" or getattr(spec.method, "adaptive", False)
    loss = (
        5
        if isinstance(spec, DistillationSpec)
        else 3
        if spec.method.name in {"trades", "score"}
        else 1
    )
    passes = adversary * (2 if through_both else 1) + loss
    passes += 4 if isinstance(spec, DistillationSpec) and spec.igdm is not None else 0
    passes += 2 if spec.awp is not None else 0
    return passes * spec.schedule.epochs * steps_per_epoch * spec.schedule.batch_size


def _selection_passes(spec: TrainingSpec, held_out: int) -> int:
    times = -(-spec.schedule.epochs // spec.evaluation.every_epochs)
    return times * held_out * (SELECTION_STEPS + 2)


def _attack_passes(evaluation: Evaluation, test_images: int) -> int:
    """Of one network; AutoAttack's as if every image stood to the end."""
    passes = 1
    for attack in evaluation.attacks:
        if isinstance(attack, AutoAttack):
            gradients = {"apgd-ce": 1, "apgd-t": 9, "fab-t": 9, "square": 0}
            passes += sum(gradients[stage] * attack.iterations for stage in attack.stages)
            passes += attack.queries if "square" in attack.stages else 0
        else:
            passes += attack.steps * getattr(attack, "restarts", 1) + 1
    return test_images * passes


def _analysis_passes(evaluation: Evaluation, test_images: int) -> int:
    """Of the network and, where one is compared with, of the reference: counted as if there were one."""
    return test_images * sum(_passes_of(analysis) for analysis in evaluation.analyses)


def _passes_of(analysis: Analysis) -> int:
    """On each test image; Grad-CAM and the spectra look at a fixed few."""
    match analysis:
        case RadiusSweep(radii=radii, steps=steps):
            return len(radii or ()) * (steps + 1)
        case VarianceGap(radii=radii):
            return 2 * len(radii or ()) * (PGD_20 + 2)
        case Calibration():
            return PGD_20 + 2
        case Transfer():
            return 2 * PGD_20 + 3
        case GradientMasking(queries=queries):
            return queries + 12 * PGD_20
        case _:
            return 0
