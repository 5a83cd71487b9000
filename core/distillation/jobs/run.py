"""What every job does in its folder, whatever its kind: prepare, measure, export, keep checkpoints, stop when asked."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import torch

from core import figures
from core.distillation import seeds
from core.distillation.data import DataSet
from core.distillation.data.images import ImageSource
from core.distillation.evaluation import EvaluationTarget
from core.distillation.evaluation.evaluator import PlannedMeasure, evaluate
from core.distillation.export import export
from core.distillation.metering.energy import make_meter
from core.distillation.metering.stopwatch import Stopwatch
from core.distillation.models import from_description
from core.distillation.models.network import Classifier
from core.distillation.models.safetensors_weights import load_weights, serialize_weights
from core.distillation.reporting import documents, report
from core.distillation.run_state import RunState
from core.distillation.training.trainer import SerializedCheckpoint
from core.job_folder import Ended, JobFolder
from core.jobspec.data import DatasetDescription
from core.jobspec.evaluation import Evaluation
from core.jobspec.job import ExportFormat
from core.jobspec.network import ModelDescription
from core.jobspec.resolved import ResolvedSpec
from core.reportspec.report import NetworkFacts

CHECKPOINT_SECONDS = 60.0
"""Between two checkpoints of an evaluation."""
KEEP_LOCAL = 2
"""Checkpoints left in the folder: the newest, and one before it."""


class JobRun(ABC):
    """A job in its folder. Says what happens into the folder as it goes."""

    def __init__(self, folder: JobFolder, stop: Callable[[], bool]) -> None:
        self.folder, self.stop = folder, stop
        self.device = select_device()
        self.stopwatch = Stopwatch(make_meter(self.device))
        self.digests: dict[str, str] = {}
        """SHA-256 of the weights that were published, by file name."""

    @abstractmethod
    def run(self) -> Ended:
        """Everything, from wherever an earlier attempt stopped."""

    # -- networks

    def load_network(self, description: ModelDescription, path: Any) -> Classifier:
        """A network with the weights of a file in the folder, on the device."""
        network = from_description(description)
        load_weights(network, path)
        return self.to_device(network)

    def to_device(self, network: Classifier) -> Classifier:
        """On CUDA in the memory layout that its convolutions are quickest in."""
        layout = torch.channels_last if self.device.type == "cuda" else torch.contiguous_format
        network.to(self.device).to(memory_format=layout)
        return network

    # -- along the way

    def save_checkpoint(self, checkpoint: SerializedCheckpoint) -> None:
        name = f"checkpoint-{checkpoint.number:06d}.safetensors"
        self.folder.save_file(name, checkpoint.data, "checkpoint", step=checkpoint.step)
        for older in sorted(self.folder.output.glob("checkpoint-*.safetensors"))[:-KEEP_LOCAL]:
            older.unlink()

    # -- measuring

    def take_measures(
        self,
        state: RunState,
        role: str,
        subject: EvaluationTarget,
        wanted: Iterator[PlannedMeasure],
        keep: Callable[[], None],
        due: Callable[[], bool],
    ) -> bool:
        """Take the measures that are still missing; False, with a checkpoint kept, if asked to stop before all are taken."""
        for event in evaluate(state, role, subject, wanted):
            self.folder.emit(event)
            if self.stop():
                keep()
                return False
            if due():
                keep()
        return True

    def test_images(self, dataset: DataSet, evaluation: Evaluation) -> ImageSource:
        limit = evaluation.limit
        if limit is None or limit >= len(dataset.test):
            return dataset.test
        order = torch.randperm(
            len(dataset.test), generator=seeds.generator("cpu", evaluation.seed, "limit")
        )
        return dataset.test.subset(order[:limit].sort().values)

    # -- results

    def publish_weights(
        self, name: str, network: Classifier, description: ModelDescription
    ) -> None:
        content = serialize_weights(network, {"description": description.model_dump_json()})
        self.digests[f"{name}.safetensors"] = self.folder.save_file(
            f"{name}.safetensors", content, "weights"
        ).sha256

    def publish_exports(
        self, network: Classifier, description: ModelDescription, formats: tuple[ExportFormat, ...]
    ) -> None:
        """The network in other formats, each checked against the network itself."""
        for file in export(network, description, formats):
            self.digests[file.name] = self.folder.save_file(
                file.name, file.content, "export", media_type=file.media_type
            ).sha256

    def publish_report(
        self,
        state: RunState,
        spec: ResolvedSpec,
        dataset: DatasetDescription,
        network: NetworkFacts,
        reference: NetworkFacts | None,
        images: dict[str, int],
    ) -> None:
        """For programs and for people, with its figures and the model card."""
        self.stopwatch.record_phase(state, "exporting")
        role = "model" if spec.kind == "evaluation" else "best"
        images = images | {"test": state.measured[role]["clean"]["images"]}
        found = report(
            spec, state, dataset, network, reference, images, self.device, self.stopwatch.meter.source
        )
        drawn = figures.draw(state.measured[role], state.history, dataset.class_names)
        for each in documents(found, drawn, dict(sorted(self.digests.items()))):
            self.folder.save_file(each.name, each.content, each.kind, media_type=each.media_type)


def select_device() -> torch.device:
    """``DISTILL_DEVICE``, or CUDA where there is one."""
    wanted = os.environ.get("DISTILL_DEVICE", "auto")
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(wanted)


def network_facts(
    network: Classifier, description: ModelDescription, best_epoch: int | None = None
) -> NetworkFacts:
    return NetworkFacts(
        description=description, parameters=parameter_count(network), best_epoch=best_epoch
    )


def parameter_count(network: Classifier) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def job_summary(state: RunState, network: Classifier) -> dict[str, Any]:
    """What the job's row keeps of it."""
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
