"""The networks: one architecture family a file, with normalization inside the network."""

from collections.abc import Callable
from typing import Any

from core.distillation.models.cifar_mobilenet import CifarMobileNetV2
from core.distillation.models.cifar_resnet import resnet18, resnet34
from core.distillation.models.dm_wide_resnet import dm_wrn_28_10
from core.distillation.models.imagenet import (
    ImageNetMobileNetV2,
    imagenet_resnet18,
    imagenet_resnet34,
)
from core.distillation.models.network import Classifier
from core.distillation.models.small_cnn import SmallCnn
from core.distillation.models.vision_transformer import deit_s, vit_b
from core.distillation.models.wide_resnet import wrn_28_10, wrn_34_10
from core.jobspec import network as network_settings
from core.jobspec.network import ModelDescription, Normalization, assume_normalization

ARCHITECTURES: dict[str, Callable[..., Classifier]] = {
    "small_cnn": SmallCnn,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "mobilenet_v2": CifarMobileNetV2,
    "wrn_28_10": wrn_28_10,
    "wrn_34_10": wrn_34_10,
    "dm_wrn_28_10": dm_wrn_28_10,
    "vit_b": vit_b,
    "deit_s": deit_s,
    "imagenet_resnet18": imagenet_resnet18,
    "imagenet_resnet34": imagenet_resnet34,
    "imagenet_mobilenet_v2": ImageNetMobileNetV2,
}
"""By the name in a spec: what builds the network. Its settings in a spec are keyword arguments."""


def build(architecture: str, classes: int, **settings: Any) -> Classifier:
    """Return a network with fresh weights, drawn from torch's global generator.

    Settings: ``channels`` of the images (3), ``normalization`` (that of published checkpoints for
    this number of classes), ``width`` of small_cnn (16), ``image_size`` (32) and ``patch_size`` (4)
    of vit_b and deit_s.
    Raises ValueError for an unknown architecture, and where normalization or channels do not fit.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ValueError(f"There is no architecture {architecture!r}; known are {known}.")
    settings.setdefault("normalization", _assume_normalization(architecture, classes, settings))
    return ARCHITECTURES[architecture](classes, **settings)


def _assume_normalization(
    architecture: str, classes: int, settings: dict[str, Any]
) -> Normalization:
    model = network_settings.ARCHITECTURES[architecture].settings
    known = {name: value for name, value in settings.items() if name in model.model_fields}
    network: Any = model(**known)
    return assume_normalization(network, classes).name


def from_description(description: ModelDescription) -> Classifier:
    """Return the network that a description names, with fresh weights.

    Raises ValueError as ``build`` does.
    """
    settings = description.network.model_dump(exclude={"architecture"})
    return build(
        description.network.architecture,
        description.classes,
        channels=description.channels,
        **settings,
    )
