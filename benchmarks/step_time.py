"""What STARSHIP's statistics cost: seconds per training step of ARKD and STARSHIP, in one run.

    python benchmarks/step_time.py [--steps N] [--threads N] [--out docs/results]

CPU: ResNet-18 teacher and student, batch 64. CUDA, if available: WRN-28-10 -> ResNet-18, batch 128.
Both methods train on the same batches with the same adversary (PGD-10). Their steps alternate; the
median counts. Bounds: STARSHIP at most 1.10 x ARKD; the statistics under 3 % of the step. Writes
step_time.json and step_time.md.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from result_files import stamp, write
from torch import Tensor

from core.distillation.adversaries import pgd
from core.distillation.forward import NetworkOutput
from core.distillation.methods import Method, MethodLoss, build
from core.distillation.methods.method import OutputPair
from core.distillation.methods.starship import Starship
from core.distillation.models import build as build_model
from core.jobspec.defaults import resolve_starship
from core.jobspec.training.methods import ArkdSettings
from core.jobspec.training.starship import StarshipSettings

PARTS = ("teacher, clean", "adversary", "student and teacher passes, loss", "backward and step")


class StepClock:
    """Seconds by part of a step. Synchronizes with the device around each part."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self._synchronize()
        start = time.perf_counter()
        yield
        self._synchronize()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def step(
    method: Method[Any], optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor
) -> dict[str, float]:
    """Run one training step as core.distillation.training.trainer does; seconds by part."""
    clock = StepClock(images.device)
    with clock.part("teacher, clean"):
        batch = method.prepare_batch(images, labels)
    with clock.part("adversary"):
        method.student.eval()
        generator = torch.Generator(images.device).manual_seed(0)
        adversarial = pgd(
            method.inner(batch),
            images,
            radius=8 / 255,
            step_size=2 / 255,
            steps=10,
            start="gaussian",
            generator=generator,
        )
        method.student.train()
    with clock.part("student and teacher passes, loss"):
        loss = method.outer(batch, adversarial).total
    with clock.part("backward and step"):
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return clock.seconds


def statistics_alone(method: Starship, images: Tensor, labels: Tensor, repeats: int = 20) -> float:
    """Seconds of FCA (with its perturbation), PGM and Omega, forward and backward.

    The networks' passes are not included.
    """
    with torch.no_grad():
        teacher = OutputPair(method.teacher_output(images), method.teacher_output(images.flip(3)))
        student = OutputPair(method.student_output(images), method.student_output(images.flip(3)))
    times = []
    for _ in range(repeats):
        student_leaves = OutputPair(as_leaves(student.clean), as_leaves(student.adversarial))
        clock = StepClock(images.device)
        with clock.part("all"):
            terms = method.feature_loss(teacher, student_leaves).terms
            terms |= method.prediction_terms(teacher, student_leaves)
            MethodLoss(terms).total.backward()  # type: ignore[no-untyped-call]
        times.append(clock.seconds["all"])
    return statistics.median(times)


def as_leaves(output: NetworkOutput) -> NetworkOutput:
    """The same output as leaves of the graph, where the backward pass ends."""
    return NetworkOutput(
        output.features_BD.detach().requires_grad_(), output.logits_BK.detach().requires_grad_()
    )


def measure(device: torch.device, teacher_name: str, batch: int, steps: int) -> dict[str, Any]:
    torch.manual_seed(0)
    images = torch.rand(batch, 3, 32, 32, device=device)
    labels = torch.randint(0, 10, (batch,), device=device)
    layout: Any = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    teacher = build_model(teacher_name, 10).to(device).to(memory_format=layout)
    methods: dict[str, Method[Any]] = {}
    for name, settings in (
        ("ARKD", ArkdSettings()),
        ("STARSHIP", resolve_starship(StarshipSettings(), student_features=512)),
    ):
        student = build_model("resnet18", 10).to(device).to(memory_format=layout)
        methods[name] = build(settings, student, teacher)
        methods[name].heads.to(device)
    optimizers = {
        name: torch.optim.SGD(
            [*method.student.parameters(), *method.heads.parameters()], lr=0.01, momentum=0.9
        )
        for name, method in methods.items()
    }
    seconds_by_method: dict[str, list[dict[str, float]]] = {name: [] for name in methods}
    peaks = dict.fromkeys(methods, 0)
    for number in range(steps + 1):
        for name, method in methods.items():
            reset_peak_memory(device)
            seconds = step(method, optimizers[name], images, labels)
            peaks[name] = max(peaks[name], peak_bytes(device))
            if number:  # the first of each warms up
                seconds_by_method[name].append(seconds)
                print(f"{device} {name} step {number}: {sum(seconds.values()):.2f} s", flush=True)
    starship = methods["STARSHIP"]
    assert isinstance(starship, Starship)
    alone = statistics_alone(starship, images, labels)
    return summarize(seconds_by_method, alone, peaks, teacher_name, batch, str(device))


def summarize(
    seconds_by_method: dict[str, list[dict[str, float]]],
    alone: float,
    peaks: dict[str, int],
    teacher: str,
    batch: int,
    device: str,
) -> dict[str, Any]:
    median: Callable[[Any], float] = statistics.median
    totals = {
        name: median([sum(each.values()) for each in runs])
        for name, runs in seconds_by_method.items()
    }
    return {
        "device": device,
        "teacher": teacher,
        "batch": batch,
        "steps": len(seconds_by_method["ARKD"]),
        "seconds": totals,
        "ratio": totals["STARSHIP"] / totals["ARKD"],
        "parts": {
            name: {part: median([each[part] for each in runs]) for part in PARTS}
            for name, runs in seconds_by_method.items()
        },
        "statistics_seconds": alone,
        "statistics_share": alone / totals["STARSHIP"],
        "peak_bytes": peaks,
    }


def reset_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()


def peak_bytes(device: torch.device) -> int:
    """Peak memory: of the step on CUDA, of the process so far on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def markdown(data: dict[str, Any]) -> str:
    lines = [
        "# What STARSHIP's statistics cost",
        "",
        "Written by `benchmarks/step_time.py`: the median of alternating steps.",
        "",
    ]
    for run in data["runs"]:
        lines += [
            f"## {run['device']}: {run['teacher']} -> resnet18, batch {run['batch']}, "
            f"{run['steps']} steps each",
            "",
            "| part (s) | ARKD | STARSHIP |",
            "|---|---|---|",
            *(
                f"| {part} | {run['parts']['ARKD'][part]:.4f} "
                f"| {run['parts']['STARSHIP'][part]:.4f} |"
                for part in PARTS
            ),
            f"| **step** | {run['seconds']['ARKD']:.4f} | {run['seconds']['STARSHIP']:.4f} |",
            f"| peak memory (MiB) | {run['peak_bytes']['ARKD'] / 2**20:.0f} "
            f"| {run['peak_bytes']['STARSHIP'] / 2**20:.0f} |",
            "",
            f"STARSHIP / ARKD: {run['ratio']:.3f} (bound: 1.10). The statistics alone, forward and "
            f"backward: {1000 * run['statistics_seconds']:.1f} ms, "
            f"{100 * run['statistics_share']:.2f} % of the step (bound: 3 %).",
            "",
        ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="0: torch's default")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    runs = [measure(torch.device("cpu"), "resnet18", 64, arguments.steps)]
    if torch.cuda.is_available():
        runs.append(measure(torch.device("cuda"), "wrn_28_10", 128, 20 * arguments.steps))
    data = {"settings": {"threads": torch.get_num_threads()}, "runs": runs, **stamp()}
    write(arguments.out, "step_time", data, markdown(data))


if __name__ == "__main__":
    main()
