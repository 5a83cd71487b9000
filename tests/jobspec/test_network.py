"""Settings of the networks, and the images that each takes."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from core.jobspec.compatibility import network_problems
from core.jobspec.network import (
    ARCHITECTURES,
    AssumedNormalization,
    DeitS,
    DmWrn2810,
    ImageNetResNet18,
    Network,
    ResNet18,
    SmallCnn,
    VitB,
    assume_normalization,
    feature_width,
    required_image_size,
)

NETWORK: TypeAdapter[Network] = TypeAdapter(Network)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_name_of_an_architecture_alone_makes_a_network(name: str) -> None:
    network = NETWORK.validate_python({"architecture": name})
    assert type(network) is ARCHITECTURES[name].settings
    assert network.architecture == name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 30}, "image_size 30 is not a multiple of patch_size 4"),
        ({"image_size": 224}, "image_size 224 and patch_size 4 make 3136 patches, more than 1024"),
        ({"image_size": 4}, "greater than or equal to 8"),
        ({"patch_size": 0}, "greater than or equal to 2"),
    ],
)
def test_broken_or_too_many_patches_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DeitS(**settings)


def test_patch_size_is_unknown_to_convolutional_networks() -> None:
    with pytest.raises(ValidationError, match="patch_size"):
        NETWORK.validate_python({"architecture": "resnet18", "patch_size": 4})


@pytest.mark.parametrize(("height", "width"), [(32, 48), (48, 32), (64, 64), (16, 16)])
def test_transformer_takes_images_of_exactly_its_size(height: int, width: int) -> None:
    (error,) = network_problems(VitB(), 3, height, width, ("student",), "tiny")
    assert error.path == ("student", "image_size")
    assert (
        error.message
        == f"ViT-B with image_size 32 takes images of 32x32 pixels; tiny has {height}x{width}."
    )
    assert not network_problems(VitB(), 3, 32, 32, ("student",))
    assert not network_problems(DeitS(image_size=64, patch_size=8), 3, 64, 64, ("student",))


def test_only_transformers_require_an_image_size() -> None:
    assert (required_image_size(DeitS(image_size=96)), required_image_size(SmallCnn())) == (
        96,
        None,
    )


def test_torchvision_networks_take_color_images_of_32_pixels() -> None:
    """Or more, of any size."""
    assert not network_problems(ImageNetResNet18(), 3, 224, 200, ("student",))
    assert network_problems(ImageNetResNet18(), 3, 31, 224, ("student",))[0].path == (
        "student",
        "architecture",
    )
    assert network_problems(ImageNetResNet18(), 1, 224, 224, ("student",))[0].path == (
        "student",
        "architecture",
    )


def test_number_of_parameters_follows_the_settings() -> None:
    """Without settings, it is that of the defaults."""
    architecture = ARCHITECTURES["deit_s"]
    assert (
        architecture.count_parameters(10)
        == architecture.count_parameters(10, DeitS())
        == 21_342_346
    )
    # DeiT-S/16 at 224 pixels and 1,000 classes: 22.05 million, as published.
    assert architecture.count_parameters(1000, DeitS(image_size=224, patch_size=16)) == 22_050_664
    assert (
        ARCHITECTURES["vit_b"].count_parameters(1000, VitB(image_size=224, patch_size=16))
        == 86_567_656
    )
    assert ARCHITECTURES["small_cnn"].count_parameters(10, SmallCnn()) is None


def test_feature_width_is_known_without_the_network() -> None:
    assert feature_width(SmallCnn(width=6)) == 24
    assert feature_width(ResNet18()) == 512


@pytest.mark.parametrize(
    ("network", "classes", "name"),
    [
        (DmWrn2810(), 10, "cifar10"),
        (DmWrn2810(), 100, "cifar100"),
        (VitB(), 100, "cifar100"),
        (DeitS(), 10, "cifar10"),
    ],
)
def test_classes_tell_which_cifar_a_checkpoint_is_of(
    network: Network, classes: int, name: Any
) -> None:
    """Also where the network names another: it is asked only where nobody chose."""
    expected = AssumedNormalization(name, f"the network has {classes} classes", is_guess=False)
    assert assume_normalization(network, classes) == expected
    other = network.model_copy(update={"normalization": "imagenet"})
    assert assume_normalization(other, classes) == expected


@pytest.mark.parametrize(
    ("network", "classes", "name", "is_guess"),
    [
        (DmWrn2810(), 200, "cifar10", True),
        (VitB(image_size=224, patch_size=16), 100, "cifar10", True),
        (VitB(image_size=224, patch_size=16), 10, "cifar10", True),
        (ImageNetResNet18(), 100, "imagenet", False),
        (ResNet18(), 100, "none", False),
        (SmallCnn(), 10, "none", False),
    ],
)
def test_else_a_checkpoint_has_its_familys_default(
    network: Network, classes: int, name: Any, is_guess: bool
) -> None:
    reason = f"it is the default of {network.architecture}"
    assert assume_normalization(network, classes) == AssumedNormalization(name, reason, is_guess)
