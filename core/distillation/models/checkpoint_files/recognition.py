"""What network a file's keys and shapes look like, for a message when they do not fit.

The keys are those of the public implementations: torchvision, timm, the CIFAR networks of
github.com/kuangliu/pytorch-cifar, TRADES, RobustBench, DeepMind's adversarial_robustness.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from core.jobspec.network import ARCHITECTURES, ModelDescription

Shapes = Mapping[str, tuple[int, ...]]
"""Shape of each tensor by key."""

MAX_PREFIXES = 200
MAX_PREFIX_PARTS = 4
RESNET_DEPTHS: dict[tuple[tuple[int, ...], bool], str] = {
    ((2, 2, 2, 2), False): "18",
    ((3, 4, 6, 3), False): "34",
    ((3, 4, 6, 3), True): "50",
    ((3, 4, 23, 3), True): "101",
    ((3, 8, 36, 3), True): "152",
}
"""By the blocks of the four stages and whether they are bottlenecks (He et al., 2016)."""
TRANSFORMERS = {
    (192, 12): "ViT-Ti (DeiT-Ti)",
    (384, 12): "DeiT-S (ViT-S)",
    (768, 12): "ViT-B (DeiT-B)",
    (1024, 24): "ViT-L",
    (1280, 32): "ViT-H",
}
"""By width and number of blocks."""
OTHER_FAMILIES = {
    "conv_2d.weight": "PreAct ResNet of DeepMind",
    "encoder.layers.encoder_layer_0.ln_1.weight": "ViT (torchvision)",
    "embeddings.cls_token": "ViT (transformers)",
    "cls_attn_blocks.0.attn.q.weight": "XCiT (timm)",
    "layers.0.blocks.0.attn.qkv.weight": "Swin transformer",
    "stages.0.blocks.0.conv_dw.weight": "ConvNeXt (timm)",
    "downsample_layers.0.0.weight": "ConvNeXt",
    "features.1.0.block.0.weight": "ConvNeXt (torchvision)",
    "features.1.0.attn.qkv.weight": "Swin transformer (torchvision)",
    "features.1.block.0.0.weight": "MobileNetV3 (torchvision)",
    "stage2.0.branch1.0.weight": "ShuffleNet (torchvision)",
    "inception3a.branch1.conv.weight": "GoogLeNet (torchvision)",
    "trunk_output.block1.block1-0.proj.0.weight": "RegNet (torchvision)",
    "conv_stem.weight": "EfficientNet (timm)",
    "features.1.0.block.0.0.weight": "EfficientNet (torchvision)",
    "features.denseblock1.denselayer1.conv1.weight": "DenseNet (torchvision)",
    "dense1.0.conv1.weight": "DenseNet",
    "features.3.squeeze.weight": "SqueezeNet (torchvision)",
    "Conv2d_1a_3x3.conv.weight": "Inception (torchvision)",
}
"""Families that are not supported, by a key that only they have."""


@dataclass(frozen=True)
class Recognized:
    """What a file's weights look like."""

    title: str
    """For people: WRN-34-10."""
    architecture: str | None
    """The name in a spec; None where it is not supported."""
    family: str
    """For the message that none of it is supported."""
    classes: int | None
    channels: int | None
    width: int | None = None
    """Setting of small_cnn."""

    @property
    def settings(self) -> dict[str, object]:
        """What a request for an import would have to say."""
        settings = {
            "architecture": self.architecture,
            "width": self.width,
            "classes": self.classes,
            "channels": self.channels,
        }
        return {name: value for name, value in settings.items() if value is not None}

    def describe(self) -> str:
        classes = "" if self.classes is None else f" for {self.classes} classes"
        channels = "" if self.channels in (None, 3) else f", images of {self.channels} channel(s)"
        return f"{self.title}{classes}{channels}"


def recognize(shapes: Shapes) -> Recognized | None:
    """Return what the weights look like, whatever prefix their keys have; None if unknown."""
    prefixes = {"": None}  # an ordered set
    for key in shapes:
        parts = key.split(".")[:-1]
        for count in range(1, min(len(parts), MAX_PREFIX_PARTS) + 1):
            prefixes[".".join(parts[:count]) + "."] = None
    for prefix in sorted(prefixes, key=lambda prefix: prefix.count("."))[:MAX_PREFIXES]:
        inner = {
            key.removeprefix(prefix): shape
            for key, shape in shapes.items()
            if key.startswith(prefix)
        }
        for recognize_family in FAMILIES:
            recognized = recognize_family(inner)
            if recognized is not None:
                return recognized
    return None


def explain(file_shapes: Shapes, network_shapes: Shapes) -> str:
    """Return a sentence on how a file differs from a network; empty where that is not known."""
    actual = recognize(file_shapes)
    expected = recognize(network_shapes)
    if actual is None or expected is None:
        return ""
    changes = [
        f"{name} {value}"
        for name, value in actual.settings.items()
        if expected.settings.get(name) != value
    ]
    if actual.title == expected.title and not changes:
        return ""
    sentence = f"The file looks like {actual.describe()}, not like {expected.describe()}"
    if actual.architecture is None:
        return f"{sentence}: {actual.family} is not supported."
    if not changes or not _can_be_requested(actual):
        return f"{sentence}."
    return f"{sentence}: import it with {', '.join(changes)}."


def _can_be_requested(recognized: Recognized) -> bool:
    """Return whether a request for an import with these settings would be accepted."""
    channels = recognized.channels or 3
    network: dict[str, object] = {"architecture": recognized.architecture}
    if recognized.width is not None:
        network["width"] = recognized.width
    classes = 2 if recognized.classes is None else recognized.classes
    image = {"channels": channels, "height": 32, "width": 32}
    try:
        description = ModelDescription.model_validate(
            {"network": network, "classes": classes, **image}
        )
    except ValidationError:
        return False
    return channels in ARCHITECTURES[description.network.architecture].channels


# -- families


def _convolution(shapes: Shapes, key: str) -> tuple[int, ...] | None:
    """Return the shape of a convolution's weights, 4 numbers; None where the file has none."""
    shape = shapes.get(key, ())
    return shape if len(shape) == 4 and all(shape) else None


def _small_cnn(shapes: Shapes) -> Recognized | None:
    layers = ("conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "linear")
    first = _convolution(shapes, "conv1.weight")
    if first is None or not all(f"{layer}.weight" in shapes for layer in layers):
        return None
    width = first[0]
    if shapes["bn1.weight"] != (width,):
        return None
    title = f"small_cnn of width {width}"
    return _make(shapes, title, "small_cnn", "conv1", "linear", width=width)


def _wide_resnet(shapes: Shapes) -> Recognized | None:
    first = _convolution(shapes, "block1.layer.0.conv1.weight")
    if first is None:
        return None
    title = f"WRN-{6 * _count(shapes, 'block1.layer.') + 4}-{first[0] / 16:g}"
    known = {"WRN-28-10": "wrn_28_10", "WRN-34-10": "wrn_34_10"}
    return _make(shapes, title, known.get(title), "conv1", "fc")


def _dm_wide_resnet(shapes: Shapes) -> Recognized | None:
    first = _convolution(shapes, "layer.0.block.0.conv_0.weight")
    if first is None:
        return None
    title = f"DMWideResNet-{6 * _count(shapes, 'layer.0.block.') + 4}-{first[0] / 16:g}"
    architecture = "dm_wrn_28_10" if title == "DMWideResNet-28-10" else None
    return _make(shapes, title, architecture, "init_conv", "logits")


def _resnet(shapes: Shapes) -> Recognized | None:
    stem = _convolution(shapes, "conv1.weight")
    if stem is None or _convolution(shapes, "layer1.0.conv1.weight") is None:
        return None
    blocks = tuple(_count(shapes, f"layer{stage}.") for stage in range(1, 5))
    if not blocks[3]:
        return _three_stage_resnet(shapes, blocks[0], stem)
    is_bottleneck = "layer1.0.conv3.weight" in shapes
    depth = RESNET_DEPTHS.get((blocks, is_bottleneck))
    layers = depth or " with " + ", ".join(map(str, blocks)) + " blocks"
    name = _resnet_name(shapes, is_bottleneck) + (f"-{layers}" if depth else layers)
    if stem[0] != 64:
        name += f" of width {stem[0]}"
    is_torchvision = "fc.weight" in shapes
    last_layer = "fc" if is_torchvision else "linear"
    if _is_preact(shapes):
        return _make(shapes, f"PreAct {name}", None, "conv1", last_layer, family="PreAct ResNet")
    form = "torchvision" if is_torchvision else "CIFAR"
    has_large_stem = stem[-1] == 7
    if is_torchvision != has_large_stem:
        form += f", {stem[-1]}x{stem[-1]} stem"
    supported = {
        "ResNet-18 (CIFAR)": "resnet18",
        "ResNet-34 (CIFAR)": "resnet34",
        "ResNet-18 (torchvision)": "imagenet_resnet18",
        "ResNet-34 (torchvision)": "imagenet_resnet34",
    }
    title = f"{name} ({form})"
    return _make(shapes, title, supported.get(title), "conv1", last_layer)


def _is_preact(shapes: Shapes) -> bool:
    """Return whether batch norms precede convolutions: the first of a stage has its inputs."""
    first = _convolution(shapes, "layer2.0.conv1.weight")
    norm = shapes.get("layer2.0.bn1.weight")
    if first is not None and first[0] != first[1] and norm in ((first[0],), (first[1],)):
        return norm == (first[1],)
    return "bn1.weight" not in shapes


def _resnet_name(shapes: Shapes, is_bottleneck: bool) -> str:
    """Return the variant, by the convolutions of its first block."""
    first = shapes["layer1.0.conv1.weight"]
    second = shapes.get("layer1.0.conv2.weight", first)
    if is_bottleneck and second[1:2] != first[:1]:
        return "ResNeXt"
    if is_bottleneck and first[0] > 64:
        return "Wide ResNet"
    return "ResNet"


def _three_stage_resnet(shapes: Shapes, blocks: int, stem: tuple[int, ...]) -> Recognized:
    """Return a CIFAR ResNet of 6n + 2 layers, or a Wide ResNet of 6n + 4, with n ``blocks``."""
    last = shapes.get("bn1.weight", ())
    if len(last) == 1 and last[0] > stem[0]:
        title = f"WRN-{6 * blocks + 4}-{last[0] / 64:g} with keys layer1 to layer3"
    else:
        title = f"ResNet-{6 * blocks + 2} of three stages"
    last_layer = "fc" if "fc.weight" in shapes else "linear"
    return _make(shapes, title, None, "conv1", last_layer)


def _mobilenet(shapes: Shapes) -> Recognized | None:
    if "layers.0.conv3.weight" in shapes and "conv2.weight" in shapes:
        title = "MobileNetV2 (CIFAR)"
        return _make(shapes, title, "mobilenet_v2", "conv1", "linear")
    if "features.1.conv.0.0.weight" in shapes and "features.18.0.weight" in shapes:
        title = "MobileNetV2 (torchvision)"
        return _make(shapes, title, "imagenet_mobilenet_v2", "features.0.0", "classifier.1")
    return None


def _vision_transformer(shapes: Shapes) -> Recognized | None:
    patches = _convolution(shapes, "patch_embed.proj.weight")
    if patches is None or "blocks.0.attn.qkv.weight" not in shapes or "cls_token" not in shapes:
        return None
    width = patches[0]
    depth = _count(shapes, "blocks.")
    title = TRANSFORMERS.get((width, depth), f"ViT of width {width} with {depth} blocks")
    architecture = {(384, 12): "deit_s", (768, 12): "vit_b"}.get((width, depth))
    return _make(shapes, title, architecture, "patch_embed.proj", "head")


def _vgg(shapes: Shapes) -> Recognized | None:
    convolutions = [
        key
        for key, shape in shapes.items()
        if re.fullmatch(r"features\.\d+\.weight", key) and len(shape) == 4
    ]
    if len(convolutions) < 5:
        return None
    last_layer = "classifier" if "classifier.weight" in shapes else "classifier.6"
    name = "AlexNet" if len(convolutions) == 5 else f"VGG-{len(convolutions) + 3}"
    return _make(shapes, name, None, "features.0", last_layer)


def _other(shapes: Shapes) -> Recognized | None:
    title = next((title for key, title in OTHER_FAMILIES.items() if key in shapes), None)
    return None if title is None else Recognized(title, None, title, None, None)


FAMILIES: tuple[Callable[[Shapes], Recognized | None], ...] = (
    _small_cnn,
    _wide_resnet,
    _dm_wide_resnet,
    _other,
    _mobilenet,
    _resnet,
    _vision_transformer,
    _vgg,
)


def _make(
    shapes: Shapes,
    title: str,
    architecture: str | None,
    first_layer: str,
    last_layer: str,
    *,
    family: str | None = None,
    width: int | None = None,
) -> Recognized:
    """Read the numbers of channels and classes from the weights of two layers."""
    first = shapes.get(f"{first_layer}.weight", ())
    return Recognized(
        title,
        architecture,
        family or title,
        classes=_classes(shapes, last_layer, _features(architecture, width)),
        channels=first[1] if len(first) == 4 else None,
        width=width,
    )


def _features(architecture: str | None, width: int | None) -> int | None:
    """Return the inputs of the last layer; None if unknown."""
    if width is not None:
        return 4 * width
    return ARCHITECTURES[architecture].fixed_feature_width if architecture else None


def _classes(shapes: Shapes, last_layer: str, features: int | None) -> int | None:
    """Return the outputs of the last layer; None where its bias or its inputs are not in accord.

    Weights from other frameworks may be transposed.
    """
    weight = shapes.get(f"{last_layer}.weight", ())
    bias = shapes.get(f"{last_layer}.bias")
    if len(weight) != 2 or bias not in (None, (weight[0],)) or features not in (None, weight[1]):
        return None
    return weight[0]


def _count(shapes: Shapes, prefix: str) -> int:
    """Return how many numbers follow the prefix in keys."""
    pattern = re.compile(re.escape(prefix) + r"(\d+)\.")
    matches = (pattern.match(key) for key in shapes)
    return len({match[1] for match in matches if match is not None})
