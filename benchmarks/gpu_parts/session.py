"""What gpu.py measures on: trainers of jobs on random images; and how it measures time."""

import contextlib
import gc
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from flops import synchronize
from result_files import stamp, write

from core.distillation import seeds
from core.distillation.data.batches import Batches
from core.distillation.data.images import Images
from core.distillation.metering.energy import Meter
from core.distillation.metering.stopwatch import Stopwatch
from core.distillation.methods import ADVERSARIAL_TRAINING_METHODS, build
from core.distillation.models import from_description
from core.distillation.models.network import Classifier
from core.distillation.network_modes import network_mode
from core.distillation.training.trainer import Trainer
from core.jobspec.data import DatasetDescription
from core.jobspec.defaults import resolve
from core.jobspec.job import AdversarialTrainingSpec, DistillationSpec
from core.jobspec.network import ModelDescription
from core.jobspec.resolved import ResolvedTrainingSpec
from gpu_parts.graphed_step import GraphedStep
from gpu_parts.page import markdown

EPOCH_IMAGES = 50_000
METHODS: dict[str, dict[str, Any]] = {
    "STARSHIP": {"name": "starship"},
    "ARKD": {"name": "arkd"},
    "TRADES": {"name": "trades"},
    "RSLAD": {"name": "rslad"},
    "AdaAD": {"name": "adaad"},
    "Ada-STARSHIP": {"name": "starship", "adaptive": True},
}
FORMS: dict[str, dict[str, bool] | None] = {
    "trainer": None,
    "graph": {},
    "graph, folded": {"folded": True},
    "graph, folded, compiled": {"folded": True, "compiled": True},
}
"""Arguments of GraphedStep; None is the trainer's own step."""


@dataclass
class Session:
    """What is measured on, at which sizes, and what has been measured so far."""

    smoke: bool
    seconds: float
    out: Path
    start: float = field(default_factory=time.monotonic)
    results: list[dict[str, Any]] = field(default_factory=list)
    earlier: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        cuda = torch.cuda.is_available() and not self.smoke
        self.device = torch.device("cuda" if cuda else "cpu")
        self.student = "small_cnn" if self.smoke else "resnet18"
        self.teacher = "small_cnn" if self.smoke else "wrn_28_10"
        self.batch = 4 if self.smoke else 128
        self.precision = "fp32" if self.smoke else "bf16"
        self.attack_steps = 2 if self.smoke else 10
        self.rounds = (1, 1) if self.smoke else (3, 8)
        """Rounds of steps, and steps in each; the median round counts."""
        self.warm_up = 0 if self.smoke else 3

    def elapsed(self) -> float:
        return time.monotonic() - self.start

    def fits(self, seconds: float) -> bool:
        return self.smoke or self.elapsed() + seconds < self.seconds

    def record(self, part: str, **values: Any) -> None:
        """Print a result at once as a line of JSON, so that an interruption loses nothing."""
        row = {"part": part, **values, "at": round(self.elapsed(), 1)}
        self.results.append(row)
        print(json.dumps(row), flush=True)

    def attempt(self, part: str, function: Callable[[], None], **labels: Any) -> None:
        """Call the function; what it raises is recorded as a result with these labels."""
        try:
            function()
        except Exception as error:
            self.record(part, **labels, failed=f"{type(error).__name__}: {error}"[:400])
        gc.collect()

    def load(self) -> None:
        """Begin with an earlier run's results. Raises SystemExit if its device was another."""
        earlier = json.loads((self.out / "gpu.json").read_text())
        device = stamp()["machine"]["device"]
        if earlier["machine"]["device"] != device:
            raise SystemExit(f"These results are of {earlier['machine']['device']}, not {device}.")
        self.earlier = [row for row in earlier["results"] if "skipped" not in row]

    def save(self) -> None:
        labels = [row_labels(row) for row in self.results]
        earlier = [row for row in self.earlier if row_labels(row) not in labels]
        data = {
            "settings": {"student": self.student, "teacher": self.teacher, "smoke": self.smoke},
            "results": earlier + self.results,
            **stamp(),
        }
        with contextlib.redirect_stdout(None):
            write(self.out, "gpu", data, markdown(data))


def row_labels(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what tells a result from others, whatever it measured."""
    names = ("part", "method", "name", "form", "precision", "batch", "cudnn_benchmark")
    return tuple(row.get(name) for name in names)


def description(session: Session) -> DatasetDescription:
    images = 32 if session.smoke else EPOCH_IMAGES
    return DatasetDescription(
        source="packed",
        classes=10,
        class_names=tuple(f"class {number}" for number in range(10)),
        channels=3,
        height=32,
        width=32,
        train_images=images,
        test_images=images,
    )


def network_description(architecture: str) -> ModelDescription:
    width = {"width": 4} if architecture == "small_cnn" else {}
    return ModelDescription.model_validate(
        {
            "network": {"architecture": architecture, **width},
            "classes": 10,
            "channels": 3,
            "height": 32,
            "width": 32,
        }
    )


def new_network(architecture: str) -> Classifier:
    """Return a network with random weights, on the CPU."""
    return from_description(network_description(architecture))


@cache
def random_images(device: torch.device, images: int) -> Images:
    generator = torch.Generator(device).manual_seed(0)
    shape = (images, 3, 32, 32)
    return Images(
        torch.randint(256, shape, generator=generator, device=device, dtype=torch.uint8),
        torch.randint(10, (images,), generator=generator, device=device),
    )


def on_device(network: Classifier, device: torch.device) -> Classifier:
    """Move the network as core.distillation.jobs.run does."""
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    network.to(device).to(memory_format=layout)
    return network


@cache
def random_teacher(architecture: str, device: torch.device) -> Classifier:
    """Return a network with random weights, and the batch norm statistics of random images.

    Without these its activations grow from layer to layer.
    """
    torch.manual_seed(1)
    network = on_device(new_network(architecture), device)
    images_BCHW, _ = random_images(device, 32).batch(torch.arange(32, device=device))
    with network_mode(network, "train"), torch.no_grad():
        for _ in range(20):
            network(images_BCHW)
    return network


def job_spec(session: Session, batch: int, precision: str, **fields: Any) -> ResolvedTrainingSpec:
    body = {
        "student": network_description(session.student).network.model_dump(),
        "data": {"dataset": "random images of CIFAR's shape"},
        "adversary": {"name": "pgd", "steps": session.attack_steps},
        "schedule": {"batch_size": batch, "precision": precision},
        **fields,
    }
    if body["method"]["name"] in ADVERSARIAL_TRAINING_METHODS:
        return resolve(AdversarialTrainingSpec.model_validate(body), description(session))
    body["teacher"] = "teacher"
    return resolve(DistillationSpec.model_validate(body), description(session))


def make_trainer(
    session: Session, batch: int, precision: str = "", teacher: str = "", **fields: Any
) -> Trainer:
    """Return the trainer of a job on random images, as a job's run makes it."""
    spec = job_spec(session, batch, precision or session.precision, **fields)
    device = session.device
    teacher_network = None
    igdm = None
    if spec.kind == "distillation":
        teacher_network = random_teacher(teacher or session.teacher, device)
        igdm = spec.igdm
    torch.manual_seed(seeds.derive(spec.seed, "weights"))
    student = on_device(new_network(session.student), device)
    method = build(spec.method, student, teacher_network, spec.schedule.precision, igdm)
    method.heads.to(device)
    images = random_images(device, description(session).train_images)
    batches = Batches(
        images,
        batch_size=batch,
        augmentation=spec.data.augmentation,
        seed=spec.seed,
        device=device,
    )
    return Trainer(spec, method, batches, images, 10, Stopwatch(Meter([], None)))


def make_step(trainer: Trainer, form: str) -> Callable[[], None]:
    """Return what takes one step of the trainer in this form."""
    arguments = FORMS[form]
    if arguments is not None:
        return GraphedStep(trainer, **arguments)

    def step() -> None:
        for _ in trainer.train_step():
            pass

    return step


def latest_loss(trainer: Trainer, step: Callable[[], None]) -> float:
    loss = step.loss if isinstance(step, GraphedStep) else trainer.metrics.latest["loss"]
    return float(loss)


def time_calls(
    session: Session, call: Callable[[], object], rounds_and_calls: tuple[int, int] | None = None
) -> dict[str, float]:
    """Milliseconds of a call: ``ms`` until the device has finished, ``host_ms`` until it returns.

    The host never waits between the calls of a round.
    """
    rounds, calls = rounds_and_calls or session.rounds
    for _ in range(session.warm_up):
        call()
    synchronize(session.device)
    totals = []
    host = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        host.append(1000 * (time.perf_counter() - start) / calls)
        synchronize(session.device)
        totals.append(1000 * (time.perf_counter() - start) / calls)
    return {
        "ms": round(statistics.median(totals), 3),
        "fastest_ms": round(min(totals), 3),
        "slowest_ms": round(max(totals), 3),
        "host_ms": round(statistics.median(host), 3),
    }


def rates(batch: int, milliseconds: float) -> dict[str, float]:
    """Return images per second, and the seconds that an epoch's images take."""
    per_image = milliseconds / 1000 / batch
    return {"images_s": round(1 / per_image), "epoch_s": round(EPOCH_IMAGES * per_image, 2)}
