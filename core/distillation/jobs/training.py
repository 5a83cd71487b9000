"""A job that trains a student: prepare, train, evaluate, export."""

from collections.abc import Callable

import torch
from safetensors.torch import load_file

from core.distillation import data, seeds
from core.distillation.data import DataSet
from core.distillation.data.batches import Batches
from core.distillation.data.images import ImageSource
from core.distillation.evaluation import EvaluationTarget
from core.distillation.evaluation.evaluator import measured_events, planned_measures
from core.distillation.jobs.run import JobRun, network_facts, job_summary
from core.distillation.methods import build as build_method
from core.distillation.models import from_description
from core.distillation.models.network import Classifier
from core.distillation.models.safetensors_weights import load_backbone
from core.distillation.run_state import RunState
from core.distillation.training.trainer import SerializedCheckpoint, TrainingStopped, Trainer
from core.job_folder import Ended, JobFolder, Measured, Note, PhaseStarted, Resumed
from core.jobspec.compatibility import held_out_images
from core.jobspec.network import ModelDescription
from core.jobspec.resolved import ResolvedDistillationSpec, ResolvedTrainingSpec


class TrainingRun(JobRun):
    def __init__(self, folder: JobFolder, spec: ResolvedTrainingSpec, stop: Callable[[], bool]) -> None:
        super().__init__(folder, stop)
        self.spec = spec

    def run(self) -> Ended:
        self.folder.emit(PhaseStarted(phase="preparing"))
        trainer, dataset, teacher = self.prepare()
        self.folder.emit(PhaseStarted(phase="training"))
        for event in trainer.train(self.stop):
            if isinstance(event, TrainingStopped):
                return self.folder.stopped_event()
            if isinstance(event, SerializedCheckpoint):
                self.save_checkpoint(event)
            else:
                self.folder.emit(event)
        self.save_checkpoint(trainer.serialize_checkpoint())
        self.folder.emit(PhaseStarted(phase="evaluating"))
        if not self.evaluate(trainer, dataset, teacher):
            return self.folder.stopped_event()
        self.folder.emit(PhaseStarted(phase="exporting"))
        return self.export(trainer, dataset, teacher)

    # -- preparing

    def prepare(self) -> tuple[Trainer, DataSet, Classifier | None]:
        dataset = data.load(self.folder)
        spec, description = self.spec, dataset.description
        training, held_out = data.split(
            dataset.train,
            held_out_images(spec, description),
            spec.data.limit,
            seeds.derive(spec.seed, "split"),
        )
        student, teacher = self.to_device(self.initialize_student(dataset)), self.load_teacher()
        igdm = spec.igdm if isinstance(spec, ResolvedDistillationSpec) else None
        method = build_method(spec.method, student, teacher, spec.schedule.precision, igdm)
        method.heads.to(self.device)
        batches, judges = self.make_batches(training), held_out.to(self.device)
        trainer = Trainer(spec, method, batches, judges, description.classes, self.stopwatch)
        if self.folder.checkpoint.exists():
            trainer.resume(self.folder.checkpoint)
            self.folder.emit(Resumed(step=trainer.state.step))
        self.stopwatch.record_phase(trainer.state, "preparing")
        return trainer, dataset, teacher

    def make_batches(self, training: ImageSource) -> Batches:
        spec, extra = self.spec, data.load_extra(self.folder)
        return Batches(
            training.to(self.device),
            None if extra is None else extra.to(self.device),
            ratio=spec.data.extra.ratio if spec.data.extra is not None else 0.0,
            batch_size=spec.schedule.batch_size,
            augmentation=spec.data.augmentation,
            seed=spec.seed,
            device=self.device,
        )

    def initialize_student(self, dataset: DataSet) -> Classifier:
        torch.manual_seed(seeds.derive(self.spec.seed, "weights"))
        student = from_description(self.student_description(dataset))
        if self.spec.start_from is not None:
            fresh = load_backbone(student, load_file(self.folder.model_weights))
            if fresh and not self.folder.checkpoint.exists():
                names = ", ".join(fresh)
                self.folder.emit(
                    Note(
                        message=f"First weights are those of {self.spec.start_from}, but for {names}, drawn anew."
                    )
                )
        return student

    def student_description(self, dataset: DataSet) -> ModelDescription:
        it = dataset.description
        return ModelDescription(
            network=self.spec.student,
            classes=it.classes,
            channels=it.channels,
            height=it.height,
            width=it.width,
        )

    def load_teacher(self) -> Classifier | None:
        if not isinstance(self.spec, ResolvedDistillationSpec):
            return None
        return self.load_network(self.folder.read_teacher(), self.folder.teacher_weights)

    # -- evaluation

    def evaluate(self, trainer: Trainer, dataset: DataSet, teacher: Classifier | None) -> bool:
        """Measure best and last student on the test images; False if asked to stop before all is measured.

        Afterwards the student is the last: the average of its weights, where one is kept.
        """
        state, spec = trainer.state, self.spec
        test = self.test_images(dataset, spec.evaluation).to(self.device)
        trained = trainer.copy_weights()
        with trainer.averaged_weights():
            last = trainer.copy_weights()
        subject = EvaluationTarget(
            trainer.student,
            teacher,
            test,
            classes=dataset.description.classes,
            batch_size=spec.evaluation.batch_size,
            seed=spec.evaluation.seed,
            radius=spec.adversary.radius,
        )

        def keep() -> None:
            """A checkpoint holds the student as it was trained, whichever is being measured."""
            measured = trainer.copy_weights()
            trainer.student.load_state_dict(trained)
            self.save_checkpoint(trainer.serialize_checkpoint())
            trainer.student.load_state_dict(measured)

        for role, values in (("best", state.best), ("last", last)):
            trainer.student.load_state_dict(values)
            self.emit_held_out_accuracy(trainer, role)
            if role == "last" and state.best_epoch == spec.schedule.epochs:
                self.copy_best_results(state)
            elif not self.take_measures(
                state,
                role,
                subject,
                planned_measures(spec.evaluation, role == "best"),
                keep,
                trainer.checkpoint_due,
            ):
                return False
        self.stopwatch.record_phase(state, "evaluating")
        return True

    def emit_held_out_accuracy(self, trainer: Trainer, role: str) -> None:
        """Accuracy on held-out images, by which the best was chosen, and by which rows of a table may be."""
        if role in trainer.state.measured:
            return
        epoch = trainer.state.best_epoch if role == "best" else self.spec.schedule.epochs
        assert epoch is not None
        for name in ("held_out_clean", "held_out_robust"):
            self.folder.emit(
                Measured(network=role, name=name, value=trainer.state.history[epoch - 1][name])
            )

    def copy_best_results(self, state: RunState) -> None:
        """The last student is the best: its accuracies need not be measured twice."""
        wanted = [it.name for it in planned_measures(self.spec.evaluation, analyses=False)]
        state.measured["last"] = {name: state.measured["best"][name] for name in wanted}
        for name, entry in state.measured["last"].items():
            for event in measured_events("last", name, entry):
                self.folder.emit(event)

    # -- results

    def export(self, trainer: Trainer, dataset: DataSet, teacher: Classifier | None) -> Ended:
        """Weights of the best and the last student, what they are exported to, and the report."""
        student, state, description = (
            trainer.student,
            trainer.state,
            self.student_description(dataset),
        )
        self.publish_weights("last", student, description)
        student.load_state_dict(state.best)
        self.publish_weights("best", student, description)
        self.publish_exports(student, description, self.spec.export)
        sizes = {"training": len(trainer.batches.images), "held_out": len(trainer.held_out)}
        if trainer.batches.extra is not None:
            sizes["extra"] = len(trainer.batches.extra)
        per_epoch = state.seconds["training"] / self.spec.schedule.epochs
        self.folder.emit(
            Measured(network="best", name="training_seconds_per_epoch", value=round(per_epoch, 3))
        )
        taught_by = None if teacher is None else network_facts(teacher, self.folder.read_teacher())
        self.publish_report(
            state,
            self.spec,
            dataset.description,
            network_facts(student, description, state.best_epoch),
            taught_by,
            sizes,
        )
        return Ended(outcome="succeeded", summary=job_summary(state, student))
