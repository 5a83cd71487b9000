"""Time our AutoAttack beside the reference implementation (pyautoattack), in one run.

    python benchmarks/autoattack_time.py [--images 200] [--queries 5000] [--repeats 3]
                                         [--networks gray color] [--out DIR]

Both attack the same images of two small, adversarially trained CNNs: digits as they are, where a
forward pass costs little more than its overhead, and digits as color images of CIFAR's size, where
nearly all time is convolutions. The standard stages run one after the other, each on the images
that are still classified correctly; L-infinity, one batch, CPU. Writes autoattack_time.json and
autoattack_time.md.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pyautoattack import AutoAttack as Reference
from result_files import stamp, write
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate

from core.distillation.adversaries import pgd
from core.distillation.data import digits
from core.distillation.data.images import Images, ImageSource
from core.distillation.evaluation import Step
from core.distillation.evaluation.autoattack import autoattack
from core.distillation.evaluation.masks import text_to_mask
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.models.network import Classifier
from core.distillation.models.small_cnn import SmallCnn
from core.jobspec.evaluation import STANDARD_STAGES
from core.jobspec.resolved import ResolvedAutoAttack

BRIGHT, DARK = 0.7, 0.3
"""Lowest value of the digit's color and highest value of the background's, in each channel."""


@dataclass(frozen=True)
class Case:
    title: str
    channels: int
    prepare: Callable[[ImageSource, int], ImageSource]
    radius: float
    """About half of the correctly classified images resist it, as on CIFAR-10 at 8/255."""
    training_radius: float
    epochs: int
    is_cheap: bool
    """Whether it is timed several times."""


def colorize(images: ImageSource, seed: int) -> Images:
    """Enlarge digits to 32x32 pixels, each in two random colors."""
    generator = torch.Generator().manual_seed(seed)
    gray_N1HW, labels_N = images.batch(torch.arange(len(images)))
    random_2N311 = torch.rand(2, len(images), 3, 1, 1, generator=generator)
    digit_N311 = BRIGHT + (1 - BRIGHT) * random_2N311[0]
    background_N311 = DARK * random_2N311[1]
    enlarged_N1HW = interpolate(gray_N1HW, size=32, mode="bilinear")
    pixels_N3HW = background_N311 + enlarged_N1HW * (digit_N311 - background_N311)
    return Images(pixels_N3HW.mul(255).round().to(torch.uint8), labels_N)


CASES = {
    "gray": Case(
        "8x8, gray: scikit-learn's digits", 1, lambda images, _: images, 0.2, 0.15, 15, True
    ),
    "color": Case(
        "3x32x32: the same digits enlarged, each in two colors of its own",
        3,
        colorize,
        8 / 255,
        10 / 255,
        10,
        False,
    ),
}


def train(case: Case, images: ImageSource) -> SmallCnn:
    torch.manual_seed(0)
    network = SmallCnn(10, width=16, channels=case.channels)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    for _ in range(case.epochs):
        for indices in torch.split(torch.randperm(len(images)), 64):
            x, y = images.batch(indices)
            network.eval()
            adversarial = training_attack(network, x, y, case.training_radius)
            network.train()
            optimizer.zero_grad()
            cross_entropy(network(adversarial), y).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return network.eval().requires_grad_(False)


def training_attack(network: Classifier, x: Tensor, y: Tensor, radius: float) -> Tensor:
    return pgd(
        lambda z: cross_entropy(network(z), y, reduction="none"),
        x,
        radius=radius,
        step_size=radius / 2,
        steps=3,
    )


@dataclass
class StageResult:
    """One stage: the share of all images that is still classified correctly, and its time."""

    accuracy: float
    seconds: float
    cpu_seconds: float


def clocks() -> tuple[float, float]:
    """Wall clock and processor time, in seconds."""
    return time.monotonic(), time.process_time()


def elapsed(start: tuple[float, float]) -> tuple[float, float]:
    return time.monotonic() - start[0], time.process_time() - start[1]


def run_project(
    network: Classifier, images: ImageSource, radius: float, queries: int
) -> dict[str, StageResult]:
    """The first stage includes what happens once: clean accuracy and compilation."""
    settings = ResolvedAutoAttack(radius=radius, queries=queries)
    target = EvaluationTarget(
        network, None, images, classes=10, batch_size=len(images), seed=0, radius=radius
    )
    results: dict[str, StageResult] = {stage: StageResult(0, 0, 0) for stage in STANDARD_STAGES}
    start = clocks()
    for step in autoattack(target, settings):
        if isinstance(step, Step):
            result = results[STANDARD_STAGES[max(0, step.state["stage"])]]
            wall, cpu = elapsed(start)
            start = clocks()
            result.accuracy = float(text_to_mask(step.state["standing"]).float().mean())
            result.seconds += wall
            result.cpu_seconds += cpu
    return results


def run_reference(
    network: Classifier, images: ImageSource, radius: float, queries: int
) -> dict[str, StageResult]:
    x, y = images.batch(torch.arange(len(images)))
    results: dict[str, StageResult] = {}
    for stage in STANDARD_STAGES:
        suite = Reference(
            network, eps=radius, version="custom", attacks=[stage], seed=0, device="cpu"
        )
        suite.apgd.n_restarts = suite.apgd_targeted.n_restarts = suite.fab.n_restarts = (
            suite.square.n_restarts
        ) = 1
        suite.square.n_queries = queries
        start = clocks()
        adversarial, _ = suite.run_standard_evaluation(x, y, batch_size=len(images))
        wall, cpu = elapsed(start)
        correct = network(adversarial).argmax(dim=1) == y
        x = x[correct]
        y = y[correct]
        results[stage] = StageResult(len(x) / len(images), wall, cpu)
    return results


def with_total(results: dict[str, StageResult]) -> dict[str, StageResult]:
    """The stages, and all of them together as ``standard``."""
    total = StageResult(
        results[STANDARD_STAGES[-1]].accuracy,
        sum(result.seconds for result in results.values()),
        sum(result.cpu_seconds for result in results.values()),
    )
    return {**results, "standard": total}


def compare(case: Case, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield one row per stage, and one for all of them."""
    data = digits.load()
    network = train(case, case.prepare(data.train, 0))
    images = case.prepare(data.test, 1).subset(torch.arange(arguments.images))
    common = network, images, case.radius, arguments.queries
    runs = [
        (with_total(run_project(*common)), with_total(run_reference(*common)))
        for _ in range(arguments.repeats if case.is_cheap else 1)
    ]
    for name in [*STANDARD_STAGES, "standard"]:
        project, reference = (
            [
                statistics.median(getattr(run[side][name], key) for run in runs)
                for key in ("accuracy", "seconds", "cpu_seconds")
            ]
            for side in (0, 1)
        )
        yield {
            "stage": name,
            "ours": project,
            "reference": reference,
            "ratio": project[1] / reference[1],
            "cpu_ratio": project[2] / reference[2],
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--queries", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--networks", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    arguments = parser.parse_args()
    cases = {
        name: {
            "says": CASES[name].title,
            "radius": CASES[name].radius,
            "repeats": arguments.repeats if CASES[name].is_cheap else 1,
            "rows": list(compare(CASES[name], arguments)),
        }
        for name in arguments.networks
    }
    data = {
        "images": arguments.images,
        "queries": arguments.queries,
        "threads": torch.get_num_threads(),
        "cases": cases,
        **stamp(),
    }
    write(arguments.out, "autoattack_time", data, markdown(data))


def markdown(data: dict[str, Any]) -> str:
    lines = [
        "# AutoAttack beside the reference implementation",
        "",
        "Written by `benchmarks/autoattack_time.py`. Small CNNs (width 16), adversarially trained; "
        f"{data['images']} test images in one batch, L-infinity, {data['queries']} queries, CPU, "
        f"threads: {data['threads']}. The stages run one after the other: robust accuracy in % "
        "after each, wall-clock and processor seconds, ratios of times.",
    ]
    for case in data["cases"].values():
        lines += [
            "",
            f"## {case['says']}",
            "",
            f"Radius {case['radius']:.3f}; medians of {case['repeats']}.",
            "",
            "| stage | ours | reference | ours, s | reference, s | ratio "
            "| ours, CPU s | reference, CPU s | CPU ratio |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for row in case["rows"]:
            accuracy, wall, cpu = row["ours"]
            reference_accuracy, reference_wall, reference_cpu = row["reference"]
            lines.append(
                f"| {row['stage']} | {100 * accuracy:.1f} | {100 * reference_accuracy:.1f} "
                f"| {wall:.1f} | {reference_wall:.1f} | {row['ratio']:.2f} "
                f"| {cpu:.1f} | {reference_cpu:.1f} | {row['cpu_ratio']:.2f} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
