"""What the jobs that train or evaluate share: networks, evaluation, checkpoints, results."""

import hashlib
import os
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from core import figures
from core.distillation import seeds
from core.distillation.data import DataSet, digits
from core.distillation.data.images import ImageSource
from core.distillation.evaluation import EvaluationTarget
from core.distillation.evaluation.evaluator import PlannedMeasure, evaluate
from core.distillation.export import EXPORTERS, ExportDiffersError, export_network
from core.distillation.jobs.failures import classify_failure, is_storage_full
from core.distillation.metering.cost import measured_cost
from core.distillation.metering.energy import make_meter
from core.distillation.metering.stopwatch import Stopwatch
from core.distillation.models import from_description
from core.distillation.models.network import Classifier
from core.distillation.models.safetensors_weights import load_weights, serialize_weights
from core.distillation.reporting import (
    Document,
    build_report,
    planned_documents,
    report_document,
)
from core.distillation.run_state import RunState
from core.distillation.training.trainer import SerializedCheckpoint
from core.errors import JobFailed, strip_paths
from core.job_folder import Ended, JobFolder, OutputKind, PhaseStarted, Warned
from core.jobspec.data import DatasetDescription
from core.jobspec.evaluation import AutoAttack, CwAttack, PgdAttack
from core.jobspec.job import ExportFormat
from core.jobspec.network import ModelDescription
from core.jobspec.resolved import ResolvedEvaluation, ResolvedSpec
from core.jobspec.status import Phase
from core.reportspec.attack_keys import own_threat_model
from core.reportspec.report import InputIdentity, ReportedData, ReportedNetwork

CHECKPOINT_SECONDS = 60.0
"""Between two checkpoints of an evaluation job."""
Made = TypeVar("Made")
ANALYSIS_FAILED = "analysis_failed"
MAX_ERROR_LENGTH = 300
"""Characters of a library's message that a warning quotes."""
LOCAL_CHECKPOINTS = 2
"""Checkpoints that remain in the folder: the newest, and the one before it."""


class JobRun(ABC):
    """One attempt at a job in its folder. Whatever happens is emitted as events of the folder."""

    def __init__(self, folder: JobFolder, stop: Callable[[], bool]) -> None:
        self.folder = folder
        self.stop = stop
        self.device = select_device()
        self.stopwatch = Stopwatch(make_meter(self.device))
        self.digests: dict[str, str] = {}
        """SHA-256 of the files of weights that were saved, by file name."""

    @abstractmethod
    def run(self) -> Ended:
        """Run the job to its end, from wherever an earlier attempt stopped."""

    def start_phase(self, phase: Phase) -> None:
        self.folder.emit(PhaseStarted(phase=phase))

    # -- networks

    def load_network(self, description: ModelDescription, path: Path) -> Classifier:
        """Return the network of a weights file, on the device."""
        network = from_description(description)
        load_weights(network, path)
        return self.to_device(network)

    def to_device(self, network: Classifier) -> Classifier:
        """Move the network to the device. On CUDA, convolutions are fastest in channels last."""
        layout = torch.channels_last if self.device.type == "cuda" else torch.contiguous_format
        network.to(self.device).to(memory_format=layout)
        return network

    # -- evaluation

    def evaluation_target(
        self,
        network: Classifier,
        reference: Classifier | None,
        dataset: DataSet,
        evaluation: ResolvedEvaluation,
        radius: float,
    ) -> EvaluationTarget:
        return EvaluationTarget(
            network,
            reference,
            select_test_images(dataset, evaluation).to(self.device),
            classes=dataset.description.classes,
            batch_size=evaluation.batch_size,
            seed=evaluation.seed,
            radius=radius,
            image_set=self.image_set(dataset, evaluation),
        )

    def image_set(self, dataset: DataSet, evaluation: ResolvedEvaluation) -> str | None:
        """Return the digest of the images that ``select_test_images`` selects.

        None in a job folder made by hand, which does not say which data set it holds.
        """
        identity = self.folder.read_inputs().get("dataset")
        if identity is None:
            return None
        is_builtin = dataset.description.source == "digits"
        name = digits.table_sha256() if is_builtin else identity.sha256 or identity.id
        limit = evaluation.limit
        if limit is None or limit >= len(dataset.test):
            return digest_image_set(name, None, 0)
        return digest_image_set(name, limit, evaluation.seed)

    def run_evaluation(
        self,
        state: RunState,
        role: str,
        target: EvaluationTarget,
        planned: Iterator[PlannedMeasure],
        *,
        save_checkpoint: Callable[[], None],
        checkpoint_due: Callable[[], bool],
    ) -> bool:
        """Evaluate all planned measures that ``state`` has no result of yet.

        Returns False, with a checkpoint saved, if the job was asked to stop before the last.
        """
        for measure in planned:
            forget_failure(state, measure)
            try:
                for event in evaluate(state, role, target, iter([measure])):
                    self.folder.emit(event)
                    if self.stop():
                        save_checkpoint()
                        return False
                    if checkpoint_due():
                        save_checkpoint()
            except Exception as error:
                if not is_dispensable(measure, error):
                    raise
                state.measuring = None
                self.warn_of_missing(state, ANALYSIS_FAILED, analysis_title(measure), error)
        return True

    # -- files

    def save_checkpoint(self, checkpoint: SerializedCheckpoint) -> None:
        """Save the checkpoint, and delete local ones that are no longer needed."""
        name = f"checkpoint-{checkpoint.number:06d}.safetensors"
        self.folder.save_file(name, checkpoint.data, "checkpoint", step=checkpoint.step)
        checkpoints = sorted(self.folder.output.glob("checkpoint-*.safetensors"))
        for path in checkpoints[:-LOCAL_CHECKPOINTS]:
            path.unlink()

    def save_weights(self, name: str, network: Classifier, description: ModelDescription) -> None:
        content = serialize_weights(network, {"description": description.model_dump_json()})
        self._save_hashed(f"{name}.safetensors", content, "weights", "application/octet-stream")

    def save_exports(
        self,
        state: RunState,
        network: Classifier,
        description: ModelDescription,
        formats: tuple[ExportFormat, ...],
    ) -> None:
        """Save the network in other formats, as far as that succeeds."""
        for export_format in formats:
            name = EXPORTERS[export_format].file_name
            export = partial(export_network, network, description, export_format)
            file = self.try_to_make(state, "export_failed", name, export)
            if file is not None:
                self._save_hashed(file.name, file.content, "export", file.media_type)

    def _save_hashed(self, name: str, content: bytes, kind: OutputKind, media_type: str) -> None:
        event = self.folder.save_file(name, content, kind, media_type=media_type)
        self.digests[name] = event.sha256

    def reported_reference(self, reference: Classifier | None) -> ReportedNetwork | None:
        """Return what the report says of the teacher, or of an evaluation's reference."""
        if reference is None:
            return None
        description = self.folder.read_teacher()
        return reported_network(
            reference, description, model=self.folder.read_inputs().get("teacher")
        )

    def reported_data(
        self, name: str, dataset: DatasetDescription, images: dict[str, int]
    ) -> ReportedData:
        """Return what the report says of the data. ``name`` as in the spec."""
        inputs = self.folder.read_inputs()
        identity = inputs.get("dataset")
        if identity is not None and dataset.source == "digits":
            identity = identity.model_copy(update={"sha256": digits.table_sha256()})
        return ReportedData(
            dataset=name,
            identity=identity,
            extra=inputs.get("extra"),
            description=dataset,
            images=images,
        )

    def save_report(
        self,
        state: RunState,
        spec: ResolvedSpec,
        dataset: DatasetDescription,
        network: ReportedNetwork,
        reference: ReportedNetwork | None,
        image_counts: dict[str, int],
    ) -> None:
        """Save the report in each format, its figures, and the model card.

        ``image_counts``: how many images of each part of the data set were used, but for the test.
        """
        self.stopwatch.record_phase(state, "exporting")
        results = state.measured["model" if spec.kind == "evaluation" else "best"]
        counts = image_counts | {"test": results["clean"]["images"]}
        data = self.reported_data(spec.data.dataset, dataset, counts)
        energy_of = self.stopwatch.meter.source
        build = partial(build_report, spec, state, network, reference, data, self.device, energy_of)
        images = self.draw_figures(state, results, dataset, own_threat_model(spec).title)
        report = self.try_to_make(state, "document_failed", "The report", build)
        if report is None:
            return
        for document in planned_documents(report, images, dict(sorted(self.digests.items()))):
            self.save_document(state, document)
        # Built again, with the warnings about whichever of these documents could not be made.
        self.save_document(state, report_document(build()))

    def draw_figures(
        self,
        state: RunState,
        results: dict[str, dict[str, Any]],
        dataset: DatasetDescription,
        threat_model: str,
    ) -> dict[str, bytes]:
        """Save all figures that can be drawn, and return them by file name."""

        def on_error(name: str, error: Exception) -> None:
            self.warn_of_missing(state, "figure_failed", f"The figure {name}", error)

        files = figures.draw_figures(
            results, state.history, dataset.class_names, threat_model, on_error
        )
        for name, content in files.items():
            media_type = "image/svg+xml" if name.endswith(".svg") else "image/png"
            self.folder.save_file(name, content, "figure", media_type=media_type)
        return files

    def save_document(self, state: RunState, document: Document) -> None:
        content = self.try_to_make(state, "document_failed", document.name, document.render)
        if content is not None:
            self.folder.save_file(document.name, content, "report", media_type=document.media_type)

    # -- what goes wrong without costing the job

    def try_to_make(
        self, state: RunState, code: str, title: str, make: Callable[[], Made]
    ) -> Made | None:
        """Return what ``make`` returns; where it raises, warn and return None.

        For everything that is derived from weights and results: they are worth more than any one
        file that is made of them.
        """
        try:
            return make()
        except Exception as error:
            self.warn_of_missing(state, code, title, error)
            return None

    def warn_of_missing(self, state: RunState, code: str, title: str, error: Exception) -> None:
        """Warn that something could not be made. Raises ``error`` if the disk is full: there is
        room on another worker, or later.
        """
        if is_storage_full(error):
            raise error
        traceback.print_exception(error)
        self.warn(state, code, f"{title} could not be made. {describe_error(error)}")

    def warn(self, state: RunState, code: str, message: str) -> None:
        """Tell of something that has gone wrong, at once and in the report."""
        state.warnings.append({"code": code, "message": message})
        self.folder.emit(Warned(code=code, message=message))


def analysis_title(measure: PlannedMeasure) -> str:
    return f"The analysis {measure.name}"


def forget_failure(state: RunState, measure: PlannedMeasure) -> None:
    """Drop the warning that an earlier attempt left about this analysis: it is tried once more."""
    beginning = f"{analysis_title(measure)} could not"
    state.warnings = [
        warning
        for warning in state.warnings
        if warning["code"] != ANALYSIS_FAILED or not warning["message"].startswith(beginning)
    ]


def is_dispensable(measure: PlannedMeasure, error: Exception) -> bool:
    """Return whether the other results are worth having without this one.

    Accuracies are what an evaluation is for; analyses explain them. An error of the machine is none
    of the analysis: another attempt resumes there.
    """
    is_accuracy = isinstance(measure.settings, PgdAttack | CwAttack | AutoAttack | None)
    is_expected = isinstance(error, JobFailed)
    return not is_accuracy and not is_expected and classify_failure(error).code == "trainer_error"


def describe_error(error: Exception) -> str:
    """Return a sentence or two for a person: the message itself, if it was written as a sentence.

    Of the messages of libraries, which can be pages long, it is the beginning.
    """
    lines = strip_paths(str(error)).strip().splitlines() or [""]
    if isinstance(error, ExportDiffersError):
        return lines[0]
    return f"{type(error).__name__}: {lines[0][:MAX_ERROR_LENGTH]}".rstrip(": ")


def select_device() -> torch.device:
    """Return the device that ``DISTILL_DEVICE`` names; by default CUDA, if there is a GPU."""
    name = os.environ.get("DISTILL_DEVICE", "auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def select_test_images(dataset: DataSet, evaluation: ResolvedEvaluation) -> ImageSource:
    """Return the test images, or a random selection of them if the evaluation has a limit.

    The selection is a function of the evaluation's seed.
    """
    limit = evaluation.limit
    if limit is None or limit >= len(dataset.test):
        return dataset.test
    generator = seeds.generator("cpu", evaluation.seed, "limit")
    order_N = torch.randperm(len(dataset.test), generator=generator)
    return dataset.test.subset(order_N[:limit].sort().values)


def digest_image_set(dataset: str, limit: int | None, seed: int) -> str:
    """Return the digest of a selection of a data set's test images.

    ``dataset``: its SHA-256, or its id. ``limit`` None: all images, whatever the seed.
    """
    selection = "all" if limit is None else f"{limit} by seed {seed}"
    return hashlib.sha256(f"{dataset}: {selection}".encode()).hexdigest()


def reported_network(
    network: Classifier,
    description: ModelDescription,
    *,
    best_epoch: int | None = None,
    model: InputIdentity | None = None,
) -> ReportedNetwork:
    """Return what the report says of a network. ``model``: None for one that the job trained."""
    return ReportedNetwork(
        description=description,
        parameters=parameter_count(network),
        best_epoch=best_epoch,
        model=model,
    )


def parameter_count(network: Classifier) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def job_summary(state: RunState, network: Classifier, device: torch.device) -> dict[str, Any]:
    """Return what the supervisor stores beside the results, as JSON."""
    accuracy = {
        role: {
            name: entry["value"] for name, entry in results.items() if entry["value"] is not None
        }
        for role, results in state.measured.items()
    }
    return {
        "accuracy": accuracy,
        "parameters": parameter_count(network),
        "best_epoch": state.best_epoch,
        "cost": measured_cost(state, device),
    }
