"""Networks, images and targets for tests of the evaluation."""

import functools
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from core.distillation.adversaries import pgd
from core.distillation.data import digits
from core.distillation.data.images import ImageSource
from core.distillation.evaluation import EvaluationTarget
from core.distillation.models.network import Classifier
from core.distillation.models.small_cnn import SmallCnn


class PixelClassifier(Classifier):
    """A classifier of images [B, D, 1, 1]: its features are the D values of the one pixel."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__(channels=channels, normalization="none")

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        return normalized_BCHW


class FlatClassifier(Classifier):
    """A classifier of gray images [B, 1, H, W]: its features are all pixels, in row-major order."""

    def __init__(self) -> None:
        super().__init__(channels=1, normalization="none")

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        return normalized_BCHW.flatten(1)[:, :, None, None]


def robust_network() -> SmallCnn:
    """A small CNN, adversarially trained on digits: most of its images are robust, and some not.

    All tests of a process share it. It is in eval mode, even if another test has left it in train
    mode.

    It is trained in double precision: in single precision each kind of processor rounds its way to
    another network, and which images are close calls would depend on the machine.
    """
    return _train_robust_network().eval()


@functools.cache
def _train_robust_network() -> SmallCnn:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        network = SmallCnn(10, width=8, channels=1).double()
        images = digits.load().train
        optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
        for _ in range(10):
            for indices in torch.split(torch.randperm(len(images)), 64):
                images_BCHW, labels_B = images.batch(indices)
                network.eval()
                adversarial_BCHW = adversarial_digits(network, images_BCHW.double(), labels_B)
                network.train()
                optimizer.zero_grad()
                loss = cross_entropy(network(adversarial_BCHW), labels_B)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    return network.float().requires_grad_(False)


def adversarial_digits(network: Classifier, images_BCHW: Tensor, labels_B: Tensor) -> Tensor:
    return pgd(
        lambda candidates: cross_entropy(network(candidates), labels_B, reduction="none"),
        images_BCHW,
        radius=0.15,
        step_size=0.04,
        steps=4,
    )


def digit_images(count: int = 200) -> ImageSource:
    return digits.load().test.subset(torch.arange(count))


def target(network: Classifier, images: ImageSource, **changes: Any) -> EvaluationTarget:
    """An evaluation target with ten classes, in one batch of at most a hundred images."""
    settings = {"reference": None, "classes": 10, "batch_size": 100, "seed": 0, "radius": 0.1}
    return EvaluationTarget(network=network, images=images, **(settings | changes))
