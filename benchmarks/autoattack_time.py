"""This AutoAttack and the reference implementation (pyautoattack) on one network and the same images, side by side in one run.

    python benchmarks/autoattack_time.py [--images 200] [--queries 5000] [--out docs/results]

A small CNN, trained adversarially on digits; every stage alone, then all four; L-infinity, one batch, CPU. Writes
autoattack_time.json and autoattack_time.md.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from machine import stamp, write
from pyautoattack import AutoAttack as Reference
from torch import Tensor
from torch.nn.functional import cross_entropy

from core.distillation.adversaries import pgd
from core.distillation.data import digits
from core.distillation.data.images import ImageSource
from core.distillation.evaluation import Finding
from core.distillation.evaluation.autoattack import autoattack
from core.distillation.models.network import Classifier
from core.distillation.models.small_cnn import SmallCnn
from core.spec.evaluation import STANDARD_STAGES, AutoAttack, Stage

RADIUS = 0.2
"""Where about half of the images that are right when clean still stand, as on CIFAR-10 at 8/255."""


def trained() -> SmallCnn:
    torch.manual_seed(0)
    network, images = SmallCnn(10, width=16, channels=1), digits.load().train
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    for _ in range(15):
        for indices in torch.split(torch.randperm(len(images)), 64):
            x, y = images.batch(indices)
            network.eval()
            adversarial = attacked(network, x, y)
            network.train()
            optimizer.zero_grad()
            cross_entropy(network(adversarial), y).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return network.eval()


def attacked(network: Classifier, x: Tensor, y: Tensor) -> Tensor:
    return pgd(lambda z: cross_entropy(network(z), y, reduction="none"), x, radius=0.15, step_size=0.04, steps=5)


def ours(network: Classifier, images: ImageSource, stages: tuple[Stage, ...], queries: int) -> tuple[float, float]:
    """Robust accuracy and seconds."""
    began = time.monotonic()
    settings = AutoAttack(radius=RADIUS, stages=stages, queries=queries)
    *_, found = autoattack(network, images, settings, classes=10, batch_size=len(images), seed=0)
    assert isinstance(found, Finding)
    assert found.value is not None
    return found.value, time.monotonic() - began


def theirs(network: Classifier, images: ImageSource, stages: tuple[Stage, ...], queries: int) -> tuple[float, float]:
    x, y = images.batch(torch.arange(len(images)))
    suite = Reference(network, eps=RADIUS, version="custom", attacks=list(stages), seed=0)
    suite.apgd.n_restarts = suite.apgd_targeted.n_restarts = suite.fab.n_restarts = suite.square.n_restarts = 1
    suite.square.n_queries = queries
    began = time.monotonic()
    found = suite.run_standard_evaluation(x, y, batch_size=len(images))
    seconds = time.monotonic() - began
    adversarial = found[0] if isinstance(found, tuple) else found
    return float((network(adversarial).argmax(dim=1) == y).float().mean()), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--queries", type=int, default=5000)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    arguments = parser.parse_args()
    network, images = trained(), digits.load().test.subset(torch.arange(arguments.images))
    runs: list[tuple[Stage, ...]] = [(stage,) for stage in STANDARD_STAGES]
    rows: dict[str, Any] = {}
    for stages in [*runs, STANDARD_STAGES]:
        mine = ours(network, images, stages, arguments.queries)
        reference = theirs(network, images, stages, arguments.queries)
        name = stages[0] if len(stages) == 1 else "standard"
        rows[name] = {"ours": mine, "reference": reference, "ratio": mine[1] / reference[1]}
    data = {"radius": RADIUS, "images": arguments.images, "queries": arguments.queries, "rows": rows, **stamp()}
    write(arguments.out, "autoattack_time", data, markdown(data))


def markdown(data: dict[str, Any]) -> str:
    lines = [
        "# AutoAttack beside the reference implementation",
        "",
        f"Written by `benchmarks/autoattack_time.py`. Small CNN (width 16), adversarially trained on digits; {data['images']} "
        f"test images in one batch, L-infinity {data['radius']}, {data['queries']} queries, CPU. Robust accuracy in %, seconds, "
        "ratio of times.",
        "",
        "| stages | ours | reference | ours, s | reference, s | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in data["rows"].items():
        (mine, own_seconds), (other, seconds) = row["ours"], row["reference"]
        lines.append(
            f"| {name} | {100 * mine:.1f} | {100 * other:.1f} | {own_seconds:.1f} | {seconds:.1f} | {row['ratio']:.2f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
