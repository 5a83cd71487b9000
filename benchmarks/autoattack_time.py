"""This AutoAttack and the reference implementation (pyautoattack) on the same networks and images, side by side in one run.

    python benchmarks/autoattack_time.py [--images 200] [--queries 5000] [--repeats 3] [--networks grey coloured] [--out DIR]

Two small CNNs, adversarially trained: on digits as they are, where a pass costs little more than its overhead, and on digits
as coloured images of CIFAR's size, where convolutions are nearly all of it. The standard stages one after the other, each on
what the ones before it left, L-infinity, one batch, CPU. Writes autoattack_time.json and autoattack_time.md.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from machine import stamp, write
from pyautoattack import AutoAttack as Reference
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate

from core.distillation.adversaries import pgd
from core.distillation.data import digits
from core.distillation.data.images import Images, ImageSource
from core.distillation.evaluation import Step
from core.distillation.evaluation.autoattack import autoattack
from core.distillation.evaluation.masks import mask
from core.distillation.models.network import Classifier
from core.distillation.models.small_cnn import SmallCnn
from core.jobspec.evaluation import STANDARD_STAGES, AutoAttack

BRIGHT, DARK = 0.7, 0.3
"""A coloured digit's ink is above the one in each channel, its ground below the other."""


@dataclass(frozen=True)
class Case:
    says: str
    channels: int
    prepare: Callable[[ImageSource, int], ImageSource]
    radius: float
    """Where about half of the images that are right when clean still stand, as on CIFAR-10 at 8/255."""
    trained_at: float
    epochs: int
    repeats_alike: bool
    """Is it cheap enough to be timed several times?"""


def coloured(images: ImageSource, seed: int) -> Images:
    """Every digit at 32x32, in an ink and on a ground of its own."""
    generator = torch.Generator().manual_seed(seed)
    grey_N1HW, labels_N = images.batch(torch.arange(len(images)))
    ink, ground = torch.rand(2, len(images), 3, 1, 1, generator=generator)
    ink, ground = BRIGHT + (1 - BRIGHT) * ink, DARK * ground
    pixels_N3HW = ground + interpolate(grey_N1HW, size=32, mode="bilinear") * (ink - ground)
    return Images(pixels_N3HW.mul(255).round().to(torch.uint8), labels_N)


CASES = {
    "grey": Case(
        "8x8, grey: scikit-learn's digits", 1, lambda images, _: images, 0.2, 0.15, 15, True
    ),
    "coloured": Case(
        "3x32x32: the same digits enlarged, each in two colours of its own",
        3,
        coloured,
        8 / 255,
        10 / 255,
        10,
        False,
    ),
}


def trained(case: Case, images: ImageSource) -> SmallCnn:
    torch.manual_seed(0)
    network = SmallCnn(10, width=16, channels=case.channels)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    for _ in range(case.epochs):
        for indices in torch.split(torch.randperm(len(images)), 64):
            x, y = images.batch(indices)
            network.eval()
            adversarial = attacked(network, x, y, case.trained_at)
            network.train()
            optimizer.zero_grad()
            cross_entropy(network(adversarial), y).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return network.eval().requires_grad_(False)


def attacked(network: Classifier, x: Tensor, y: Tensor, radius: float) -> Tensor:
    return pgd(
        lambda z: cross_entropy(network(z), y, reduction="none"),
        x,
        radius=radius,
        step_size=radius / 2,
        steps=3,
    )


@dataclass
class Part:
    """One stage: which share of all images stands after it, and what it took."""

    standing: float
    seconds: float
    cpu_seconds: float


def clocks() -> tuple[float, float]:
    return time.monotonic(), time.process_time()


def since(began: tuple[float, float]) -> tuple[float, float]:
    return time.monotonic() - began[0], time.process_time() - began[1]


def ours(network: Classifier, images: ImageSource, radius: float, queries: int) -> dict[str, Part]:
    """What is done once, the clean accuracy and compiling, counts to the first stage."""
    settings = AutoAttack(radius=radius, queries=queries)
    parts: dict[str, Part] = {stage: Part(0, 0, 0) for stage in STANDARD_STAGES}
    began = clocks()
    for step in autoattack(network, images, settings, classes=10, batch_size=len(images), seed=0):
        if isinstance(step, Step):
            part = parts[STANDARD_STAGES[max(0, step.state["stage"])]]
            (wall, cpu), began = since(began), clocks()
            part.standing = float(mask(step.state["standing"]).float().mean())
            part.seconds, part.cpu_seconds = part.seconds + wall, part.cpu_seconds + cpu
    return parts


def theirs(
    network: Classifier, images: ImageSource, radius: float, queries: int
) -> dict[str, Part]:
    x, y = images.batch(torch.arange(len(images)))
    parts: dict[str, Part] = {}
    for stage in STANDARD_STAGES:
        suite = Reference(
            network, eps=radius, version="custom", attacks=[stage], seed=0, device="cpu"
        )
        suite.apgd.n_restarts = suite.apgd_targeted.n_restarts = suite.fab.n_restarts = (
            suite.square.n_restarts
        ) = 1
        suite.square.n_queries = queries
        began = clocks()
        adversarial, _ = suite.run_standard_evaluation(x, y, batch_size=len(images))
        wall, cpu = since(began)
        standing = network(adversarial).argmax(dim=1) == y
        x, y = x[standing], y[standing]
        parts[stage] = Part(len(x) / len(images), wall, cpu)
    return parts


def whole(parts: dict[str, Part]) -> dict[str, Part]:
    both = (
        sum(part.seconds for part in parts.values()),
        sum(part.cpu_seconds for part in parts.values()),
    )
    return {**parts, "standard": Part(parts[STANDARD_STAGES[-1]].standing, *both)}


def compared(case: Case, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each stage, and for all of them."""
    data = digits.load()
    network = trained(case, case.prepare(data.train, 0))
    images = case.prepare(data.test, 1).subset(torch.arange(arguments.images))
    common = network, images, case.radius, arguments.queries
    runs = [
        (whole(ours(*common)), whole(theirs(*common)))
        for _ in range(arguments.repeats if case.repeats_alike else 1)
    ]
    for name in [*STANDARD_STAGES, "standard"]:
        mine, other = (
            [
                statistics.median(getattr(run[side][name], key) for run in runs)
                for key in ("standing", "seconds", "cpu_seconds")
            ]
            for side in (0, 1)
        )
        yield {
            "stage": name,
            "ours": mine,
            "reference": other,
            "ratio": mine[1] / other[1],
            "cpu_ratio": mine[2] / other[2],
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
            "says": CASES[name].says,
            "radius": CASES[name].radius,
            "repeats": arguments.repeats if CASES[name].repeats_alike else 1,
            "rows": list(compared(CASES[name], arguments)),
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
        f"Written by `benchmarks/autoattack_time.py`. Small CNNs (width 16), adversarially trained; {data['images']} test images "
        f"in one batch, L-infinity, {data['queries']} queries, CPU, threads: {data['threads']}. The stages one after the other: "
        "robust accuracy in % after each, seconds by the clock and of the processor, ratios of times.",
    ]
    for case in data["cases"].values():
        lines += [
            "",
            f"## {case['says']}",
            "",
            f"Radius {case['radius']:.3f}; medians of {case['repeats']}.",
            "",
            "| stage | ours | reference | ours, s | reference, s | ratio | ours, CPU s | reference, CPU s | CPU ratio |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for row in case["rows"]:
            (mine, wall, cpu), (other, their_wall, their_cpu) = row["ours"], row["reference"]
            lines.append(
                f"| {row['stage']} | {100 * mine:.1f} | {100 * other:.1f} | {wall:.1f} | {their_wall:.1f} | {row['ratio']:.2f} "
                f"| {cpu:.1f} | {their_cpu:.1f} | {row['cpu_ratio']:.2f} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
