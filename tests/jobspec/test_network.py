"""The networks' settings, and which images a network takes."""

import pytest
from pydantic import TypeAdapter, ValidationError

from core.jobspec.compatibility import network_problems
from core.jobspec.network import (
    ARCHITECTURES,
    DeitS,
    ImageNetResNet18,
    Network,
    ResNet18,
    SmallCnn,
    VitB,
    required_image_size,
    feature_width,
)

NETWORK: TypeAdapter[Network] = TypeAdapter(Network)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_s_name_alone_makes_a_network(name: str) -> None:
    network = NETWORK.validate_python({"architecture": name})
    assert type(network) is ARCHITECTURES[name].settings
    assert network.architecture == name


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"image_size": 30}, "image_size 30 is not a multiple of patch_size 4"),
        ({"image_size": 224}, "image_size 224 and patch_size 4 make 3136 patches, more than 1024"),
        ({"image_size": 4}, "greater than or equal to 8"),
        ({"patch_size": 0}, "greater than or equal to 2"),
    ],
)
def test_images_that_are_not_of_whole_patches_or_of_too_many_are_refused(
    settings: dict[str, int], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        DeitS(**settings)


def test_settings_of_a_transformer_are_another_s_unknown_fields() -> None:
    with pytest.raises(ValidationError, match="patch_size"):
        NETWORK.validate_python({"architecture": "resnet18", "patch_size": 4})


@pytest.mark.parametrize(("height", "width"), [(32, 48), (48, 32), (64, 64), (16, 16)])
def test_a_transformer_takes_images_of_exactly_its_size(height: int, width: int) -> None:
    (found,) = network_problems(VitB(), 3, height, width, ("student",), "tiny")
    assert found.path == ("student", "image_size")
    assert (
        found.message
        == f"ViT-B with image_size 32 takes images of 32x32 pixels; tiny has {height}x{width}."
    )
    assert not network_problems(VitB(), 3, 32, 32, ("student",))
    assert not network_problems(DeitS(image_size=64, patch_size=8), 3, 64, 64, ("student",))


def test_only_transformers_have_an_exact_size() -> None:
    assert (required_image_size(DeitS(image_size=96)), required_image_size(SmallCnn())) == (96, None)


def test_torchvision_s_networks_take_any_colour_image_from_32_pixels_on() -> None:
    assert not network_problems(ImageNetResNet18(), 3, 224, 200, ("student",))
    assert network_problems(ImageNetResNet18(), 3, 31, 224, ("student",))[0].path == (
        "student",
        "architecture",
    )
    assert network_problems(ImageNetResNet18(), 1, 224, 224, ("student",))[0].path == (
        "student",
        "architecture",
    )


def test_parameters_follow_the_settings_and_are_those_of_the_defaults_without_them() -> None:
    facts = ARCHITECTURES["deit_s"]
    assert facts.count_parameters(10) == facts.count_parameters(10, DeitS()) == 21_342_346
    # DeiT-S/16 at 224 pixels and 1,000 classes: 22.05 million, as published.
    assert facts.count_parameters(1000, DeitS(image_size=224, patch_size=16)) == 22_050_664
    assert (
        ARCHITECTURES["vit_b"].count_parameters(1000, VitB(image_size=224, patch_size=16)) == 86_567_656
    )
    assert ARCHITECTURES["small_cnn"].count_parameters(10, SmallCnn()) is None


def test_the_width_of_the_features_is_known_without_building_the_network() -> None:
    assert feature_width(SmallCnn(width=6)) == 24
    assert feature_width(ResNet18()) == 512
