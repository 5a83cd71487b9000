"""Which networks there are, what each can be set to, and what is known of them without building them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from core.spec.base import Spec

Normalisation = Literal["none", "cifar10", "cifar100"]


class SmallCnn(Spec):
    """Three convolutions, for images as small as 8x8."""

    architecture: Literal["small_cnn"] = "small_cnn"
    width: int = Field(default=16, ge=1, le=512)
    """Channels of the first convolution; the next two have 2 and 4 times as many."""
    normalisation: Normalisation = "none"


class ResNet18(Spec):
    """The CIFAR form: 3x3 stem, no max-pool."""

    architecture: Literal["resnet18"] = "resnet18"
    normalisation: Normalisation = "none"


class ResNet34(Spec):
    """The CIFAR form: 3x3 stem, no max-pool."""

    architecture: Literal["resnet34"] = "resnet34"
    normalisation: Normalisation = "none"


class MobileNetV2(Spec):
    """The CIFAR form: strides of the first stages are 1."""

    architecture: Literal["mobilenet_v2"] = "mobilenet_v2"
    normalisation: Normalisation = "none"


class Wrn2810(Spec):
    """Wide ResNet 28-10 in TRADES' form."""

    architecture: Literal["wrn_28_10"] = "wrn_28_10"
    normalisation: Normalisation = "none"


class Wrn3410(Spec):
    """Wide ResNet 34-10 in TRADES' form."""

    architecture: Literal["wrn_34_10"] = "wrn_34_10"
    normalisation: Normalisation = "none"


class DmWrn2810(Spec):
    """DeepMind's Wide ResNet 28-10 (Pang2022 and others): SiLU, normalisation inside."""

    architecture: Literal["dm_wrn_28_10"] = "dm_wrn_28_10"
    normalisation: Normalisation = "cifar10"


Network = Annotated[
    SmallCnn | ResNet18 | ResNet34 | MobileNetV2 | Wrn2810 | Wrn3410 | DmWrn2810,
    Field(discriminator="architecture"),
]


@dataclass(frozen=True)
class Facts:
    """What the API tells and checks of an architecture; a test compares it with the built network."""

    settings: type[BaseModel]
    title: str
    channels: tuple[int, ...]
    smallest_side: int
    """Least height and width of an image, in pixels."""
    features: int | None = None
    """Width of the penultimate features; None where a setting decides."""
    backbone_parameters: int | None = None
    """Parameters without the classifier; None where a setting decides."""

    def parameters(self, classes: int) -> int | None:
        if self.backbone_parameters is None or self.features is None:
            return None
        return self.backbone_parameters + (self.features + 1) * classes


ARCHITECTURES: dict[str, Facts] = {
    "small_cnn": Facts(SmallCnn, "Small CNN", (1, 3), 8),
    "resnet18": Facts(ResNet18, "ResNet-18", (3,), 16, 512, 11_168_832),
    "resnet34": Facts(ResNet34, "ResNet-34", (3,), 16, 512, 21_276_992),
    "mobilenet_v2": Facts(MobileNetV2, "MobileNetV2", (3,), 16, 1280, 2_284_112),
    "wrn_28_10": Facts(Wrn2810, "WRN-28-10", (3,), 16, 640, 36_472_784),
    "wrn_34_10": Facts(Wrn3410, "WRN-34-10", (3,), 16, 640, 46_154_064),
    "dm_wrn_28_10": Facts(DmWrn2810, "DMWideResNet-28-10", (3,), 16, 640, 36_472_784),
}


class ModelDescription(Spec):
    """A network together with the images and classes that it is for: enough to build it."""

    network: Network
    classes: int = Field(ge=2, le=100_000)
    channels: int = Field(ge=1, le=3)
    height: int = Field(ge=8, le=512)
    width: int = Field(ge=8, le=512)
