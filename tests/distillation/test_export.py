"""ONNX and torch.export files that give the network's own logits for any number of images."""

import io

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from core.distillation import export as exports
from core.distillation.export import export_network
from core.distillation.models import from_description
from core.errors import JobFailed
from core.jobspec.network import MobileNetV2, ModelDescription, Network, ResNet18, SmallCnn

NETWORKS: list[Network] = [SmallCnn(width=4, normalization="cifar10"), ResNet18(), MobileNetV2()]


def described(network: Network) -> ModelDescription:
    return ModelDescription(network=network, classes=7, channels=3, height=32, width=32)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda it: it.architecture)
def test_an_exported_network_gives_its_logits_for_any_number_of_images(network: Network) -> None:
    description = described(network)
    torch.manual_seed(0)
    built = from_description(description).train()
    files = {file.name: file for file in export_network(built, description, ("onnx", "torch_export"))}
    assert built.training, "the network is left as it was"
    images = torch.rand(5, 3, 32, 32)
    with torch.no_grad():
        expected = built.eval()(images)
    session = onnxruntime.InferenceSession(
        files["student.onnx"].content, providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(["logits"], {"images": images.numpy()})
    assert np.abs(found - expected.numpy()).max() <= 1e-4
    program = torch.export.load(io.BytesIO(files["student.pt2"].content)).module()
    torch.testing.assert_close(program(images), expected, atol=1e-4, rtol=0)
    assert all(file.difference <= 1e-4 for file in files.values())
    graph = onnx.load_from_string(files["student.onnx"].content).graph
    assert not graph.input[0].type.tensor_type.shape.dim[0].HasField("dim_value"), (
        "the batch is dynamic"
    )


def test_a_file_that_differs_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "TOLERANCE", -1.0)
    description = described(SmallCnn(width=2))
    with pytest.raises(JobFailed, match="differs"):
        list(export_network(from_description(description), description, ("torch_export",)))


def test_where_nothing_is_asked_for_nothing_is_done() -> None:
    description = described(SmallCnn(width=2))
    assert not list(export_network(from_description(description), description, ()))
