"""A job that evaluates an existing network."""

from collections.abc import Callable

from torch import nn

from core.distillation import data
from core.distillation.data import DataSet
from core.distillation.evaluation.evaluator import planned_measures
from core.distillation.jobs.run import CHECKPOINT_SECONDS, JobRun, job_summary, reported_network
from core.distillation.models.network import Classifier
from core.distillation.run_state import RunState
from core.distillation.training import checkpoint
from core.distillation.training.trainer import SerializedCheckpoint
from core.job_folder import Ended, JobFolder, Resumed
from core.jobspec.resolved import ResolvedEvaluationJobSpec

ROLE = "model"


class EvaluationRun(JobRun):
    """An evaluation of one network, perhaps with a reference network beside it."""

    def __init__(
        self, folder: JobFolder, spec: ResolvedEvaluationJobSpec, stop: Callable[[], bool]
    ) -> None:
        super().__init__(folder, stop)
        self.spec = spec
        self.state = RunState()

    def run(self) -> Ended:
        self.start_phase("preparing")
        dataset = data.load(self.folder)
        model = self.load_network(self.folder.read_model(), self.folder.model_weights)
        reference = self.load_reference()
        self.resume()
        self.stopwatch.record_phase(self.state, "preparing")
        self.start_phase("evaluating")
        if not self.evaluate(model, reference, dataset):
            return self.folder.stopped_event()
        self.stopwatch.record_phase(self.state, "evaluating")
        self.start_phase("exporting")
        self.export(model, reference, dataset)
        return Ended(outcome="succeeded", summary=job_summary(self.state, model, self.device))

    def load_reference(self) -> Classifier | None:
        if self.spec.reference is None:
            return None
        return self.load_network(self.folder.read_teacher(), self.folder.teacher_weights)

    def resume(self) -> None:
        """Load the checkpoint of an earlier attempt, if there is one."""
        path = self.folder.checkpoint
        if path.exists():
            spec = self.spec.model_dump_json()
            self.state = checkpoint.load(path, nn.Module(), nn.Module(), None, spec)
            self.folder.emit(Resumed(step=self.state.step))

    def evaluate(self, model: Classifier, reference: Classifier | None, dataset: DataSet) -> bool:
        """Evaluate all measures. Returns False if the job was asked to stop before the last."""
        return self.run_evaluation(
            self.state,
            ROLE,
            self.evaluation_target(
                model, reference, dataset, self.spec.evaluation, self.spec.radius
            ),
            planned_measures(self.spec.evaluation, self.spec.radius),
            save_checkpoint=self.save_state,
            checkpoint_due=lambda: self.stopwatch.checkpoint_due(CHECKPOINT_SECONDS),
        )

    def save_state(self) -> None:
        """Save a checkpoint without networks: complete results, and the measure in progress."""
        self.stopwatch.record_phase(self.state, "evaluating")
        self.state.saves += 1
        # A job resumes from the checkpoint with the highest step; an evaluation has no steps.
        self.state.step = self.state.saves
        content = checkpoint.serialize(
            self.state, nn.Module(), nn.Module(), None, self.spec.model_dump_json()
        )
        self.stopwatch.restart_checkpoint_interval()
        self.save_checkpoint(SerializedCheckpoint(self.state.saves, self.state.step, content))

    def export(self, model: Classifier, reference: Classifier | None, dataset: DataSet) -> None:
        """Save exports of the network, and the report."""
        description = self.folder.read_model()
        self.save_exports(self.state, model, description, self.spec.export)
        self.save_report(
            self.state,
            self.spec,
            dataset.description,
            reported_network(model, description, model=self.folder.read_inputs().get("model")),
            self.reported_reference(reference),
            image_counts={},
        )
