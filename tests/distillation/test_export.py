"""Exports to ONNX and torch.export: the network's own logits, for any number of images."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from core.distillation import export
from core.distillation.export import ExportDiffersError, compare_logits, export_network
from core.distillation.models import from_description
from core.distillation.models.network import Classifier
from core.jobspec.job import EXPORT_FORMATS
from core.jobspec.network import MobileNetV2, ModelDescription, Network, ResNet18, SmallCnn

NETWORKS: list[Network] = [SmallCnn(width=4, normalization="cifar10"), ResNet18(), MobileNetV2()]


def description_of(network: Network) -> ModelDescription:
    return ModelDescription(network=network, classes=7, channels=3, height=32, width=32)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.architecture)
def test_an_export_gives_the_logits_of_any_number_of_images(network: Network) -> None:
    description = description_of(network)
    torch.manual_seed(0)
    built = from_description(description).train()
    files = {
        export_format: export_network(built, description, export_format)
        for export_format in EXPORT_FORMATS
    }
    assert built.training, "the network is unchanged"
    images = torch.rand(5, 3, 32, 32)
    with torch.no_grad():
        expected = built.eval()(images)
    session = onnxruntime.InferenceSession(
        files["onnx"].content, providers=["CPUExecutionProvider"]
    )
    (logits_BK,) = session.run(["logits"], {"images": images.numpy()})
    assert np.abs(logits_BK - expected.numpy()).max() <= 1e-4
    program = torch.export.load(io.BytesIO(files["torch_export"].content)).module()
    torch.testing.assert_close(program(images), expected, atol=1e-4, rtol=0)
    assert all(file.max_difference <= 1e-4 for file in files.values())
    graph = onnx.load_from_string(files["onnx"].content).graph
    assert not graph.input[0].type.tensor_type.shape.dim[0].HasField("dim_value"), (
        "the batch is dynamic"
    )


@pytest.mark.parametrize("size", [1e-3, 200.0, 1e6])
def test_a_network_of_any_scale_can_be_exported(size: float) -> None:
    """A ResNet-18 whose largest logit is ``size``: at 200 it differs by more than 1e-4."""
    description = description_of(ResNet18())
    torch.manual_seed(0)
    network = from_description(description).eval()
    with torch.no_grad():
        largest = float(network(torch.rand(8, 3, 32, 32)).abs().max())
        for parameter in last_layer(network).parameters():
            parameter.mul_(size / largest)
    file = export_network(network, description, "onnx")
    assert file.max_difference < 5e-6 * size


def last_layer(network: Classifier) -> torch.nn.Linear:
    layers = [module for module in network.modules() if isinstance(module, torch.nn.Linear)]
    return layers[-1]


LOGITS_BK = torch.tensor([[200.0, -100.0, 3.0], [1.0, 2.0, 0.0]])


def test_logits_may_differ_in_proportion_to_the_largest() -> None:
    """5e-5 of 200 are 0.01; near 0 it is a hundred-thousandth."""
    near = LOGITS_BK + torch.tensor([0.0, 0.0, 0.0099])
    assert compare_logits(near, LOGITS_BK, "ONNX") == pytest.approx(0.0099, abs=1e-6)
    with pytest.raises(ExportDiffersError, match=r"differ by up to 0\.01.*the largest logit \(200"):
        compare_logits(LOGITS_BK + torch.tensor([0.0, 0.0, 0.0101]), LOGITS_BK, "ONNX")
    zeros_BK = torch.zeros(2, 3)
    assert compare_logits(zeros_BK + 9e-6, zeros_BK, "ONNX") == pytest.approx(9e-6)
    with pytest.raises(ExportDiffersError):
        compare_logits(zeros_BK + 1.1e-5, zeros_BK, "ONNX")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda logits: logits[:, [1, 0, 2]], "differ by up to"),
        (lambda logits: logits + torch.tensor([0.0, 0.5, 0.0]), "differ by up to 0.5"),
        (lambda logits: logits * 1.001, "differ by up to"),
        (lambda logits: logits.softmax(1), "differ by up to"),
        (lambda logits: logits.half().float() + 0.05, "differ by up to"),
        (lambda logits: logits / torch.tensor([1.0, 1.0, 0.0]), "that are not finite"),
        (lambda logits: logits * float("nan"), "that are not finite"),
        (lambda logits: logits[:, :1], r"shape \(2, 1\) instead of \(2, 3\)"),
        (lambda logits: logits[:1], r"shape \(1, 3\) instead of \(2, 3\)"),
        (lambda logits: logits.T, r"shape \(3, 2\) instead of \(2, 3\)"),
    ],
    ids=[
        "two classes permuted",
        "one class off",
        "a thousandth too large",
        "probabilities",
        "shifted",
        "one infinite class",
        "NaN",
        "one class",
        "one image",
        "transposed",
    ],
)
def test_wrong_logits_are_refused(wrong: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(ExportDiffersError, match=message):
        compare_logits(wrong(LOGITS_BK), LOGITS_BK, "ONNX")


def test_infinite_logits_of_the_network_cannot_be_checked() -> None:
    infinite_BK = LOGITS_BK * torch.tensor([1.0, float("inf"), 1.0])
    with pytest.raises(ExportDiffersError, match="The network's own logits are not finite"):
        compare_logits(infinite_BK, infinite_BK, "ONNX")


def test_every_checked_batch_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """An export that is wrong in batches of eight alone is refused."""
    description = description_of(SmallCnn(width=2))
    exporter = export.EXPORTERS["torch_export"]

    def load(content: bytes) -> Callable[[Tensor], Tensor]:
        run = exporter.load(content)
        return lambda images_BCHW: run(images_BCHW) + (1.0 if len(images_BCHW) == 8 else 0.0)

    monkeypatch.setitem(export.EXPORTERS, "torch_export", replace(exporter, load=load))
    with pytest.raises(ExportDiffersError, match="differ by up to 1 "):
        export_network(from_description(description), description, "torch_export")


def test_an_exporter_cannot_hide_what_it_does_to_its_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    description = description_of(SmallCnn(width=2))
    exporter = export.EXPORTERS["torch_export"]

    def serialize(network: Classifier, description: ModelDescription) -> bytes:
        with torch.no_grad():
            last_layer(network).bias.add_(1.0)
        return exporter.serialize(network, description)

    changed: Any = replace(exporter, serialize=serialize)
    monkeypatch.setitem(export.EXPORTERS, "torch_export", changed)
    with pytest.raises(ExportDiffersError):
        export_network(from_description(description), description, "torch_export")
