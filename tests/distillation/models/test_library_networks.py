"""The networks of timm and torchvision: their keys and their answers are the libraries' own, and nothing is fetched for them."""

import socket
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn

from core.distillation.models import build
from core.distillation.models.network import Classifier
from core.distillation.models.vision_transformer import VisionTransformer

LIBRARY = {
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
def test_keys_and_answers_are_the_library_s_own(architecture, images, live_in):
    ours, theirs = live_in(build(architecture, 10)), LIBRARY[architecture]().eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [name for name, _ in ours.named_parameters()] == [
        name for name, _ in theirs.named_parameters()
    ]
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(images), theirs(ours.normalize(images)))


def test_vit_b_has_timm_s_keys_and_shapes():
    with torch.device("meta"):
        ours = build("vit_b", 10)
        theirs = timm.create_model(
            "vit_base_patch16_224", img_size=32, patch_size=4, num_classes=10
        )
    assert {key: tensor.shape for key, tensor in ours.state_dict().items()} == {
        key: tensor.shape for key, tensor in theirs.state_dict().items()
    }


def test_nothing_is_fetched(monkeypatch):
    def refuse(*_: Any) -> None:
        raise AssertionError("a network was asked for something")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    build("deit_s", 10)
    build("imagenet_mobilenet_v2", 10)


def test_transformer_features_are_the_normalized_class_token(images):
    theirs = LIBRARY["deit_s"]().eval()
    ours = build("deit_s", 10).eval()
    ours.load_state_dict(theirs.state_dict())
    normalized = ours.normalize(images)
    expected = theirs.forward_head(theirs.forward_features(normalized), pre_logits=True)
    torch.testing.assert_close(ours.features(images), expected)


def test_transformer_maps_are_the_input_of_the_last_attention(tiny, images):
    """Each patch has the place in the map that it has in the image."""
    read = []
    handle = tiny.blocks[-1].attn.register_forward_pre_hook(
        lambda _, inputs: read.append(inputs[0])
    )
    maps, _ = tiny.maps_and_features(images)
    handle.remove()
    assert maps.shape == (2, 16, 8, 8)
    for row, column in ((0, 0), (0, 7), (5, 2)):
        assert torch.equal(maps[:, :, row, column], read[0][:, 1 + 8 * row + column])


def test_a_map_s_place_is_the_patch_s_place_in_the_image():
    network = VisionTransformer(10, width=16, depth=1, heads=2, normalization="none").eval()
    black, dotted = torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)
    dotted[..., 4 * 5 + 1, 4 * 2 + 3] = 1
    changed = (network.feature_maps(dotted) != network.feature_maps(black)).any(1)[0]
    assert changed.nonzero().tolist() == [[5, 2]]


def test_a_transformer_takes_images_of_its_own_size_only(tiny):
    assert tiny.patch_size == 4
    with pytest.raises(AssertionError, match="48"):
        tiny(torch.rand(1, 3, 48, 48))
    with pytest.raises(ValueError, match="32x32 is not made of whole patches of 5x5"):
        build("deit_s", 10, patch_size=5)


@pytest.mark.parametrize("architecture", ["imagenet_resnet18", "imagenet_mobilenet_v2"])
def test_torchvision_s_networks_are_for_colour_images(architecture):
    with pytest.raises(ValueError, match="3 channels, not 1"):
        build(architecture, 10, channels=1, normalization="none")


def maps_side(network: Classifier, side: int) -> int:
    return network.feature_maps(torch.rand(1, 3, side, side, device="meta")).shape[-1]


def test_imagenet_form_reduces_32_times_and_cifar_form_8_times():
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


def test_mobilenet_features_are_a_module_and_a_method(images, live_in):
    """torchvision's keys begin with the name of Classifier's method ``features``."""
    network = live_in(build("imagenet_mobilenet_v2", 10))
    layers = network.get_submodule("features")
    assert isinstance(layers, nn.Sequential)
    assert len(layers) == 19
    assert torch.equal(layers(images), network.features(images))
    assert torch.equal(network.features(images), network.feature_maps(images).mean((2, 3)))


@pytest.mark.parametrize("architecture", ["deit_s", "imagenet_mobilenet_v2"])
def test_a_network_can_be_traced_for_batches_of_any_size(architecture, images, live_in):
    network = live_in(build(architecture, 10))
    with torch.no_grad():
        batch = torch.export.Dim("batch")
        exported = torch.export.export(network, (images,), dynamic_shapes=({0: batch},)).module()
        more = torch.rand(5, 3, 32, 32)
        torch.testing.assert_close(exported(more), network(more))


def test_a_network_s_parameters_can_be_put_in_by_name(images, live_in):
    network = live_in(build("imagenet_mobilenet_v2", 10))
    with torch.no_grad():
        doubled = {
            name: 2 * weight if name.startswith("classifier") else weight
            for name, weight in network.named_parameters()
        }
        torch.testing.assert_close(
            torch.func.functional_call(network, doubled, (images,)), 2 * network(images)
        )
