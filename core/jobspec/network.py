"""Which networks there are, what each can be set to, and what is known of them without building them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from core.jobspec.base import Spec

Normalization = Literal["none", "cifar10", "cifar100", "imagenet", "inception"]

MOST_PATCHES = 1024
"""Attention compares every patch with every other: 1,024 of them make 250 times as many pairs as 64 do."""


class SmallCnn(Spec):
    """Three convolutions, for images as small as 8x8."""

    architecture: Literal["small_cnn"] = "small_cnn"
    width: int = Field(default=16, ge=1, le=512)
    """Channels of the first convolution; the next two have 2 and 4 times as many."""
    normalization: Normalization = "none"
    """Of the images, inside the network: by the mean and deviation of these."""


class ResNet18(Spec):
    """The CIFAR form: 3x3 stem, no max-pool."""

    architecture: Literal["resnet18"] = "resnet18"
    normalization: Normalization = "none"
    """Of the images, inside the network: by the mean and deviation of these."""


class ResNet34(Spec):
    """The CIFAR form: 3x3 stem, no max-pool."""

    architecture: Literal["resnet34"] = "resnet34"
    normalization: Normalization = "none"
    """Of the images, inside the network: by the mean and deviation of these."""


class MobileNetV2(Spec):
    """The CIFAR form: strides of the first stages are 1."""

    architecture: Literal["mobilenet_v2"] = "mobilenet_v2"
    normalization: Normalization = "none"
    """Of the images, inside the network: by the mean and deviation of these."""


class Wrn2810(Spec):
    """Wide ResNet 28-10 in TRADES' form."""

    architecture: Literal["wrn_28_10"] = "wrn_28_10"
    normalization: Normalization = "none"
    """Of the images, inside the network: by the mean and deviation of these."""


class Wrn3410(Spec):
    """Wide ResNet 34-10 in TRADES' form."""

    architecture: Literal["wrn_34_10"] = "wrn_34_10"
    normalization: Normalization = "none"
    """Of the images, inside the network: by the mean and deviation of these."""


class DmWrn2810(Spec):
    """DeepMind's Wide ResNet 28-10 (Pang2022 and others): SiLU, normalization inside."""

    architecture: Literal["dm_wrn_28_10"] = "dm_wrn_28_10"
    normalization: Normalization = "cifar10"
    """Of the images, inside the network: by the mean and deviation of these. Published files do not hold them."""


class _Transformer(Spec):
    """What the vision transformers are set to: they take images of one size only."""

    image_size: int = Field(default=32, ge=8, le=512)
    """Height and width of the images, in pixels; a multiple of patch_size."""
    patch_size: int = Field(default=4, ge=2, le=32)
    """Height and width of a patch, in pixels."""
    normalization: Normalization = "cifar10"
    """Published robust transformers for images of 32x32 normalize so. Those of timm for ImageNet want "imagenet" (DeiT)
    or "inception" (ViT, AugReg)."""

    @model_validator(mode="after")
    def _whole_patches(self) -> "_Transformer":
        if self.image_size % self.patch_size:
            raise ValueError(
                f"image_size {self.image_size} is no multiple of patch_size {self.patch_size}"
            )
        if self.patches > MOST_PATCHES:
            sizes = f"image_size {self.image_size} and patch_size {self.patch_size}"
            raise ValueError(
                f"{sizes} make {self.patches} patches, more than {MOST_PATCHES}: take larger patches"
            )
        return self

    @property
    def patches(self) -> int:
        return (self.image_size // self.patch_size) ** 2


class VitB(_Transformer):
    """ViT-Base as timm builds it: 12 blocks, 768 wide, 12 heads."""

    architecture: Literal["vit_b"] = "vit_b"


class DeitS(_Transformer):
    """DeiT-Small as timm builds it, without the distillation token: 12 blocks, 384 wide, 6 heads."""

    architecture: Literal["deit_s"] = "deit_s"


class _ImageNet(Spec):
    """torchvision's own networks."""

    normalization: Normalization = "imagenet"
    """torchvision's checkpoints were trained with it."""


class ImageNetResNet18(_ImageNet):
    """torchvision's own, made for 224x224: 7x7 stem of stride 2, max-pool."""

    architecture: Literal["imagenet_resnet18"] = "imagenet_resnet18"


class ImageNetResNet34(_ImageNet):
    """torchvision's own, made for 224x224: 7x7 stem of stride 2, max-pool."""

    architecture: Literal["imagenet_resnet34"] = "imagenet_resnet34"


class ImageNetMobileNetV2(_ImageNet):
    """torchvision's own, made for 224x224: strides of the first stages are 2."""

    architecture: Literal["imagenet_mobilenet_v2"] = "imagenet_mobilenet_v2"


Network = Annotated[
    SmallCnn
    | ResNet18
    | ResNet34
    | MobileNetV2
    | Wrn2810
    | Wrn3410
    | DmWrn2810
    | VitB
    | DeitS
    | ImageNetResNet18
    | ImageNetResNet34
    | ImageNetMobileNetV2,
    Field(discriminator="architecture"),
]


def feature_width(network: "Network") -> int:
    """Of the penultimate features."""
    return (
        4 * network.width
        if isinstance(network, SmallCnn)
        else ARCHITECTURES[network.architecture].features or 0
    )


def exact_side(network: BaseModel) -> int | None:
    """The only height and width that a network takes, in pixels; None where it takes any from the smallest on."""
    return network.image_size if isinstance(network, _Transformer) else None


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
    backbone_parameters: int | Callable[[Any], int] | None = None
    """Parameters without the classifier, of these settings if it is a function; None where it is not known."""

    def parameters(self, classes: int, network: BaseModel | None = None) -> int | None:
        """Of a network with these settings; with the default settings where none are given."""
        if self.backbone_parameters is None or self.features is None:
            return None
        backbone = self.backbone_parameters
        if callable(backbone):
            backbone = backbone(network or self.settings())
        return backbone + (self.features + 1) * classes


def _transformer_parameters(width: int) -> Callable[[_Transformer], int]:
    """Of 12 blocks, each 12 width^2 + 13 width, of the last norm, and of what the settings decide: the patches' embedding."""

    def count(network: _Transformer) -> int:
        of_a_patch = 3 * network.patch_size**2
        return (
            12 * (12 * width + 13) * width + (2 + of_a_patch + 1 + 1 + network.patches + 1) * width
        )

    return count


ARCHITECTURES: dict[str, Facts] = {
    "small_cnn": Facts(SmallCnn, "Small CNN", (1, 3), 8),
    "resnet18": Facts(ResNet18, "ResNet-18", (3,), 16, 512, 11_168_832),
    "resnet34": Facts(ResNet34, "ResNet-34", (3,), 16, 512, 21_276_992),
    "mobilenet_v2": Facts(MobileNetV2, "MobileNetV2", (3,), 16, 1280, 2_284_112),
    "wrn_28_10": Facts(Wrn2810, "WRN-28-10", (3,), 16, 640, 36_472_784),
    "wrn_34_10": Facts(Wrn3410, "WRN-34-10", (3,), 16, 640, 46_154_064),
    "dm_wrn_28_10": Facts(DmWrn2810, "DMWideResNet-28-10", (3,), 16, 640, 36_472_784),
    "vit_b": Facts(VitB, "ViT-B", (3,), 8, 768, _transformer_parameters(768)),
    "deit_s": Facts(DeitS, "DeiT-S", (3,), 8, 384, _transformer_parameters(384)),
    "imagenet_resnet18": Facts(ImageNetResNet18, "ResNet-18 (ImageNet)", (3,), 32, 512, 11_176_512),
    "imagenet_resnet34": Facts(ImageNetResNet34, "ResNet-34 (ImageNet)", (3,), 32, 512, 21_284_672),
    "imagenet_mobilenet_v2": Facts(
        ImageNetMobileNetV2, "MobileNetV2 (ImageNet)", (3,), 32, 1280, 2_223_872
    ),
}


class ModelDescription(Spec):
    """A network together with the images and classes that it is for: enough to build it."""

    network: Network
    classes: int = Field(ge=2, le=100_000)
    channels: int = Field(ge=1, le=3)
    height: int = Field(ge=8, le=512)
    width: int = Field(ge=8, le=512)
