"""A job that trains a student: prepare, train, evaluate, export."""

from collections.abc import Callable

import torch
from safetensors.torch import load_file
from torch import Tensor

from core.distillation import data, seeds
from core.distillation.data import DataSet
from core.distillation.data.batches import Batches
from core.distillation.data.images import ImageSource
from core.distillation.evaluation.evaluator import measured_events, planned_measures
from core.distillation.jobs.run import JobRun, job_summary, reported_network
from core.distillation.methods import build as build_method
from core.distillation.models import from_description
from core.distillation.models.network import Classifier
from core.distillation.models.safetensors_weights import load_backbone
from core.distillation.network_modes import loaded_weights
from core.distillation.run_state import RunState
from core.distillation.training.trainer import SerializedCheckpoint, Trainer, TrainingStopped
from core.job_folder import Ended, JobFolder, Measured, Note, Resumed
from core.jobspec.compatibility import held_out_images
from core.jobspec.network import ModelDescription
from core.jobspec.resolved import ResolvedDistillationSpec, ResolvedTrainingSpec
from core.reportspec.attack_keys import held_out_key
from core.summary_statistics import wilson_interval


class TrainingRun(JobRun):
    """An adversarial training, or a distillation."""

    def __init__(
        self, folder: JobFolder, spec: ResolvedTrainingSpec, stop: Callable[[], bool]
    ) -> None:
        super().__init__(folder, stop)
        self.spec = spec

    def run(self) -> Ended:
        self.start_phase("preparing")
        trainer, dataset, teacher = self.prepare()
        self.start_phase("training")
        if not self.train(trainer):
            return self.folder.stopped_event()
        self.start_phase("evaluating")
        with trainer.averaged_weights():
            last_weights = trainer.copy_weights()
        if not self.evaluate(trainer, dataset, teacher, last_weights):
            return self.folder.stopped_event()
        self.start_phase("exporting")
        self.export(trainer, dataset, teacher, last_weights)
        summary = job_summary(trainer.state, trainer.student, self.device)
        return Ended(outcome="succeeded", summary=summary)

    # -- preparation

    def prepare(self) -> tuple[Trainer, DataSet, Classifier | None]:
        """Load data and teacher, initialize the student, and load a checkpoint if there is one."""
        spec = self.spec
        dataset = data.load(self.folder)
        training, held_out = data.split(
            dataset.train,
            held_out_images(spec, dataset.description),
            spec.data.limit,
            seeds.derive(spec.seed, "split"),
        )
        student = self.to_device(self.initialize_student(dataset))
        teacher = self.load_teacher()
        igdm = spec.igdm if isinstance(spec, ResolvedDistillationSpec) else None
        method = build_method(spec.method, student, teacher, spec.schedule.precision, igdm)
        method.heads.to(self.device)
        trainer = Trainer(
            spec,
            method,
            self.make_batches(training),
            held_out.to(self.device),
            dataset.description.classes,
            self.stopwatch,
        )
        if self.folder.checkpoint.exists():
            trainer.resume(self.folder.checkpoint)
            self.folder.emit(Resumed(step=trainer.state.step))
        self.stopwatch.record_phase(trainer.state, "preparing")
        return trainer, dataset, teacher

    def make_batches(self, training: ImageSource) -> Batches:
        extra = data.load_extra(self.folder)
        extra_settings = self.spec.data.extra
        return Batches(
            training.to(self.device),
            extra.to(self.device) if extra is not None else None,
            ratio=extra_settings.ratio if extra_settings is not None else 0.0,
            batch_size=self.spec.schedule.batch_size,
            augmentation=self.spec.data.augmentation,
            seed=self.spec.seed,
            device=self.device,
        )

    def initialize_student(self, dataset: DataSet) -> Classifier:
        """Return a student with random weights, or with those of the model to start from."""
        torch.manual_seed(seeds.derive(self.spec.seed, "weights"))
        student = from_description(self.student_description(dataset))
        if self.spec.start_from is not None:
            random_keys = load_backbone(student, load_file(self.folder.model_weights))
            if random_keys and not self.folder.checkpoint.exists():
                message = (
                    f"The student starts from the weights of {self.spec.start_from}, "
                    f"except for {', '.join(random_keys)}, which start from random values."
                )
                self.folder.emit(Note(message=message))
        return student

    def student_description(self, dataset: DataSet) -> ModelDescription:
        description = dataset.description
        return ModelDescription(
            network=self.spec.student,
            classes=description.classes,
            channels=description.channels,
            height=description.height,
            width=description.width,
        )

    def load_teacher(self) -> Classifier | None:
        if not isinstance(self.spec, ResolvedDistillationSpec):
            return None
        return self.load_network(self.folder.read_teacher(), self.folder.teacher_weights)

    # -- training

    def train(self, trainer: Trainer) -> bool:
        """Train to the end, and save a checkpoint. Returns False if the job was asked to stop."""
        for event in trainer.train(self.stop):
            if isinstance(event, TrainingStopped):
                return False
            if isinstance(event, SerializedCheckpoint):
                self.save_checkpoint(event)
            else:
                self.folder.emit(event)
        self.save_checkpoint(trainer.serialize_checkpoint())
        return True

    # -- evaluation

    def evaluate(
        self,
        trainer: Trainer,
        dataset: DataSet,
        teacher: Classifier | None,
        last_weights: dict[str, Tensor],
    ) -> bool:
        """Evaluate the best and the last student on the test images.

        Returns False, with a checkpoint saved, if the job was asked to stop before the end.
        """
        state = trainer.state
        evaluation = self.spec.evaluation
        radius = self.spec.adversary.radius
        target = self.evaluation_target(trainer.student, teacher, dataset, evaluation, radius)
        trained_weights = trainer.copy_weights()

        def save_checkpoint() -> None:
            # A checkpoint contains the student as it was trained, whichever is being evaluated.
            with loaded_weights(trainer.student, trained_weights):
                self.save_checkpoint(trainer.serialize_checkpoint())

        for role, weights in (("best", state.best), ("last", last_weights)):
            self.emit_held_out_accuracy(state, role, len(trainer.held_out))
            if role == "last" and state.best_epoch == len(state.history):
                self.copy_best_results(state)
                continue
            with loaded_weights(trainer.student, weights):
                complete = self.run_evaluation(
                    state,
                    role,
                    target,
                    planned_measures(evaluation, radius, analyses=role == "best"),
                    save_checkpoint=save_checkpoint,
                    checkpoint_due=trainer.checkpoint_due,
                )
            if not complete:
                return False
        self.stopwatch.record_phase(state, "evaluating")
        return True

    def emit_held_out_accuracy(self, state: RunState, role: str, images: int) -> None:
        """Emit the held-out accuracies of the role's epoch as results, once per job.

        By them the best epoch was chosen, and rows of a sweep's table may be. ``images``: how many
        were held out.
        """
        if role in state.measured:
            return
        epoch = state.best_epoch if role == "best" else len(state.history)
        for entry in state.history:
            if entry["epoch"] == epoch:
                keys = {
                    "held_out_clean": "held_out_clean",
                    "held_out_robust": held_out_key(self.spec.adversary.radius),
                }
                for name, key in keys.items():
                    interval = wilson_interval(entry[name], images)
                    self.folder.emit(
                        Measured(
                            network=role,
                            name=key,
                            value=entry[name],
                            images=images,
                            interval=interval,
                        )
                    )

    def copy_best_results(self, state: RunState) -> None:
        """Copy the accuracies of the best student to the last one: they are the same network."""
        radius = self.spec.adversary.radius
        planned = planned_measures(self.spec.evaluation, radius, analyses=False)
        names = [measure.name for measure in planned]
        state.measured["last"] = {name: state.measured["best"][name] for name in names}
        for name, entry in state.measured["last"].items():
            for event in measured_events("last", name, entry):
                self.folder.emit(event)

    # -- results

    def export(
        self,
        trainer: Trainer,
        dataset: DataSet,
        teacher: Classifier | None,
        last_weights: dict[str, Tensor],
    ) -> None:
        """Save the weights of both students, exports of the best, and the report."""
        student = trainer.student
        state = trainer.state
        description = self.student_description(dataset)
        with loaded_weights(student, last_weights):
            self.save_weights("last", student, description)
        with loaded_weights(student, state.best):
            self.save_weights("best", student, description)
            self.save_exports(state, student, description, self.spec.export)
        self.emit_training_time(state)
        self.save_report(
            state,
            self.spec,
            dataset.description,
            reported_network(student, description, best_epoch=state.best_epoch),
            self.reported_reference(teacher),
            image_counts(trainer),
        )

    def emit_training_time(self, state: RunState) -> None:
        seconds = state.seconds["training"] / len(state.history)
        self.folder.emit(
            Measured(network="best", name="training_seconds_per_epoch", value=round(seconds, 3))
        )


def image_counts(trainer: Trainer) -> dict[str, int]:
    """Return how many images the training used, by part of the data set."""
    counts = {"training": len(trainer.batches.images), "held_out": len(trainer.held_out)}
    if trainer.batches.extra is not None:
        counts["extra"] = len(trainer.batches.extra)
    return counts
