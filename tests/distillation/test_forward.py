"""One pass of images through a network: what it returns, and in which precision."""

import torch
from torch import Tensor

from core.distillation.forward import NetworkOutput, forward
from core.distillation.models.small_cnn import SmallCnn


def network_and_images() -> tuple[SmallCnn, Tensor]:
    torch.manual_seed(0)
    network = SmallCnn(10, width=4, channels=1).eval().requires_grad_(False)
    return network, torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_output_has_the_networks_features_and_logits() -> None:
    network, images_BCHW = network_and_images()
    for output in (forward(network, images_BCHW), forward(network, images_BCHW, "tf32")):
        assert torch.equal(output.features_BD, network.features(images_BCHW))
        assert torch.equal(output.logits_BK, network(images_BCHW))


def test_probabilities_sum_to_1_over_the_classes() -> None:
    logits_BK = torch.tensor([[0.0, 1.0, 2.0], [3.0, 3.0, 3.0]])
    output = NetworkOutput(torch.zeros(2, 1), logits_BK)
    expected_BK = logits_BK.exp() / logits_BK.exp().sum(dim=1, keepdim=True)
    torch.testing.assert_close(output.probabilities_BK, expected_BK)


def test_bf16_runs_the_network_alone_in_bf16() -> None:
    """Its output is fp32, so that statistics and losses are."""
    network, images_BCHW = network_and_images()
    output = forward(network, images_BCHW, "bf16")
    assert output.features_BD.dtype == output.logits_BK.dtype == torch.float32
    assert not torch.is_autocast_enabled("cpu")
    with torch.autocast("cpu", torch.bfloat16):
        expected_BK = network(images_BCHW)
    assert expected_BK.dtype == torch.bfloat16
    assert torch.equal(output.logits_BK, expected_BK.float())
    exact = forward(network, images_BCHW)
    assert not torch.equal(output.logits_BK, exact.logits_BK)
    torch.testing.assert_close(output.logits_BK, exact.logits_BK, atol=0.05, rtol=0.05)
