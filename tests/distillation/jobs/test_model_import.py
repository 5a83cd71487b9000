"""The import job's body, from a laid out folder to what it says; and our own weight files."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from core.atomic_files import sha256_of
from core.distillation.jobs.model_import import import_model
from core.distillation.models import build
from core.distillation.models.safetensors_weights import load_weights, serialize_weights
from core.errors import CorruptObject, Refused
from core.job_folder import FileReady, Imported, JobFolder
from core.jobspec.job import ImportModelSpec
from core.jobspec.network import ModelDescription

DESCRIPTION = ModelDescription(
    network={"architecture": "small_cnn", "width": 4}, classes=10, channels=3, height=32, width=32
)


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    folder = JobFolder(tmp_path / "job")
    folder.create(ImportModelSpec(model_id="model-1", description=DESCRIPTION))
    return folder


def test_an_upload_becomes_canonical_weights_and_is_described(folder, small, images):
    torch.save(
        {"net": {f"module.{key}": tensor.half() for key, tensor in small.state_dict().items()}},
        folder.upload,
    )
    import_model(folder)
    ready, imported = folder.read_events()[0]
    assert isinstance(ready, FileReady)
    assert (ready.name, ready.kind, ready.sha256) == (
        "model.safetensors",
        "model",
        sha256_of(folder.output / ready.name),
    )
    assert isinstance(imported, Imported)
    assert imported.model == DESCRIPTION
    assert imported.parameters == sum(parameter.numel() for parameter in small.parameters())
    assert imported.report["renamed"]["module.conv1.weight"] == "conv1.weight"
    assert imported.report["converted"]["conv1.weight"] == "float16"
    tensors = load_file(folder.output / "model.safetensors")
    assert tensors.keys() == small.state_dict().keys()
    assert tensors["conv1.weight"].dtype == torch.float32
    assert torch.equal(tensors["conv1.weight"], small.conv1.weight.half().float())


def test_a_refused_upload_publishes_nothing(folder):
    folder.upload.write_bytes(b"not a checkpoint at all")
    with pytest.raises(Refused):
        import_model(folder)
    assert folder.read_events()[0] == []
    assert list(folder.output.iterdir()) == []


def test_weights_written_and_read_again_are_the_same_bits(small, tmp_path, images):
    (tmp_path / "weights").write_bytes(serialize_weights(small, {"description": "{}"}))
    target = build("small_cnn", 10, width=4).eval()
    load_weights(target, tmp_path / "weights")
    assert all(
        torch.equal(tensor, small.state_dict()[key]) for key, tensor in target.state_dict().items()
    )
    with safe_open(tmp_path / "weights", framework="pt") as file:
        assert file.metadata() == {"description": "{}"}


def test_weights_in_another_memory_layout_or_format_give_the_same_file(small):
    plain = serialize_weights(small)
    assert serialize_weights(small.to(memory_format=torch.channels_last)) == plain
    assert serialize_weights(small.double()) == plain


@pytest.mark.parametrize("change", ["a key less", "a key more", "another shape", "cut short"])
def test_a_weight_file_that_is_not_exactly_this_network_s_is_corrupt(change, small, tmp_path):
    tensors, path = dict(small.state_dict()), tmp_path / "weights"
    if change == "a key less":
        del tensors["bn1.num_batches_tracked"]
    elif change == "a key more":
        tensors["more"] = torch.rand(3)
    elif change == "another shape":
        tensors["linear.bias"] = torch.rand(11)
    save_file(tensors, path)
    if change == "cut short":
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptObject, match="does not hold the weights of a SmallCnn"):
        load_weights(small, path)
