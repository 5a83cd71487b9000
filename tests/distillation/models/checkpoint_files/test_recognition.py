"""What a checkpoint that does not fit looks like, in one sentence."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, spectral_norm

from core.distillation.models import ARCHITECTURES, build
from core.distillation.models.checkpoint_files.recognition import explain, recognize
from core.distillation.models.cifar_resnet import CifarResNet
from core.distillation.models.dm_wide_resnet import DmWideResNet
from core.distillation.models.importers import load
from core.distillation.models.small_cnn import SmallCnn
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


INDEXED = {
    "small_cnn": "conv1.weight",
    "resnet18": "bn1.weight",
    "wrn_28_10": "block1.layer.0.conv1.weight",
    "dm_wrn_28_10": "layer.0.block.0.conv_0.weight",
    "deit_s": "patch_embed.proj.weight",
}


@pytest.mark.parametrize("shape", [(), (3,), (0, 3, 3, 3)])
@pytest.mark.parametrize("name", INDEXED)
def test_weights_of_few_dimensions_do_not_disturb(name: str, shape: tuple[int, ...]) -> None:
    weights = shapes(lambda: build(name, 10)) | {INDEXED[name]: shape}
    assert explain(weights, shapes(lambda: build(name, 10))) == ""
    recognize({INDEXED[name]: shape})


def test_a_single_number_is_a_wrong_shape(save: Save) -> None:
    weights = {**state("small_cnn", width=4), "conv1.weight": torch.tensor(1.0)}
    assert message(build("small_cnn", 10, width=4), weights, save) == (
        "misshaped_keys",
        "These weights have other shapes than the network's: conv1.weight (a single number in the "
        "file, 4x3x3x3 needed).",
    )


def test_transposed_weights_have_no_number_of_classes(save: Save) -> None:
    weights = state("small_cnn", width=4)
    weights["linear.weight"] = weights["linear.weight"].t().contiguous()
    assert message(build("small_cnn", 10, width=4), weights, save)[1] == (
        "These weights have other shapes than the network's: linear.weight (16x10 in the file, "
        "10x16 needed)."
    )
    weights = state("small_cnn", width=4)
    weights["conv1.weight"] = weights["conv1.weight"].transpose(0, 1).contiguous()
    assert message(build("small_cnn", 10, width=4), weights, save)[1].startswith(
        "These weights have other shapes than the network's: conv1.weight (3x4x3x3 in the file"
    )


def test_classes_without_bias_are_told_by_the_features() -> None:
    weights = shapes(lambda: build("resnet18", 7))
    del weights["linear.bias"]
    assert described(weights)[0] == "ResNet-18 (CIFAR) for 7 classes"
    assert described({**weights, "linear.weight": (512, 7)})[0] == "ResNet-18 (CIFAR)"


@pytest.mark.parametrize(
    ("settings", "title"),
    [
        ({"classes": 1}, "small_cnn of width 4 for 1 classes"),
        ({"channels": 4}, "small_cnn of width 4 for 10 classes, images of 4 channel(s)"),
        ({"channels": 2}, "small_cnn of width 4 for 10 classes, images of 2 channel(s)"),
        ({"width": 513}, "small_cnn of width 513 for 10 classes"),
    ],
)
def test_advice_that_would_be_refused_is_left_out(settings: dict[str, int], title: str) -> None:
    normal = {"classes": 10, "channels": 3, "width": 4}
    classes, channels, width = (normal | settings).values()
    file = shapes(lambda: small_cnn(classes, channels, width))
    network = shapes(lambda: build("small_cnn", 10, width=4))
    assert explain(file, network) == (
        f"The file looks like {title}, not like small_cnn of width 4 for 10 classes."
    )


def small_cnn(classes: int, channels: int, width: int) -> nn.Module:
    return SmallCnn(classes, channels=channels, width=width)


def test_advice_on_channels_a_family_lacks_is_left_out() -> None:
    network = shapes(lambda: build("resnet18", 10))
    gray = network | {"conv1.weight": (64, 1, 3, 3)}
    assert explain(gray, network) == (
        "The file looks like ResNet-18 (CIFAR) for 10 classes, images of 1 channel(s), not like "
        "ResNet-18 (CIFAR) for 10 classes."
    )


def test_preact_is_told_by_the_norms_before_convolutions() -> None:
    """The last norm is called bn1, like the first of a ResNet."""
    weights = stages((2, 2, 2, 2), 64) | block("layer2.0.", 64, 128) | {"bn1.weight": (512,)}
    assert described(weights)[0] == "PreAct ResNet-18 for 10 classes"
    weights |= {"layer2.0.bn1.weight": (128,), "linear.weight": (10, 512)}
    assert described(weights)[0] == "ResNet-18 (CIFAR) for 10 classes"


def renamed(weights: Mapping[str, Any], names: dict[str, str]) -> dict[str, Any]:
    for old, new in names.items():
        weights = {key.replace(old, new): value for key, value in weights.items()}
    return dict(weights)


@pytest.mark.parametrize(
    ("name", "names", "pairs"),
    [
        (
            "resnet18",
            {"shortcut": "downsample"},
            "'downsample' where the network has 'shortcut'",
        ),
        (
            "resnet18",
            {"linear": "fc", "shortcut": "downsample"},
            "'downsample' where the network has 'shortcut', 'fc' where the network has 'linear'",
        ),
        ("small_cnn", {"linear": "head"}, "'head' where the network has 'linear'"),
        (
            "small_cnn",
            {"running_": ""},
            "'mean' where the network has 'running_mean', 'var' where the network has "
            "'running_var'",
        ),
    ],
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_layers_of_other_names_are_said_to_be(
    prefix: str, name: str, names: dict[str, str], pairs: str, save: Save
) -> None:
    weights = {prefix + key: value for key, value in renamed(state(name), names).items()}
    assert message(build(name, 10), weights, save) == (
        "missing_keys",
        f"The file's keys have {pairs}: rename them and save the state dict again.",
    )


def test_other_names_are_no_matter_where_shapes_differ(save: Save) -> None:
    """It is the recognized network that does not fit."""
    weights = renamed(state("resnet18", 100), {"linear": "fc"})
    assert message(build("resnet18", 10), weights, save)[1].startswith("The file looks like")
    assert message(build("imagenet_resnet18", 10), state("resnet18"), save)[1].endswith(
        "import it with architecture resnet18."
    )


def reparametrized(change: Callable[[nn.Linear], object]) -> dict[str, Tensor]:
    network = SmallCnn(10, width=4)
    change(network.linear)
    return network.state_dict()


@pytest.mark.parametrize(
    ("change", "title", "key", "remedy"),
    [
        (
            parametrizations.weight_norm,
            "a parametrization of torch.nn.utils.parametrize",
            "parametrizations.weight.original0",
            "torch.nn.utils.parametrize.remove_parametrizations(layer, name)",
        ),
        (
            spectral_norm,
            "spectral normalization",
            "weight_orig",
            "torch.nn.utils.remove_spectral_norm(layer)",
        ),
        (
            lambda layer: prune.identity(layer, "weight"),  # type: ignore[no-untyped-call]
            "pruning",
            "weight_mask",
            "torch.nn.utils.prune.remove(layer, name)",
        ),
    ],
)
def test_reparametrized_weights_are_said_to_be(
    change: Callable[[nn.Linear], object], title: str, key: str, remedy: str, save: Save
) -> None:
    assert message(build("small_cnn", 10, width=4), reparametrized(change), save) == (
        "missing_keys",
        f"The file has the parameters of {title} in place of weights (linear.{key}): call {remedy} "
        "and save the state dict again.",
    )


def test_weight_normalization_of_old_is_said_to_be(save: Save) -> None:
    weights = state("small_cnn", width=4)
    weights["linear.weight_g"] = torch.ones(10, 1)
    weights["linear.weight_v"] = weights.pop("linear.weight")
    assert message(build("small_cnn", 10, width=4), weights, save)[1].startswith(
        "The file has the parameters of weight normalization in place of weights (linear.weight_g)"
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
