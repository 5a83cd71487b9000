"""A small network, trained adversarially on digits in a few seconds: most of its images stand, and some do not."""

import functools

import torch
from torch.nn.functional import cross_entropy

from core.distillation.adversaries import pgd
from core.distillation.data import digits
from core.distillation.data.images import ImageSource
from core.distillation.models.small_cnn import SmallCnn


@functools.cache
def robust_network() -> SmallCnn:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network, images = SmallCnn(10, width=8, channels=1), digits.load().train
        optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
        for _ in range(10):
            for indices in torch.randperm(len(images)).split(64):
                x, y = images.batch(indices)
                network.eval()
                attacked = pgd(
                    lambda z, y=y: cross_entropy(network(z), y, reduction="none"),
                    x,
                    radius=0.15,
                    step_size=0.04,
                    steps=4,
                )
                network.train()
                optimizer.zero_grad()
                cross_entropy(network(attacked), y).backward()
                optimizer.step()
    return network.eval().requires_grad_(False)


def some_images(count: int = 200) -> ImageSource:
    return digits.load().test.subset(torch.arange(count))
