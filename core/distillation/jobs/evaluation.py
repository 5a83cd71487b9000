"""A job that measures a network which is there already."""

from collections.abc import Callable

from torch import nn

from core.distillation import data
from core.distillation.evaluation import EvaluationTarget
from core.distillation.evaluation.evaluator import planned_measures
from core.distillation.jobs.run import CHECKPOINT_SECONDS, JobRun, network_facts, job_summary
from core.distillation.run_state import RunState
from core.distillation.training import checkpoint
from core.distillation.training.trainer import SerializedCheckpoint
from core.job_folder import Ended, JobFolder, PhaseStarted, Resumed
from core.jobspec.resolved import ResolvedEvaluationJobSpec

ROLE = "model"


class EvaluationRun(JobRun):
    def __init__(self, folder: JobFolder, spec: ResolvedEvaluationJobSpec, stop: Callable[[], bool]) -> None:
        super().__init__(folder, stop)
        self.spec = spec
        self.state = RunState()

    def run(self) -> Ended:
        self.folder.emit(PhaseStarted(phase="preparing"))
        dataset = data.load(self.folder)
        model = self.load_network(self.folder.read_model(), self.folder.model_weights)
        has_reference = self.spec.reference is not None
        reference = (
            self.load_network(self.folder.read_teacher(), self.folder.teacher_weights)
            if has_reference
            else None
        )
        if self.folder.checkpoint.exists():
            self.state = checkpoint.load(
                self.folder.checkpoint, nn.Module(), nn.Module(), None, self.spec.model_dump_json()
            )
            self.folder.emit(Resumed(step=self.state.step))
        self.stopwatch.record_phase(self.state, "preparing")
        self.folder.emit(PhaseStarted(phase="evaluating"))
        subject = EvaluationTarget(
            model,
            reference,
            self.test_images(dataset, self.spec.evaluation).to(self.device),
            classes=dataset.description.classes,
            batch_size=self.spec.evaluation.batch_size,
            seed=self.spec.evaluation.seed,
            radius=self.spec.radius,
        )
        if not self.take_measures(
            self.state,
            ROLE,
            subject,
            planned_measures(self.spec.evaluation),
            self.save_state,
            self.checkpoint_due,
        ):
            return self.folder.stopped_event()
        self.stopwatch.record_phase(self.state, "evaluating")
        self.folder.emit(PhaseStarted(phase="exporting"))
        self.publish_exports(model, self.folder.read_model(), self.spec.export)
        beside = None if reference is None else network_facts(reference, self.folder.read_teacher())
        self.publish_report(
            self.state,
            self.spec,
            dataset.description,
            network_facts(model, self.folder.read_model()),
            beside,
            {},
        )
        return Ended(outcome="succeeded", summary=job_summary(self.state, model))

    def checkpoint_due(self) -> bool:
        return self.stopwatch.checkpoint_due(CHECKPOINT_SECONDS)

    def save_state(self) -> None:
        """A checkpoint without a network: the measures that are taken, and where the present one stands."""
        self.stopwatch.record_phase(self.state, "evaluating")
        self.state.saves += 1
        self.state.step = self.state.saves  # so that the furthest checkpoint is the newest
        content = checkpoint.serialize(
            self.state, nn.Module(), nn.Module(), None, self.spec.model_dump_json()
        )
        self.stopwatch.restart_checkpoint_interval()
        self.save_checkpoint(SerializedCheckpoint(self.state.saves, self.state.step, content))
