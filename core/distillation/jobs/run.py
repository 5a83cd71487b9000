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
from core.distillation.evaluation.evaluator import Measure, evaluate
from core.distillation.export import export
from core.distillation.metering.energy import meter
from core.distillation.metering.stopwatch import Stopwatch
from core.distillation.models import from_description, weights
from core.distillation.models.network import Classifier
from core.distillation.reporting import documents, report
from core.distillation.run_state import RunState
from core.distillation.training.trainer import Checkpoint
from core.job_folder import Ended, JobFolder
from core.jobspec.data import DatasetDescription
from core.jobspec.evaluation import Evaluation
from core.jobspec.job import ExportFormat, SubmittedSpec
from core.jobspec.network import ModelDescription
from core.reportspec.report import NetworkFacts

CHECKPOINT_SECONDS = 60.0
"""Between two checkpoints of an evaluation."""
KEEP_LOCAL = 2
"""Checkpoints left in the folder: the newest, and one before it."""


class Run(ABC):
    """A job in its folder. Says what happens into the folder as it goes."""

    def __init__(self, folder: JobFolder, stop: Callable[[], bool]) -> None:
        self.folder, self.stop = folder, stop
        self.device = chosen_device()
        self.watch = Stopwatch(meter(self.device))
        self.hashes: dict[str, str] = {}
        """SHA-256 of the weights that were published, by file name."""

    @abstractmethod
    def run(self) -> Ended:
        """Everything, from wherever an earlier attempt stopped."""

    # -- networks

    def stored(self, description: ModelDescription, path: Any) -> Classifier:
        """A network with the weights of a file in the folder, on the device."""
        network = from_description(description)
        weights.read(network, path)
        return self.on_device(network)

    def on_device(self, network: Classifier) -> Classifier:
        """On CUDA in the memory layout that its convolutions are quickest in."""
        layout = torch.channels_last if self.device.type == "cuda" else torch.contiguous_format
        network.to(self.device).to(memory_format=layout)
        return network

    # -- along the way

    def keep(self, checkpoint: Checkpoint) -> None:
        name = f"checkpoint-{checkpoint.number:06d}.safetensors"
        self.folder.publish(name, checkpoint.data, "checkpoint", step=checkpoint.step)
        for older in sorted(self.folder.output.glob("checkpoint-*.safetensors"))[:-KEEP_LOCAL]:
            older.unlink()

    # -- measuring

    def measure(
        self,
        state: RunState,
        role: str,
        subject: EvaluationTarget,
        wanted: Iterator[Measure],
        keep: Callable[[], None],
        due: Callable[[], bool],
    ) -> bool:
        """Take the measures that are still missing; False, with a checkpoint kept, if asked to stop before all are taken."""
        for event in evaluate(state, role, subject, wanted):
            self.folder.say(event)
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
        content = weights.to_bytes(network, {"description": description.model_dump_json()})
        self.hashes[f"{name}.safetensors"] = self.folder.publish(
            f"{name}.safetensors", content, "weights"
        ).sha256

    def publish_exports(
        self, network: Classifier, description: ModelDescription, formats: tuple[ExportFormat, ...]
    ) -> None:
        """The network in other formats, each checked against the network itself."""
        for file in export(network, description, formats):
            self.hashes[file.name] = self.folder.publish(
                file.name, file.content, "export", media_type=file.media_type
            ).sha256

    def publish_report(
        self,
        state: RunState,
        spec: SubmittedSpec,
        dataset: DatasetDescription,
        network: NetworkFacts,
        reference: NetworkFacts | None,
        images: dict[str, int],
    ) -> None:
        """For programs and for people, with its figures and the model card."""
        self.watch.count(state, "exporting")
        role = "model" if spec.kind == "evaluation" else "best"
        images = images | {"test": state.measured[role]["clean"]["images"]}
        found = report(
            spec, state, dataset, network, reference, images, self.device, self.watch.meter.source
        )
        drawn = figures.draw(state.measured[role], state.history, dataset.class_names)
        for each in documents(found, drawn, dict(sorted(self.hashes.items()))):
            self.folder.publish(each.name, each.content, each.kind, media_type=each.media_type)


def chosen_device() -> torch.device:
    """``DISTILL_DEVICE``, or CUDA where there is one."""
    wanted = os.environ.get("DISTILL_DEVICE", "auto")
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(wanted)


def facts(
    network: Classifier, description: ModelDescription, best_epoch: int | None = None
) -> NetworkFacts:
    return NetworkFacts(
        description=description, parameters=parameters_of(network), best_epoch=best_epoch
    )


def parameters_of(network: Classifier) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def summary(state: RunState, network: Classifier) -> dict[str, Any]:
    """What the job's row keeps of it."""
    accuracy = {
        role: {
            name: entry["value"] for name, entry in results.items() if entry["value"] is not None
        }
        for role, results in state.measured.items()
    }
    return {
        "accuracy": accuracy,
        "parameters": parameters_of(network),
        "best_epoch": state.best_epoch,
    }
