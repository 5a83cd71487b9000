"""Exports to ONNX and torch.export: the network's own logits, for any number of images."""

import io

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from core.distillation import export
from core.distillation.export import export_network
from core.distillation.models import from_description
from core.errors import JobFailed
from core.jobspec.network import MobileNetV2, ModelDescription, Network, ResNet18, SmallCnn

NETWORKS: list[Network] = [SmallCnn(width=4, normalization="cifar10"), ResNet18(), MobileNetV2()]


def description_of(network: Network) -> ModelDescription:
    return ModelDescription(network=network, classes=7, channels=3, height=32, width=32)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.architecture)
def test_an_export_gives_the_logits_of_any_number_of_images(network: Network) -> None:
    description = description_of(network)
    torch.manual_seed(0)
    built = from_description(description).train()
    exports = export_network(built, description, ("onnx", "torch_export"))
    files = {file.name: file for file in exports}
    assert built.training, "the network is unchanged"
    images = torch.rand(5, 3, 32, 32)
    with torch.no_grad():
        expected = built.eval()(images)
    session = onnxruntime.InferenceSession(
        files["student.onnx"].content, providers=["CPUExecutionProvider"]
    )
    (logits_BK,) = session.run(["logits"], {"images": images.numpy()})
    assert np.abs(logits_BK - expected.numpy()).max() <= 1e-4
    program = torch.export.load(io.BytesIO(files["student.pt2"].content)).module()
    torch.testing.assert_close(program(images), expected, atol=1e-4, rtol=0)
    assert all(file.max_difference <= 1e-4 for file in files.values())
    graph = onnx.load_from_string(files["student.onnx"].content).graph
    assert not graph.input[0].type.tensor_type.shape.dim[0].HasField("dim_value"), (
        "the batch is dynamic"
    )


def test_an_export_with_other_logits_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    description = description_of(SmallCnn(width=2))
    with pytest.raises(JobFailed, match="differs"):
        list(export_network(from_description(description), description, ("torch_export",)))


def test_without_formats_nothing_is_exported() -> None:
    description = description_of(SmallCnn(width=2))
    assert not list(export_network(from_description(description), description, ()))
