"""One job from its folder to its folder: prepare, train, evaluate, export. Says what happens into the folder as it goes."""

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from core.distillation import data, seeds
from core.distillation.data import DataSet
from core.distillation.data.images import Images
from core.distillation.evaluation import Accuracy, measure
from core.distillation.methods import build as build_method
from core.distillation.models import from_description, weights
from core.distillation.models.network import Classifier
from core.distillation.report import report
from core.distillation.trainer import Checkpoint, Stopped, Trainer
from core.folder import Ended, JobFolder, Measured, PhaseBegan, Progress, Resumed
from core.spec.evaluation import Attack
from core.spec.fit import held_out_images
from core.spec.job import Distillation, TrainingJob
from core.spec.network import ModelDescription

KEEP_LOCAL = 2
"""Checkpoints left in the folder: the newest, and one before it."""


def chosen_device() -> torch.device:
    """``DISTILL_DEVICE``, or CUDA where there is one."""
    wanted = os.environ.get("DISTILL_DEVICE", "auto")
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(wanted)


class Job:
    """A training job in its folder."""

    def __init__(self, folder: JobFolder, spec: TrainingJob, stop: Callable[[], bool]) -> None:
        self.folder, self.spec, self.stop = folder, spec, stop
        self.device = chosen_device()

    def run(self) -> Ended:
        """Everything, from wherever an earlier attempt stopped."""
        self.folder.say(PhaseBegan(phase="preparing"))
        trainer, dataset = self.prepare()
        self.folder.say(PhaseBegan(phase="training"))
        for event in trainer.train(self.stop):
            if isinstance(event, Stopped):
                return self.stopped()
            if isinstance(event, Checkpoint):
                self.keep(event)
            else:
                self.folder.say(event)
        self.keep(trainer.save())
        self.folder.say(PhaseBegan(phase="evaluating"))
        if not self.evaluate(trainer, dataset):
            return self.stopped()
        self.folder.say(PhaseBegan(phase="exporting"))
        return self.export(trainer, dataset)

    # -- preparing

    def prepare(self) -> tuple[Trainer, DataSet]:
        dataset = data.load(self.folder)
        spec, description = self.spec, dataset.description
        training, held_out = data.split(
            dataset.train, held_out_images(spec, description), spec.data.limit, seeds.derive(spec.seed, "split")
        )
        torch.manual_seed(seeds.derive(spec.seed, "weights"))
        student = from_description(self.student_description(dataset))
        method = build_method(spec.method, *self.on_device(student, self.teacher()), precision=spec.schedule.precision)
        method.heads.to(self.device)
        trainer = Trainer(spec, method, training.to(self.device), held_out.to(self.device), description.classes)
        if self.folder.checkpoint.exists():
            trainer.resume(self.folder.checkpoint)
            self.folder.say(Resumed(step=trainer.state.step))
        return trainer, dataset

    def student_description(self, dataset: DataSet) -> ModelDescription:
        it = dataset.description
        return ModelDescription(
            network=self.spec.student, classes=it.classes, channels=it.channels, height=it.height, width=it.width
        )

    def teacher(self) -> Classifier | None:
        if not isinstance(self.spec, Distillation):
            return None
        network = from_description(self.folder.read_teacher())
        weights.read(network, self.folder.teacher_weights)
        return network

    def on_device(self, student: Classifier, teacher: Classifier | None) -> tuple[Classifier, Classifier | None]:
        """On CUDA in the memory layout that its convolutions are quickest in."""
        layout = torch.channels_last if self.device.type == "cuda" else torch.contiguous_format
        for network in (student, teacher):
            if network is not None:
                network.to(self.device).to(memory_format=layout)
        return student, teacher

    # -- along the way

    def keep(self, checkpoint: Checkpoint) -> None:
        name = f"checkpoint-{checkpoint.number:06d}.safetensors"
        self.folder.publish(name, checkpoint.data, "checkpoint", step=checkpoint.step)
        for older in sorted(self.folder.output.glob("checkpoint-*.safetensors"))[:-KEEP_LOCAL]:
            older.unlink()

    def stopped(self) -> Ended:
        return Ended(outcome="stopped", message=f"Stopped on request ({self.folder.stop_reason() or 'signal'}).")

    # -- evaluation

    def evaluate(self, trainer: Trainer, dataset: DataSet) -> bool:
        """Measure best and last student on the test images; False if asked to stop before all is measured."""
        test = self.test_images(dataset).to(self.device)
        state, spec = trainer.state, self.spec
        last = {key: value.clone() for key, value in trainer.student.state_dict().items()}
        same = state.best_epoch == spec.schedule.epochs
        measures: list[tuple[str, int, Attack | None]] = [("clean", 0, None)]
        measures += [(name, index, attack) for index, (name, attack) in enumerate(named(spec.evaluation.attacks))]
        for network, values in (("best", state.best), ("last", last)):
            trainer.student.load_state_dict(values)
            results = state.measured.setdefault(network, {})
            for name, index, attack in measures:
                if name in results:
                    continue
                if network == "last" and same:
                    results[name] = state.measured["best"][name]
                else:
                    found = self.measure(trainer, test, attack, dataset.description.classes, index)
                    if found is None:
                        self.keep_evaluation(trainer, last)
                        return False
                    results[name] = {"accuracy": found.overall, "per_class": found.per_class, "images": found.images}
                self.folder.say(Measured(network=network, name=name, value=results[name]["accuracy"]))
                if trainer.save_due():
                    self.keep_evaluation(trainer, last)
                    trainer.student.load_state_dict(values)
        trainer.student.load_state_dict(last)
        return True

    def keep_evaluation(self, trainer: Trainer, last: dict[str, Tensor]) -> None:
        """A checkpoint holds the last student, whichever is being measured."""
        trainer.student.load_state_dict(last)
        self.keep(trainer.save())

    def measure(self, trainer: Trainer, test: Images, attack: Attack | None, classes: int, index: int) -> Accuracy | None:
        it = self.spec.evaluation
        steps = measure(trainer.student, test, attack, classes=classes, batch_size=it.batch_size, seed=it.seed, index=index)
        for step in steps:
            if isinstance(step, Accuracy):
                return step
            if self.stop():
                return None
            self.folder.say(Progress(phase="evaluating", step=step, of=len(test)))
        raise AssertionError("an evaluation ends with its accuracy")

    def test_images(self, dataset: DataSet) -> Images:
        limit = self.spec.evaluation.limit
        if limit is None or limit >= len(dataset.test):
            return dataset.test
        order = torch.randperm(len(dataset.test), generator=seeds.generator("cpu", self.spec.evaluation.seed, "limit"))
        return dataset.test.subset(order[:limit].sort().values)

    # -- results

    def export(self, trainer: Trainer, dataset: DataSet) -> Ended:
        """Weights of the best and the last student, and the report."""
        student, state = trainer.student, trainer.state
        state.seconds = trainer.seconds()
        description = {"description": self.student_description(dataset).model_dump_json()}
        self.folder.publish("last.safetensors", weights.to_bytes(student, description), "weights")
        student.load_state_dict(state.best)
        self.folder.publish("best.safetensors", weights.to_bytes(student, description), "weights")
        parameters = sum(parameter.numel() for parameter in student.parameters())
        sizes = {"training": len(trainer.training), "held_out": len(trainer.held_out), "test": len(self.test_images(dataset))}
        content = report(self.spec, dataset.description, state, parameters=parameters, device=self.device, sizes=sizes)
        self.folder.publish("report.json", json.dumps(content, indent=2).encode(), "report", media_type="application/json")
        return Ended(outcome="succeeded", summary=summary(state.measured, parameters, state.best_epoch))


def named(attacks: tuple[Attack, ...]) -> Iterator[tuple[str, Attack]]:
    """Names for the attacks: pgd, cw, and pgd_2, … where one is asked for again."""
    seen: dict[str, int] = {}
    for attack in attacks:
        seen[attack.name] = seen.get(attack.name, 0) + 1
        yield attack.name if seen[attack.name] == 1 else f"{attack.name}_{seen[attack.name]}", attack


def summary(measured: dict[str, dict[str, Any]], parameters: int, best_epoch: int | None) -> dict[str, Any]:
    accuracies = {network: {name: it["accuracy"] for name, it in results.items()} for network, results in measured.items()}
    return {"accuracy": accuracies, "parameters": parameters, "best_epoch": best_epoch}
