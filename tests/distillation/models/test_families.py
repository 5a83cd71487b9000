"""The networks: their sizes, keys and shapes, and the few places where the families differ."""

import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.distillation import models
from core.distillation.models import build, from_description
from core.distillation.models.dm_wide_resnet import Block as DmBlock
from core.distillation.models.network import Classifier
from core.distillation.models.vision_transformer import VisionTransformer
from core.distillation.models.wide_resnet import Block as WideBlock
from core.jobspec.network import ARCHITECTURES, ModelDescription, SmallCnn, feature_width
from tests.distillation.models.networks import with_statistics

NORM = "(weight|bias|running_mean|running_var|num_batches_tracked)"


def on_meta(architecture: str, classes: int = 10, **settings: Any) -> Classifier:
    with torch.device("meta"):
        return build(architecture, classes, **settings)


def size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("architecture", "ten", "hundred"),
    [
        ("resnet18", 11_173_962, 11_220_132),
        ("resnet34", 21_282_122, 21_328_292),
        ("mobilenet_v2", 2_296_922, 2_412_212),
        ("wrn_28_10", 36_479_194, 36_536_884),
        ("wrn_34_10", 46_160_474, 46_218_164),
        ("dm_wrn_28_10", 36_479_194, 36_536_884),
        ("vit_b", 85_152_010, 85_221_220),
        ("deit_s", 21_342_346, 21_376_996),
        ("imagenet_resnet18", 11_181_642, 11_227_812),
        ("imagenet_resnet34", 21_289_802, 21_335_972),
        ("imagenet_mobilenet_v2", 2_236_682, 2_351_972),
    ],
)
def test_the_parameters_are_as_many_as_published(architecture: str, ten: int, hundred: int) -> None:
    assert (size(on_meta(architecture, 10)), size(on_meta(architecture, 100))) == (ten, hundred)


@pytest.mark.parametrize("architecture", ["vit_b", "deit_s"])
@pytest.mark.parametrize(("image_size", "patch_size"), [(32, 8), (64, 4), (224, 16)])
def test_facts_count_the_parameters_for_other_sizes(
    architecture: str, image_size: int, patch_size: int
) -> None:
    """The number of parameters is right for other sizes of images and patches, too."""
    facts = ARCHITECTURES[architecture]
    settings = facts.settings(image_size=image_size, patch_size=patch_size)
    network = on_meta(architecture, image_size=image_size, patch_size=patch_size)
    assert facts.count_parameters(10, settings) == size(network)


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_facts_are_those_of_the_built_network(architecture: str, classes: int) -> None:
    """What the API reports of an architecture is true of the network that is built."""
    facts = ARCHITECTURES[architecture]
    network = on_meta(architecture, classes)
    assert facts.fixed_feature_width in (None, network.feature_dimension)
    settings: Any = facts.settings()
    assert feature_width(settings) == network.feature_dimension
    assert facts.count_parameters(classes) in (None, size(network))


def test_every_architecture_of_the_spec_can_be_built() -> None:
    assert list(models.ARCHITECTURES) == list(ARCHITECTURES)


def test_small_network_has_the_size_computed_by_hand() -> None:
    convolutions = 9 * (1 * 4 + 4 * 8 + 8 * 16)
    norms = 2 * (4 + 8 + 16)
    assert size(build("small_cnn", 10, width=4, channels=1)) == convolutions + norms + 16 * 10 + 10


KEYS = {
    # pattern: how many keys it matches
    "small_cnn": {r"conv[1-3]\.weight": 3, rf"bn[1-3]\.{NORM}": 15, r"linear\.(weight|bias)": 2},
    "resnet18": {
        r"conv1\.weight": 1,
        rf"bn1\.{NORM}": 5,
        r"layer[1-4]\.[01]\.conv[12]\.weight": 16,
        rf"layer[1-4]\.[01]\.bn[12]\.{NORM}": 80,
        r"layer[2-4]\.0\.shortcut\.0\.weight": 3,
        rf"layer[2-4]\.0\.shortcut\.1\.{NORM}": 15,
        r"linear\.(weight|bias)": 2,
    },
    "mobilenet_v2": {
        r"conv[12]\.weight": 2,
        rf"bn[12]\.{NORM}": 10,
        r"layers\.([0-9]|1[0-6])\.conv[123]\.weight": 51,
        rf"layers\.([0-9]|1[0-6])\.bn[123]\.{NORM}": 255,
        r"layers\.(0|1|10|16)\.shortcut\.0\.weight": 4,
        rf"layers\.(0|1|10|16)\.shortcut\.1\.{NORM}": 20,
        r"linear\.(weight|bias)": 2,
    },
    "wrn_28_10": {
        r"conv1\.weight": 1,
        r"block[123]\.layer\.[0-3]\.conv[12]\.weight": 24,
        rf"block[123]\.layer\.[0-3]\.bn[12]\.{NORM}": 120,
        r"block[123]\.layer\.0\.convShortcut\.weight": 3,
        rf"bn1\.{NORM}": 5,
        r"fc\.(weight|bias)": 2,
    },
    "dm_wrn_28_10": {
        r"init_conv\.weight": 1,
        r"layer\.[0-2]\.block\.[0-3]\.conv_[01]\.weight": 24,
        rf"layer\.[0-2]\.block\.[0-3]\.batchnorm_[01]\.{NORM}": 120,
        r"layer\.[0-2]\.block\.0\.shortcut\.weight": 3,
        rf"batchnorm\.{NORM}": 5,
        r"logits\.(weight|bias)": 2,
    },
}


@pytest.mark.parametrize("architecture", KEYS)
def test_the_keys_are_the_familys_own(architecture: str) -> None:
    keys = list(on_meta(architecture).state_dict())
    counts = {
        pattern: sum(re.fullmatch(pattern, key) is not None for key in keys)
        for pattern in KEYS[architecture]
    }
    assert counts == KEYS[architecture]
    assert sum(counts.values()) == len(keys)


def test_features_maps_and_logits_have_the_promised_shapes(
    family: Callable[[], Classifier],
) -> None:
    network = family().eval()
    has_fixed_size = isinstance(network, VisionTransformer)
    for side in (32,) if has_fixed_size else (32, 48):
        images = torch.rand(2, 3, side, side)
        maps = network.feature_maps(images)
        features = network.features(images)
        assert maps.shape[:2] == features.shape == (2, network.feature_dimension)
        assert has_fixed_size or torch.equal(features, maps.mean((2, 3)))
        assert network.classify(features).shape == (2, 10)
        assert torch.equal(network(images), network.classify(features))


def test_maps_and_features_come_from_one_pass(
    family: Callable[[], Classifier], images: Tensor
) -> None:
    """The features have a gradient at the maps that are returned with them."""
    network = with_statistics(family())
    maps, features = network.maps_and_features(images)
    assert torch.equal(maps, network.feature_maps(images))
    assert torch.equal(features, network.features(images))
    (gradient,) = torch.autograd.grad(network.classify(features)[:, 3].sum(), maps)
    assert gradient.abs().sum() > 0


def test_the_classifier_is_the_layer_that_a_family_says_it_is(
    family: Callable[[], Classifier],
) -> None:
    network = family()
    classifier = network.get_submodule(network.classifier_name)
    assert isinstance(classifier, nn.Linear)
    assert (classifier.in_features, classifier.out_features) == (network.feature_dimension, 10)


def test_a_copy_has_nothing_in_common_with_its_original(
    family: Callable[[], Classifier], images: Tensor
) -> None:
    network = with_statistics(family())
    logits = network(images)
    copied = deepcopy(network)
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.zero_()
    assert torch.equal(copied(images), logits)


def test_parameters_have_the_names_that_the_state_dict_has(
    family: Callable[[], Classifier],
) -> None:
    network = family()
    assert {name for name, _ in network.named_parameters()} <= set(network.state_dict())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_network_takes_images_as_small_as_its_facts_say(architecture: str) -> None:
    facts = ARCHITECTURES[architecture]
    side = facts.min_side
    exact = "image_size" in facts.settings.model_fields
    network = on_meta(architecture, **({"image_size": side} if exact else {})).eval()
    assert network(torch.rand(2, 3, side, side, device="meta")).shape == (2, 10)


def test_the_small_network_takes_gray_images_of_8_by_8() -> None:
    network = build("small_cnn", 10, width=4, channels=1)
    assert network(torch.rand(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "red_mean", "red_std"),
    [
        ("cifar10", 0.4914, 0.2471),
        ("cifar100", 0.5071, 0.2673),
        ("imagenet", 0.485, 0.229),
        ("inception", 0.5, 0.5),
    ],
)
def test_normalization_inside_equals_normalization_outside(
    name: str, red_mean: float, red_std: float, images: Tensor
) -> None:
    inside = with_statistics(build("small_cnn", 10, normalization=name))
    outside = with_statistics(build("small_cnn", 10))
    outside.load_state_dict(inside.state_dict())
    mean = inside.normalize.mean
    std = inside.normalize.std
    assert (mean[0, 0, 0, 0].item(), std[0, 0, 0, 0].item()) == pytest.approx((red_mean, red_std))
    torch.testing.assert_close(inside(images), outside((images - mean) / std))


def test_normalization_leaves_no_trace_in_the_state_dict(family: Callable[[], Classifier]) -> None:
    network = family()
    assert not any(key.startswith("normalize") for key in network.state_dict())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_default_normalization_is_the_specs(architecture: str) -> None:
    settings: Any = ARCHITECTURES[architecture].settings()
    assert on_meta(architecture).normalize.name == settings.normalization


def test_a_normalization_of_colors_does_not_fit_gray_images() -> None:
    with pytest.raises(ValueError, match="3 channels, not 1"):
        build("small_cnn", 10, channels=1, normalization="cifar10")


def test_an_unknown_architecture_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'vgg16'; known are small_cnn, resnet18"):
        build("vgg16", 10)


def test_a_description_is_enough_to_build_a_network() -> None:
    network = SmallCnn(width=5, normalization="cifar100")
    description = ModelDescription(network=network, classes=7, channels=3, height=32, width=32)
    built = from_description(description)
    assert (built.feature_dimension, built.normalize.name) == (20, "cifar100")
    assert built(torch.rand(2, 3, 32, 32)).shape == (2, 7)


def observed(module: nn.Module | None, run: Callable[[], object]) -> tuple[Tensor, Tensor]:
    """Return the input and the output of a module while something runs."""
    assert module is not None
    passes: list[tuple[Tensor, Tensor]] = []
    handle = module.register_forward_hook(
        lambda _, inputs, output: passes.append((inputs[0], output))
    )
    run()
    handle.remove()
    return passes[0]


@pytest.mark.parametrize(("stride", "first"), [(1, 0), (2, 1)])
def test_dm_wide_resnet_pads_as_tensorflow_does(stride: int, first: int) -> None:
    """All sides at stride 1, but only right and bottom at stride 2."""
    block = DmBlock(2, 3, stride).eval()
    maps = torch.rand(1, 2, 8, 8)
    nn.init.dirac_(block.conv_0.weight)
    _, output = observed(block.conv_0, lambda: block(maps))
    activated = nn.functional.silu(block.batchnorm_0(maps))
    torch.testing.assert_close(output[:, :2], activated[..., first::stride, first::stride])


def test_shortcut_convolves_the_activated_input() -> None:
    """The shortcut is a convolution of the activated input where the width changes."""
    maps = torch.rand(1, 2, 8, 8) - 0.5
    dm = DmBlock(2, 3, 2).eval()
    wide = WideBlock(2, 3, 2).eval()
    torch.testing.assert_close(
        observed(dm.shortcut, lambda: dm(maps))[0], nn.functional.silu(dm.batchnorm_0(maps))
    )
    torch.testing.assert_close(
        observed(wide.convShortcut, lambda: wide(maps))[0], wide.bn1(maps).relu()
    )


def test_where_the_width_stays_the_input_itself_is_added() -> None:
    maps = torch.rand(1, 2, 8, 8) - 0.5
    dm = DmBlock(2, 2, 1).eval()
    wide = WideBlock(2, 2, 1).eval()
    nn.init.zeros_(dm.conv_1.weight)
    nn.init.zeros_(wide.conv2.weight)
    assert torch.equal(dm(maps), maps)
    assert torch.equal(wide(maps), maps)


def test_mobilenet_adds_its_input_wherever_the_stride_is_1() -> None:
    blocks: Any = on_meta("mobilenet_v2").layers
    assert [index for index, block in enumerate(blocks) if not block.residual] == [3, 6, 13]


def test_wide_resnet_is_initialized_by_he_et_al() -> None:
    network: Any = build("wrn_28_10", 10)
    weight = network.block3.layer[1].conv1.weight
    assert weight.std().item() == pytest.approx((2 / (9 * 640)) ** 0.5, rel=0.01)
    assert not network.fc.bias.any()


def test_weights_come_from_torchs_generator_alone(family: Callable[[], Classifier]) -> None:
    def seeded() -> dict[str, Tensor]:
        torch.manual_seed(3)
        return family().state_dict()

    first = seeded()
    second = seeded()
    assert all(torch.equal(first[key], second[key]) for key in first)
