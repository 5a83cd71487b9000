"""A job that measures a network which is there already."""

from collections.abc import Callable

from torch import nn

from core.distillation import data
from core.distillation.evaluation import EvaluationTarget
from core.distillation.evaluation.evaluator import measures
from core.distillation.jobs.run import CHECKPOINT_SECONDS, Run, facts, summary
from core.distillation.run_state import RunState
from core.distillation.training import checkpoint
from core.distillation.training.trainer import Checkpoint
from core.job_folder import Ended, JobFolder, PhaseBegan, Resumed
from core.jobspec.job import EvaluationJobSpec as Spec

ROLE = "model"


class EvaluationRun(Run):
    def __init__(self, folder: JobFolder, spec: Spec, stop: Callable[[], bool]) -> None:
        super().__init__(folder, stop)
        self.spec = spec
        self.state = RunState()

    def run(self) -> Ended:
        self.folder.say(PhaseBegan(phase="preparing"))
        dataset = data.load(self.folder)
        model = self.stored(self.folder.read_model(), self.folder.model_weights)
        has_reference = self.spec.reference is not None
        reference = (
            self.stored(self.folder.read_teacher(), self.folder.teacher_weights)
            if has_reference
            else None
        )
        if self.folder.checkpoint.exists():
            self.state = checkpoint.load(
                self.folder.checkpoint, nn.Module(), nn.Module(), None, self.spec.model_dump_json()
            )
            self.folder.say(Resumed(step=self.state.step))
        self.watch.count(self.state, "preparing")
        self.folder.say(PhaseBegan(phase="evaluating"))
        subject = EvaluationTarget(
            model,
            reference,
            self.test_images(dataset, self.spec.evaluation).to(self.device),
            classes=dataset.description.classes,
            batch_size=self.spec.evaluation.batch_size,
            seed=self.spec.evaluation.seed,
            radius=self.spec.radius,
        )
        if not self.measure(
            self.state,
            ROLE,
            subject,
            measures(self.spec.evaluation),
            self.keep_state,
            self.save_due,
        ):
            return self.folder.stopped()
        self.watch.count(self.state, "evaluating")
        self.folder.say(PhaseBegan(phase="exporting"))
        self.publish_exports(model, self.folder.read_model(), self.spec.export)
        beside = None if reference is None else facts(reference, self.folder.read_teacher())
        self.publish_report(
            self.state,
            self.spec,
            dataset.description,
            facts(model, self.folder.read_model()),
            beside,
            {},
        )
        return Ended(outcome="succeeded", summary=summary(self.state, model))

    def save_due(self) -> bool:
        return self.watch.save_due(CHECKPOINT_SECONDS)

    def keep_state(self) -> None:
        """A checkpoint without a network: the measures that are taken, and where the present one stands."""
        self.watch.count(self.state, "evaluating")
        self.state.saves += 1
        self.state.step = self.state.saves  # so that the furthest checkpoint is the newest
        content = checkpoint.to_bytes(
            self.state, nn.Module(), nn.Module(), None, self.spec.model_dump_json()
        )
        self.watch.note_saved()
        self.keep(Checkpoint(self.state.saves, self.state.step, content))
