"""Estimate what a job will cost, as far as its spec tells: steps, images, passes of the networks.

None of these depends on the machine.
"""

from api.representation.submission.dry_run import Cost
from api.submission.prepare import PreparedJob
from core.jobspec import compatibility
from core.jobspec.cost import passes
from core.jobspec.network import ARCHITECTURES
from core.jobspec.resolved import ResolvedEvaluationJobSpec

COPIES_IN_CHECKPOINT = 3
"""Student, best student so far, momentum: each as large as the network."""
BYTES_PER_PARAMETER = 4


def estimate_cost(job: PreparedJob) -> Cost:
    spec = job.spec
    dataset = job.dataset
    test_images = passes.used_test_images(spec.evaluation, dataset)
    attack_passes = sum(passes.attack_passes(spec.evaluation, test_images).values())
    analysis_passes = sum(passes.analysis_passes(spec.evaluation, test_images).values())
    if isinstance(spec, ResolvedEvaluationJobSpec):
        return Cost(test_images=test_images, network_passes=attack_passes + analysis_passes)
    steps_per_epoch = compatibility.steps_per_epoch(spec, dataset)
    held_out = compatibility.held_out_images(spec, dataset)
    train_images = min(spec.data.limit or dataset.train_images, dataset.train_images) - held_out
    architecture = ARCHITECTURES[spec.student.architecture]
    parameters = architecture.count_parameters(dataset.classes, spec.student)
    checkpoint_bytes = None
    if parameters is not None:
        checkpoint_bytes = parameters * BYTES_PER_PARAMETER * COPIES_IN_CHECKPOINT
    # The attacks run on two networks: the student of the best epoch and that of the last.
    network_passes = passes.training_passes(spec, dataset) + 2 * attack_passes + analysis_passes
    return Cost(
        steps_per_epoch=steps_per_epoch,
        steps=steps_per_epoch * spec.schedule.epochs,
        training_images=train_images,
        held_out_images=held_out,
        test_images=test_images,
        student_parameters=parameters,
        checkpoint_bytes=checkpoint_bytes,
        network_passes=network_passes,
    )
