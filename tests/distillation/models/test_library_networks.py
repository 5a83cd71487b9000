"""The networks of timm and torchvision have the libraries' own keys and outputs.

Nothing is downloaded for them.
"""

import socket
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from core.distillation.models import build
from core.distillation.models.network import Classifier
from core.distillation.models.vision_transformer import VisionTransformer
from tests.distillation.models.networks import with_statistics

LIBRARY: dict[str, Callable[[], Any]] = {
    "deit_s": lambda: timm.create_model(
        "deit_small_patch16_224", img_size=32, patch_size=4, num_classes=10
    ),
    "imagenet_resnet18": lambda: torchvision.models.resnet18(num_classes=10),
    "imagenet_resnet34": lambda: torchvision.models.resnet34(num_classes=10),
    "imagenet_mobilenet_v2": lambda: torchvision.models.mobilenet_v2(num_classes=10),
}


@pytest.fixture
def tiny() -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer(10, width=16, depth=2, heads=2).eval()


@pytest.mark.parametrize("architecture", LIBRARY)
def test_keys_and_outputs_are_the_librarys_own(architecture: str, images: Tensor) -> None:
    network = with_statistics(build(architecture, 10))
    reference = LIBRARY[architecture]().eval()
    assert list(network.state_dict()) == list(reference.state_dict())
    assert [name for name, _ in network.named_parameters()] == [
        name for name, _ in reference.named_parameters()
    ]
    reference.load_state_dict(network.state_dict())
    torch.testing.assert_close(network(images), reference(network.normalize(images)))


def test_vit_b_has_timms_keys_and_shapes() -> None:
    with torch.device("meta"):
        network = build("vit_b", 10)
        reference = timm.create_model(
            "vit_base_patch16_224", img_size=32, patch_size=4, num_classes=10
        )
    assert {key: tensor.shape for key, tensor in network.state_dict().items()} == {
        key: tensor.shape for key, tensor in reference.state_dict().items()
    }


def test_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    build("deit_s", 10)
    build("imagenet_mobilenet_v2", 10)


def test_transformer_features_are_the_normalized_class_token(images: Tensor) -> None:
    reference = LIBRARY["deit_s"]().eval()
    network = build("deit_s", 10).eval()
    network.load_state_dict(reference.state_dict())
    normalized = network.normalize(images)
    expected = reference.forward_head(reference.forward_features(normalized), pre_logits=True)
    torch.testing.assert_close(network.features(images), expected)


def test_transformer_maps_are_the_input_of_the_last_attention(
    tiny: VisionTransformer, images: Tensor
) -> None:
    """Each patch has the place in the map that it has in the image."""
    attention = tiny.get_submodule("blocks.1.attn")
    inputs: list[Tensor] = []
    handle = attention.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
    maps, _ = tiny.maps_and_features(images)
    handle.remove()
    assert maps.shape == (2, 16, 8, 8)
    for row, column in ((0, 0), (0, 7), (5, 2)):
        assert torch.equal(maps[:, :, row, column], inputs[0][:, 1 + 8 * row + column])


def test_place_in_a_map_is_the_patchs_place_in_the_image() -> None:
    network = VisionTransformer(10, width=16, depth=1, heads=2, normalization="none").eval()
    black = torch.zeros(1, 3, 32, 32)
    dotted = torch.zeros(1, 3, 32, 32)
    dotted[..., 4 * 5 + 1, 4 * 2 + 3] = 1
    changed = (network.feature_maps(dotted) != network.feature_maps(black)).any(1)[0]
    assert changed.nonzero().tolist() == [[5, 2]]


def test_a_transformer_takes_images_of_its_own_size_only(tiny: VisionTransformer) -> None:
    assert tiny.patch_size == 4
    with pytest.raises(AssertionError, match="48"):
        tiny(torch.rand(1, 3, 48, 48))
    with pytest.raises(ValueError, match="32 is not a multiple of patch_size 5"):
        build("deit_s", 10, patch_size=5)


@pytest.mark.parametrize("architecture", ["imagenet_resnet18", "imagenet_mobilenet_v2"])
def test_torchvisions_networks_are_for_color_images(architecture: str) -> None:
    with pytest.raises(ValueError, match="3 channels, not 1"):
        build(architecture, 10, channels=1, normalization="none")


def maps_side(network: Classifier, side: int) -> int:
    return network.feature_maps(torch.rand(1, 3, side, side, device="meta")).shape[-1]


def test_imagenet_form_reduces_32_times_and_cifar_form_8_times() -> None:
    with torch.device("meta"):
        networks = {
            name: build(name, 10)
            for name in ("imagenet_resnet18", "imagenet_mobilenet_v2", "resnet18")
        }
    assert {name: maps_side(network, 224) for name, network in networks.items()} == {
        "imagenet_resnet18": 7,
        "imagenet_mobilenet_v2": 7,
        "resnet18": 28,
    }


def test_mobilenet_features_are_a_module_and_a_method(images: Tensor) -> None:
    """torchvision's keys begin with the name of Classifier's method ``features``."""
    network = with_statistics(build("imagenet_mobilenet_v2", 10))
    layers = network.get_submodule("features")
    assert isinstance(layers, nn.Sequential)
    assert len(layers) == 19
    assert torch.equal(layers(images), network.features(images))
    assert torch.equal(network.features(images), network.feature_maps(images).mean((2, 3)))


@pytest.mark.parametrize("architecture", ["deit_s", "imagenet_mobilenet_v2"])
def test_a_network_can_be_traced_for_batches_of_any_size(architecture: str, images: Tensor) -> None:
    network = with_statistics(build(architecture, 10))
    with torch.no_grad():
        batch = torch.export.Dim("batch")
        exported = torch.export.export(network, (images,), dynamic_shapes=({0: batch},)).module()
        more = torch.rand(5, 3, 32, 32)
        torch.testing.assert_close(exported(more), network(more))


def test_parameters_can_be_replaced_by_name(images: Tensor) -> None:
    network = with_statistics(build("imagenet_mobilenet_v2", 10))
    with torch.no_grad():
        doubled = {
            name: 2 * weight if name.startswith("classifier") else weight
            for name, weight in network.named_parameters()
        }
        torch.testing.assert_close(
            torch.func.functional_call(network, doubled, (images,)), 2 * network(images)
        )
