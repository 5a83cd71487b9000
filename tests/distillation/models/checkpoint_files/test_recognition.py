"""What a checkpoint that does not fit looks like, in one sentence."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from core.distillation.models import ARCHITECTURES, build
from core.distillation.models.checkpoint_files.recognition import explain, recognize
from core.distillation.models.cifar_resnet import CifarResNet
from core.distillation.models.dm_wide_resnet import DmWideResNet
from core.distillation.models.importers import load
from core.distillation.models.vision_transformer import VisionTransformer
from core.distillation.models.wide_resnet import WideResNet
from core.errors import Refused

Shapes = dict[str, tuple[int, ...]]
Save = Callable[..., Path]


def shapes(make: Callable[[], nn.Module]) -> Shapes:
    """The shapes of a network's weights, which are not allocated."""
    with torch.device("meta"):
        return {key: tuple(tensor.shape) for key, tensor in make().state_dict().items()}


def described(weights: Shapes) -> tuple[str, str | None]:
    recognized = recognize(weights)
    assert recognized is not None
    return recognized.describe(), recognized.architecture


TITLES = {
    "small_cnn": "small_cnn of width 16",
    "resnet18": "ResNet-18 (CIFAR)",
    "resnet34": "ResNet-34 (CIFAR)",
    "mobilenet_v2": "MobileNetV2 (CIFAR)",
    "wrn_28_10": "WRN-28-10",
    "wrn_34_10": "WRN-34-10",
    "dm_wrn_28_10": "DMWideResNet-28-10",
    "vit_b": "ViT-B (DeiT-B)",
    "deit_s": "DeiT-S (ViT-S)",
    "imagenet_resnet18": "ResNet-18 (torchvision)",
    "imagenet_resnet34": "ResNet-34 (torchvision)",
    "imagenet_mobilenet_v2": "MobileNetV2 (torchvision)",
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_is_recognized(name: str) -> None:
    weights = shapes(lambda: build(name, 7))
    assert described(weights) == (f"{TITLES[name]} for 7 classes", name)
    wrapped = {f"module.encoder.{key}": shape for key, shape in weights.items()}
    assert described({"normalize.mean": (3,), **wrapped})[1] == name


UNSUPPORTED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "resnet50": (torchvision.models.resnet50, "ResNet-50 (torchvision) for 1000 classes"),
    "resnet101": (torchvision.models.resnet101, "ResNet-101 (torchvision) for 1000 classes"),
    "resnet152": (torchvision.models.resnet152, "ResNet-152 (torchvision) for 1000 classes"),
    "resnext": (torchvision.models.resnext50_32x4d, "ResNeXt-50 (torchvision) for 1000 classes"),
    "wide": (torchvision.models.wide_resnet50_2, "Wide ResNet-50 (torchvision) for 1000 classes"),
    "vgg16": (torchvision.models.vgg16_bn, "VGG-16 for 1000 classes"),
    "vgg19": (torchvision.models.vgg19, "VGG-19 for 1000 classes"),
    "alexnet": (torchvision.models.alexnet, "AlexNet for 1000 classes"),
    "densenet": (torchvision.models.densenet121, "DenseNet (torchvision)"),
    "efficientnet": (torchvision.models.efficientnet_b0, "EfficientNet (torchvision)"),
    "convnext": (torchvision.models.convnext_tiny, "ConvNeXt (torchvision)"),
    "mobilenet_v3": (torchvision.models.mobilenet_v3_small, "MobileNetV3 (torchvision)"),
    "shufflenet": (torchvision.models.shufflenet_v2_x0_5, "ShuffleNet (torchvision)"),
    "squeezenet": (torchvision.models.squeezenet1_0, "SqueezeNet (torchvision)"),
    "vit": (torchvision.models.vit_b_32, "ViT (torchvision)"),
    "swin": (torchvision.models.swin_t, "Swin transformer (torchvision)"),
    "timm's swin": (
        lambda: timm.create_model("swin_tiny_patch4_window7_224"),
        "Swin transformer",
    ),
    "timm's convnext": (lambda: timm.create_model("convnext_tiny"), "ConvNeXt (timm)"),
    "timm's efficientnet": (lambda: timm.create_model("efficientnet_b0"), "EfficientNet (timm)"),
    "xcit": (lambda: timm.create_model("xcit_small_12_p16_224"), "XCiT (timm)"),
    "vit_tiny": (
        lambda: timm.create_model("vit_tiny_patch16_224"),
        "ViT-Ti (DeiT-Ti) for 1000 classes",
    ),
    "vit_large": (
        lambda: timm.create_model("vit_large_patch16_224"),
        "ViT-L for 1000 classes",
    ),
    "WRN-34-20": (lambda: WideResNet(10, depth=34, widening=20), "WRN-34-20 for 10 classes"),
    "WRN-28-5": (lambda: WideResNet(10, depth=28, widening=5), "WRN-28-5 for 10 classes"),
    "DM WRN-70-16": (
        lambda: DmWideResNet(10, depth=70, widening=16),
        "DMWideResNet-70-16 for 10 classes",
    ),
    "ResNet of few blocks": (
        lambda: CifarResNet(10, depths=(1, 1, 2, 1)),
        "ResNet with 1, 1, 2, 1 blocks (CIFAR) for 10 classes",
    ),
    "small ViT": (
        lambda: VisionTransformer(10, width=16, depth=2, heads=2),
        "ViT of width 16 with 2 blocks for 10 classes",
    ),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_other_families_are_recognized(name: str) -> None:
    make, title = UNSUPPORTED[name]
    assert described(shapes(make)) == (title, None)


@pytest.mark.parametrize(
    ("key", "title"),
    [
        ("conv_2d.weight", "PreAct ResNet of DeepMind"),
        ("vit.embeddings.cls_token", "ViT (transformers)"),
        ("downsample_layers.0.0.weight", "ConvNeXt"),
        ("dense1.0.conv1.weight", "DenseNet"),
        ("inception3a.branch1.conv.weight", "GoogLeNet (torchvision)"),
        ("Conv2d_1a_3x3.conv.weight", "Inception (torchvision)"),
        ("trunk_output.block1.block1-0.proj.0.weight", "RegNet (torchvision)"),
    ],
)
def test_families_with_a_key_of_their_own(key: str, title: str) -> None:
    assert described({"a.bias": (3,), key: (3, 3)}) == (title, None)


def block(prefix: str, inputs: int, outputs: int) -> Shapes:
    return {
        f"{prefix}bn1.weight": (inputs,),
        f"{prefix}conv1.weight": (outputs, inputs, 3, 3),
        f"{prefix}bn2.weight": (outputs,),
        f"{prefix}conv2.weight": (outputs, outputs, 3, 3),
    }


def stages(counts: tuple[int, ...], width: int) -> Shapes:
    weights: Shapes = {"conv1.weight": (width, 3, 3, 3), "linear.weight": (10, width)}
    for stage, count in enumerate(counts, 1):
        for index in range(count):
            weights |= block(f"layer{stage}.{index}.", width, width)
    return weights


BY_HAND: dict[str, tuple[Shapes, str]] = {
    "PreAct ResNet-18": (stages((2, 2, 2, 2), 64), "PreAct ResNet-18 for 10 classes"),
    "PreAct with a last norm": (
        {**stages((3, 4, 6, 3), 64), "bn.weight": (512,)},
        "PreAct ResNet-34 for 10 classes",
    ),
    "narrow": (
        {**stages((2, 2, 2, 2), 32), "bn1.weight": (32,)},
        "ResNet-18 of width 32 (CIFAR) for 10 classes",
    ),
    "ResNet-20": (
        {**stages((3, 3, 3), 16), "bn1.weight": (16,)},
        "ResNet-20 of three stages for 10 classes",
    ),
    "ResNet-56": (
        {**stages((9, 9, 9), 16), "bn1.weight": (16,)},
        "ResNet-56 of three stages for 10 classes",
    ),
    "WRN of other keys": (
        {**stages((4, 4, 4), 16), "bn1.weight": (640,)},
        "WRN-28-10 with keys layer1 to layer3 for 10 classes",
    ),
    "torchvision's with a small stem": (
        {
            **{k: v for k, v in stages((2, 2, 2, 2), 64).items() if k != "linear.weight"},
            "bn1.weight": (64,),
            "fc.weight": (100, 512),
        },
        "ResNet-18 (torchvision, 3x3 stem) for 100 classes",
    ),
    "CIFAR's with a large stem": (
        {**stages((2, 2, 2, 2), 64), "bn1.weight": (64,), "conv1.weight": (64, 1, 7, 7)},
        "ResNet-18 (CIFAR, 7x7 stem) for 10 classes, images of 1 channel(s)",
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_resnets_are_told_apart_by_their_layers(name: str) -> None:
    weights, title = BY_HAND[name]
    assert described(weights) == (title, None)


@pytest.mark.parametrize("weights", [{}, {"a.weight": (3,)}, {"conv1.weight": (4, 3, 3, 3)}])
def test_unknown_weights_are_not_recognized(weights: Shapes) -> None:
    assert recognize(weights) is None
    assert explain(weights, shapes(lambda: build("resnet18", 10))) == ""


def message(network: nn.Module, weights: Mapping[str, Any], save: Save) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        load(network, save({"state_dict": weights}))  # type: ignore[arg-type]
    return caught.value.code, caught.value.message


def state(name: str, classes: int = 10, **settings: Any) -> dict[str, Tensor]:
    return build(name, classes, **settings).state_dict()


def test_another_depth_is_one_sentence(save: Save) -> None:
    assert message(build("resnet18", 10), state("resnet34", 100), save) == (
        "unexpected_keys",
        "The file looks like ResNet-34 (CIFAR) for 100 classes, not like ResNet-18 (CIFAR) for 10 "
        "classes: import it with architecture resnet34, classes 100.",
    )


def test_another_family_is_one_sentence(save: Save) -> None:
    assert message(build("small_cnn", 10, width=4), state("mobilenet_v2"), save) == (
        "missing_keys",
        "The file looks like MobileNetV2 (CIFAR) for 10 classes, not like small_cnn of width 4 for "
        "10 classes: import it with architecture mobilenet_v2.",
    )


def test_an_unsupported_family_is_said_to_be(save: Save) -> None:
    weights = {key: torch.zeros(shape) for key, shape in stages((2, 2, 2, 2), 64).items()}
    assert message(build("resnet18", 10), weights, save) == (
        "missing_keys",
        "The file looks like PreAct ResNet-18 for 10 classes, not like ResNet-18 (CIFAR) for 10 "
        "classes: PreAct ResNet is not supported.",
    )


def test_other_width_classes_and_channels_are_named(save: Save) -> None:
    weights = state("small_cnn", 100, width=8, channels=1)
    assert message(build("small_cnn", 10, width=4), weights, save) == (
        "misshaped_keys",
        "The file looks like small_cnn of width 8 for 100 classes, images of 1 channel(s), not "
        "like small_cnn of width 4 for 10 classes: import it with width 8, classes 100, channels 1."
        " For example, conv1.weight (8x1x3x3 in the file, 4x3x3x3 needed).",
    )


def test_another_number_of_classes_alone_is_named(save: Save) -> None:
    assert message(build("small_cnn", 10, width=4), state("small_cnn", 100, width=4), save) == (
        "misshaped_keys",
        "The file looks like small_cnn of width 4 for 100 classes, not like small_cnn of width 4 "
        "for 10 classes: import it with classes 100. "
        "For example, linear.weight (100x16 in the file, 10x16 needed).",
    )


def test_a_recognized_network_without_a_key_lacks_it(save: Save) -> None:
    weights = state("small_cnn", width=4)
    del weights["bn3.bias"]
    assert message(build("small_cnn", 10, width=4), weights, save) == (
        "missing_keys",
        "The file lacks bn3.bias.",
    )


def test_a_projection_beside_a_classifier_is_not_it(save: Save) -> None:
    weights = {**state("small_cnn", width=4), "head.weight": torch.rand(7, 16)}
    assert message(build("small_cnn", 10, width=4), weights, save)[1] == (
        "The network has no place for head.weight."
    )
