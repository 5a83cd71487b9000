"""A network for evaluation says what the network itself says, with and without gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.distillation.models import build
from core.distillation.models.inference_network import prepare_for_inference
from core.distillation.models.network import Classifier


def with_statistics(network: nn.Module) -> Any:
    """As after some training: batch norms that do something."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)  # type: ignore[union-attr, operator]
            module.running_var.uniform_(0.5, 2, generator=generator)  # type: ignore[union-attr, operator]
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
        one, other = images(count).requires_grad_(), images(count).requires_grad_()
        expected, found = network(one), evaluated(other)
        torch.testing.assert_close(
            found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())
        )
        (expected_gradient,) = torch.autograd.grad(expected[:, 0].sum(), one)
        (gradient,) = torch.autograd.grad(found[:, 0].sum(), other)
        torch.testing.assert_close(
            gradient, expected_gradient, rtol=1e-3, atol=1e-3 * float(expected_gradient.abs().max())
        )
        with torch.no_grad():
            torch.testing.assert_close(
                evaluated(one), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())
            )
    assert isinstance(evaluated.compiled, torch.jit.ScriptModule)


def test_the_network_itself_is_left_as_it_is() -> None:
    network = with_statistics(build("small_cnn", 10))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        prepare_for_inference(network)(images(2))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert network.conv1.weight.is_contiguous()
    assert all(parameter.requires_grad for parameter in network.parameters())


class Grey(Classifier):
    """Takes another course for bright images than for dark ones, or for another number of them."""

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
    network = Grey(by).eval()
    evaluated = prepare_for_inference(network)
    with torch.no_grad():
        for asked in (0.3 * images(2), 0.7 + 0.3 * images(2), images(3)):
            assert torch.equal(evaluated(asked), network(asked))
    assert evaluated.compiled is evaluated.eager
