"""Small networks of every family, and what training leaves in a network."""

from collections.abc import Callable
from typing import TypeVar

import torch

from core.distillation.models import build
from core.distillation.models.cifar_mobilenet import CifarMobileNetV2
from core.distillation.models.cifar_resnet import CifarResNet
from core.distillation.models.dm_wide_resnet import DmWideResNet
from core.distillation.models.imagenet import ImageNetMobileNetV2, ImageNetResNet
from core.distillation.models.network import Classifier
from core.distillation.models.vision_transformer import VisionTransformer
from core.distillation.models.wide_resnet import WideResNet

FAMILIES: dict[str, Callable[[], Classifier]] = {
    "small_cnn": lambda: build("small_cnn", 10, width=4),
    "cifar_resnet": lambda: CifarResNet(10, depths=(1, 1, 1, 1)),
    "cifar_mobilenet": lambda: CifarMobileNetV2(10),
    "wide_resnet": lambda: WideResNet(10, depth=10, widening=1),
    "dm_wide_resnet": lambda: DmWideResNet(10, depth=10, widening=1),
    "vision_transformer": lambda: VisionTransformer(10, width=16, depth=2, heads=2),
    "imagenet_resnet": lambda: ImageNetResNet(10, depths=(1, 1, 1, 1)),
    "imagenet_mobilenet": lambda: ImageNetMobileNetV2(10),
}

ClassifierT = TypeVar("ClassifierT", bound=Classifier)


def with_statistics(network: ClassifierT) -> ClassifierT:
    """Put a network into eval mode, with other batch norm statistics than a fresh network's."""
    generator = torch.Generator().manual_seed(1)
    for key, tensor in network.state_dict().items():
        if key.endswith("running_mean"):
            tensor.normal_(0, 0.1, generator=generator)
        elif key.endswith("running_var"):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif key.endswith("num_batches_tracked"):
            tensor.fill_(7)
    return network.eval()
