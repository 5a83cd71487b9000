"""What the jobs that train or evaluate share: networks, evaluation, checkpoints, results."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from core import figures
from core.distillation import seeds
from core.distillation.data import DataSet
from core.distillation.data.images import ImageSource
from core.distillation.evaluation import EvaluationTarget
from core.distillation.evaluation.evaluator import PlannedMeasure, evaluate
from core.distillation.export import export_network
from core.distillation.metering.energy import make_meter
from core.distillation.metering.stopwatch import Stopwatch
from core.distillation.models import from_description
from core.distillation.models.network import Classifier
from core.distillation.models.safetensors_weights import load_weights, serialize_weights
from core.distillation.reporting import build_report, render_documents
from core.distillation.run_state import RunState
from core.distillation.training.trainer import SerializedCheckpoint
from core.job_folder import Ended, JobFolder, OutputKind, PhaseStarted
from core.jobspec.data import DatasetDescription
from core.jobspec.job import ExportFormat
from core.jobspec.network import ModelDescription
from core.jobspec.resolved import ResolvedEvaluation, ResolvedSpec
from core.jobspec.status import Phase
from core.reportspec.report import ReportedNetwork

CHECKPOINT_SECONDS = 60.0
"""Between two checkpoints of an evaluation job."""
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
        )

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
        for event in evaluate(state, role, target, planned):
            self.folder.emit(event)
            if self.stop():
                save_checkpoint()
                return False
            if checkpoint_due():
                save_checkpoint()
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
        self, network: Classifier, description: ModelDescription, formats: tuple[ExportFormat, ...]
    ) -> None:
        """Save the network in other formats. Raises JobFailed where a file gives other logits."""
        for file in export_network(network, description, formats):
            self._save_hashed(file.name, file.content, "export", file.media_type)

    def _save_hashed(self, name: str, content: bytes, kind: OutputKind, media_type: str) -> None:
        event = self.folder.save_file(name, content, kind, media_type=media_type)
        self.digests[name] = event.sha256

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
        report = build_report(
            spec,
            state,
            dataset,
            network,
            reference,
            image_counts | {"test": results["clean"]["images"]},
            self.device,
            self.stopwatch.meter.source,
        )
        images = figures.draw_figures(results, state.history, dataset.class_names)
        for document in render_documents(report, images, dict(sorted(self.digests.items()))):
            self.folder.save_file(
                document.name, document.content, document.kind, media_type=document.media_type
            )


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


def reported_network(
    network: Classifier, description: ModelDescription, best_epoch: int | None = None
) -> ReportedNetwork:
    """Return what the report says of a network."""
    return ReportedNetwork(
        description=description, parameters=parameter_count(network), best_epoch=best_epoch
    )


def parameter_count(network: Classifier) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def job_summary(state: RunState, network: Classifier) -> dict[str, Any]:
    """Return the summary that is stored in the job's row, as JSON."""
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
    }
