"""The architectures: their settings, and what is known of them without building them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints, model_validator

from core.jobspec.base import Spec

Normalization = Literal[
    "none", "cifar10", "cifar10_robustness", "cifar100", "imagenet", "inception"
]

CIFAR_CLASSES: dict[int, Normalization] = {10: "cifar10", 100: "cifar100"}
"""By the number of classes, which data set of CIFAR's a network of 32x32 images was trained on."""
CIFAR_SIDE = 32
StateDictName = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")
]

MAX_PATCHES = 1024
"""Attention compares every patch with every other: its cost grows with the square of this."""


class SmallCnn(Spec):
    """Three convolutions, for images as small as 8x8."""

    architecture: Literal["small_cnn"] = "small_cnn"
    width: int = Field(default=16, ge=1, le=512)
    """Channels of the first convolution. The next two have 2 and 4 times as many."""
    normalization: Normalization = "none"
    """Data set by whose mean and standard deviation the network normalizes its input."""


class ResNet18(Spec):
    """ResNet-18 for CIFAR: 3x3 stem, no max-pool."""

    architecture: Literal["resnet18"] = "resnet18"
    normalization: Normalization = "none"
    """Data set by whose mean and standard deviation the network normalizes its input."""


class ResNet34(Spec):
    """ResNet-34 for CIFAR: 3x3 stem, no max-pool."""

    architecture: Literal["resnet34"] = "resnet34"
    normalization: Normalization = "none"
    """Data set by whose mean and standard deviation the network normalizes its input."""


class MobileNetV2(Spec):
    """MobileNetV2 for CIFAR: the first stages have stride 1."""

    architecture: Literal["mobilenet_v2"] = "mobilenet_v2"
    normalization: Normalization = "none"
    """Data set by whose mean and standard deviation the network normalizes its input."""


class Wrn2810(Spec):
    """Wide ResNet 28-10 as in the TRADES code."""

    architecture: Literal["wrn_28_10"] = "wrn_28_10"
    normalization: Normalization = "none"
    """Data set by whose mean and standard deviation the network normalizes its input."""


class Wrn3410(Spec):
    """Wide ResNet 34-10 as in the TRADES code."""

    architecture: Literal["wrn_34_10"] = "wrn_34_10"
    normalization: Normalization = "none"
    """Data set by whose mean and standard deviation the network normalizes its input."""


class DmWrn2810(Spec):
    """DeepMind's Wide ResNet 28-10 (Pang2022 and others), with SiLU."""

    architecture: Literal["dm_wrn_28_10"] = "dm_wrn_28_10"
    normalization: Normalization = "cifar10"
    """Data set by whose mean and standard deviation the network normalizes its input. Published
    files do not contain them: an uploaded one with 100 classes gets cifar100's by default."""


class _Transformer(Spec):
    """Settings of the vision transformers, which take images of one size only."""

    image_size: int = Field(default=32, ge=8, le=512)
    """Height and width of the images, in pixels: a multiple of patch_size."""
    patch_size: int = Field(default=4, ge=2, le=32)
    """Height and width of a patch, in pixels."""
    normalization: Normalization = "cifar10"
    """Data set by whose mean and standard deviation the network normalizes its input. The default
    is that of published robust transformers for 32x32 images; timm's for ImageNet need "imagenet"
    (DeiT) or "inception" (ViT, AugReg)."""

    @model_validator(mode="after")
    def _check_patches(self) -> "_Transformer":
        if self.image_size % self.patch_size:
            raise ValueError(
                f"image_size {self.image_size} is not a multiple of patch_size {self.patch_size}"
            )
        if self.patches > MAX_PATCHES:
            raise ValueError(
                f"image_size {self.image_size} and patch_size {self.patch_size} make "
                f"{self.patches} patches, more than {MAX_PATCHES}; use larger patches"
            )
        return self

    @property
    def patches(self) -> int:
        """Number of patches of an image."""
        return (self.image_size // self.patch_size) ** 2


class VitB(_Transformer):
    """ViT-Base as in timm: 12 blocks, width 768, 12 heads."""

    architecture: Literal["vit_b"] = "vit_b"


class DeitS(_Transformer):
    """DeiT-Small as in timm, without the distillation token: 12 blocks, width 384, 6 heads."""

    architecture: Literal["deit_s"] = "deit_s"


class _ImageNet(Spec):
    """Settings of torchvision's own networks."""

    normalization: Normalization = "imagenet"
    """Data set by whose mean and standard deviation the network normalizes its input. The default
    is that of torchvision's checkpoints."""


class ImageNetResNet18(_ImageNet):
    """torchvision's ResNet-18, for 224x224: 7x7 stem of stride 2, max-pool."""

    architecture: Literal["imagenet_resnet18"] = "imagenet_resnet18"


class ImageNetResNet34(_ImageNet):
    """torchvision's ResNet-34, for 224x224: 7x7 stem of stride 2, max-pool."""

    architecture: Literal["imagenet_resnet34"] = "imagenet_resnet34"


class ImageNetMobileNetV2(_ImageNet):
    """torchvision's MobileNetV2, for 224x224: the first stages have stride 2."""

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
    """Return the number of penultimate features."""
    if isinstance(network, SmallCnn):
        return 4 * network.width
    return ARCHITECTURES[network.architecture].fixed_feature_width or 0


def required_image_size(network: BaseModel) -> int | None:
    """Return the only height and width that a network takes, in pixels; None if several."""
    return network.image_size if isinstance(network, _Transformer) else None


@dataclass(frozen=True)
class Architecture:
    """What is known of an architecture without torch. A test compares it with the built network."""

    settings: type[BaseModel]
    title: str
    channels: tuple[int, ...]
    """Numbers of image channels that it takes."""
    min_side: int
    """Least height and width of an image, in pixels."""
    fixed_feature_width: int | None = None
    """Number of penultimate features; None where a setting decides."""
    backbone_parameters: int | Callable[[Any], int] | None = None
    """Parameters without the classifier, or a function of the settings; None if unknown."""

    def count_parameters(self, classes: int, network: BaseModel | None = None) -> int | None:
        """Return the number of parameters with these settings, by default the default ones."""
        if self.backbone_parameters is None or self.fixed_feature_width is None:
            return None
        backbone = self.backbone_parameters
        if callable(backbone):
            backbone = backbone(network or self.settings())
        return backbone + (self.fixed_feature_width + 1) * classes


def _transformer_parameters(width: int) -> Callable[[_Transformer], int]:
    """Return a function that counts the parameters of a transformer with 12 blocks."""
    block = 12 * width**2 + 13 * width
    last_norm = 2 * width

    def count(network: _Transformer) -> int:
        patch_embedding = (3 * network.patch_size**2 + 1) * width
        class_token_and_positions = (1 + network.patches + 1) * width
        return 12 * block + last_norm + patch_embedding + class_token_and_positions

    return count


ARCHITECTURES: dict[str, Architecture] = {
    "small_cnn": Architecture(SmallCnn, "Small CNN", (1, 3), 8),
    "resnet18": Architecture(ResNet18, "ResNet-18", (3,), 16, 512, 11_168_832),
    "resnet34": Architecture(ResNet34, "ResNet-34", (3,), 16, 512, 21_276_992),
    "mobilenet_v2": Architecture(MobileNetV2, "MobileNetV2", (3,), 16, 1280, 2_284_112),
    "wrn_28_10": Architecture(Wrn2810, "WRN-28-10", (3,), 16, 640, 36_472_784),
    "wrn_34_10": Architecture(Wrn3410, "WRN-34-10", (3,), 16, 640, 46_154_064),
    "dm_wrn_28_10": Architecture(DmWrn2810, "DMWideResNet-28-10", (3,), 16, 640, 36_472_784),
    "vit_b": Architecture(VitB, "ViT-B", (3,), 8, 768, _transformer_parameters(768)),
    "deit_s": Architecture(DeitS, "DeiT-S", (3,), 8, 384, _transformer_parameters(384)),
    "imagenet_resnet18": Architecture(
        ImageNetResNet18, "ResNet-18 (ImageNet)", (3,), 32, 512, 11_176_512
    ),
    "imagenet_resnet34": Architecture(
        ImageNetResNet34, "ResNet-34 (ImageNet)", (3,), 32, 512, 21_284_672
    ),
    "imagenet_mobilenet_v2": Architecture(
        ImageNetMobileNetV2, "MobileNetV2 (ImageNet)", (3,), 32, 1280, 2_223_872
    ),
}


class ModelDescription(Spec):
    """A network, its classes and the shape of its images: enough to build it."""

    network: Network
    classes: int = Field(ge=2, le=100_000)
    channels: int = Field(ge=1, le=3)
    height: int = Field(ge=8, le=512)
    width: int = Field(ge=8, le=512)


class CheckpointOptions(Spec):
    """How an uploaded checkpoint is read."""

    state_dict: StateDictName | None = None
    """Which of several state dicts in the file to load, by its key, such as state_dict_ema or
    model.best. None: one that fits the network, raw weights before averages of them."""
    normalization_assumed: bool = False
    """Whether the network's normalization is nobody's choice. Then a mean and standard deviation in
    the file take precedence."""


@dataclass(frozen=True)
class AssumedNormalization:
    """The normalization of a published network that nobody has named."""

    name: Normalization
    reason: str
    """The end of a sentence: why this one."""
    is_guess: bool
    """Whether published networks of this kind have others, too."""


def assume_normalization(network: "Network", classes: int) -> AssumedNormalization:
    """Return what to assume of a published checkpoint of this architecture.

    Families whose checkpoints are normalized as CIFAR is have either data set's constants, and the
    files have none: the number of classes tells which.
    """
    default: Normalization = type(network).model_fields["normalization"].default
    side = required_image_size(network) or CIFAR_SIDE
    if default == "cifar10" and side == CIFAR_SIDE and classes in CIFAR_CLASSES:
        name = CIFAR_CLASSES[classes]
        return AssumedNormalization(name, f"the network has {classes} classes", is_guess=False)
    reason = f"it is the default of {network.architecture}"
    return AssumedNormalization(default, reason, is_guess=default == "cifar10")
