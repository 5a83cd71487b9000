"""A network prepared for inference has the network's outputs, with and without gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.distillation.models import build
from core.distillation.models.inference_network import prepare_for_inference
from core.distillation.models.network import Classifier


def with_statistics(network: Classifier) -> Classifier:
    """Put a network into eval mode, with batch norms that are not the identity."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    return network.eval()


def images(count: int) -> Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("small_cnn", {}),
        ("small_cnn", {"normalization": "cifar10"}),
        ("mobilenet_v2", {}),
        ("resnet18", {}),
        ("deit_s", {}),
    ],
)
def test_logits_and_gradients_are_the_networks(architecture: str, settings: dict[str, Any]) -> None:
    """For any number of images, with and without gradients."""
    torch.manual_seed(0)
    network = with_statistics(build(architecture, 10, **settings))
    evaluated = prepare_for_inference(network)
    for count in (3, 5):
        one = images(count).requires_grad_()
        other = images(count).requires_grad_()
        expected = network(one)
        actual = evaluated(other)
        torch.testing.assert_close(
            actual, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item()
        )
        (expected_gradient,) = torch.autograd.grad(expected[:, 0].sum(), one)
        (gradient,) = torch.autograd.grad(actual[:, 0].sum(), other)
        torch.testing.assert_close(
            gradient, expected_gradient, rtol=1e-3, atol=1e-3 * expected_gradient.abs().max().item()
        )
        with torch.no_grad():
            torch.testing.assert_close(
                evaluated(one), expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item()
            )
    assert isinstance(evaluated.compiled, torch.jit.ScriptModule)


def test_the_network_itself_is_left_as_it_is() -> None:
    network = with_statistics(build("small_cnn", 10))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        prepare_for_inference(network)(images(2))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert network.get_parameter("conv1.weight").is_contiguous()
    assert all(parameter.requires_grad for parameter in network.parameters())


class DataDependent(Classifier):
    """Has one function for bright images and one for dark ones, or one for three and more."""

    def __init__(self, by: str) -> None:
        super().__init__(channels=3, normalization="none")
        self.by = by

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        large = (
            len(normalized_BCHW) > 2 if self.by == "number" else float(normalized_BCHW.mean()) > 0.5
        )
        return normalized_BCHW * (2 if large else 1)

    def classify(self, features_BD: Tensor) -> Tensor:
        return features_BD


@pytest.mark.parametrize("by", ["number", "brightness"])
def test_data_dependent_network_is_not_compiled(by: str) -> None:
    """A network whose control flow depends on the images is not compiled."""
    network = DataDependent(by).eval()
    evaluated = prepare_for_inference(network)
    with torch.no_grad():
        for batch in (0.3 * images(2), 0.7 + 0.3 * images(2), images(3)):
            assert torch.equal(evaluated(batch), network(batch))
    assert evaluated.compiled is evaluated.eager
