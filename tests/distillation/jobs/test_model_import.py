"""The model import job, from its folder to its events; and the files of weights that it writes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from core.atomic_files import sha256_of
from core.distillation.jobs.model_import import import_model
from core.distillation.models import from_description
from core.distillation.models.network import Classifier
from core.distillation.models.safetensors_weights import load_weights, serialize_weights
from core.errors import CorruptObject, Refused
from core.job_folder import FileReady, Imported, JobFolder
from core.jobspec.job import ImportModelSpec
from core.jobspec.network import ModelDescription, SmallCnn

DESCRIPTION = ModelDescription(
    network=SmallCnn(width=4), classes=10, channels=3, height=32, width=32
)


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    folder = JobFolder(tmp_path / "job")
    folder.create(ImportModelSpec(model_id="model-1", description=DESCRIPTION))
    return folder


@pytest.fixture
def network() -> Classifier:
    """A small network in eval mode, whose batch norm statistics are not the initial ones."""
    network = from_description(DESCRIPTION)
    generator = torch.Generator().manual_seed(1)
    for key, tensor in network.state_dict().items():
        if key.endswith("running_mean"):
            tensor.normal_(0, 0.1, generator=generator)
        elif key.endswith("running_var"):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif key.endswith("num_batches_tracked"):
            tensor.fill_(7)
    return network.eval()


def test_an_upload_becomes_canonical_weights(folder: JobFolder, network: Classifier) -> None:
    """The weights file has the family's keys in fp32, and the events describe file and changes."""
    state = network.state_dict()
    upload = {"net": {f"module.{key}": tensor.half() for key, tensor in state.items()}}
    torch.save(upload, folder.upload)
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
    assert imported.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert imported.report["renamed"]["module.conv1.weight"] == "conv1.weight"
    assert imported.report["converted"]["conv1.weight"] == "float16"
    tensors = load_file(folder.output / "model.safetensors")
    assert tensors.keys() == state.keys()
    assert tensors["conv1.weight"].dtype == torch.float32
    assert torch.equal(tensors["conv1.weight"], state["conv1.weight"].half().float())


def test_a_refused_upload_publishes_nothing(folder: JobFolder) -> None:
    folder.upload.write_bytes(b"not a checkpoint at all")
    with pytest.raises(Refused):
        import_model(folder)
    assert folder.read_events()[0] == []
    assert list(folder.output.iterdir()) == []


def test_weights_survive_a_round_trip_bit_for_bit(network: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(serialize_weights(network, {"description": "{}"}))
    target = from_description(DESCRIPTION).eval()
    load_weights(target, path)
    expected = network.state_dict()
    actual = target.state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in actual.items())
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"description": "{}"}


def test_memory_layout_and_type_do_not_change_the_file(network: Classifier) -> None:
    plain = serialize_weights(network)
    assert serialize_weights(network.to(memory_format=torch.channels_last)) == plain
    assert serialize_weights(network.double()) == plain


@pytest.mark.parametrize("change", ["a key less", "a key more", "another shape", "cut short"])
def test_weights_of_another_network_are_corrupt(
    change: str, network: Classifier, tmp_path: Path
) -> None:
    """A file must have exactly the network's keys and shapes."""
    tensors = dict(network.state_dict())
    path = tmp_path / "weights"
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
        load_weights(network, path)


@pytest.mark.parametrize(
    ("options", "value"),
    [({}, 1.0), ({"state_dict": "ema"}, 2.0)],
)
def test_the_spec_chooses_the_state_dict(
    options: dict[str, str], value: float, folder: JobFolder, network: Classifier
) -> None:
    state = network.state_dict()
    trees = [{key: torch.full_like(t, number) for key, t in state.items()} for number in (2, 1)]
    torch.save({"ema": trees[0], "net": trees[1]}, folder.upload)
    write_spec(folder, DESCRIPTION, **options)
    import_model(folder)
    tensors = load_file(folder.output / "model.safetensors")
    assert tensors["linear.bias"].tolist() == [value] * 10


def write_spec(folder: JobFolder, description: ModelDescription, **options: Any) -> None:
    spec = ImportModelSpec(model_id="model-1", description=description, **options)
    folder.spec.write_text(spec.model_dump_json())


@pytest.mark.parametrize(("is_assumed", "name"), [(True, "imagenet"), (False, "none")])
def test_files_constants_decide_where_nobody_chose(
    is_assumed: bool, name: str, folder: JobFolder, network: Classifier
) -> None:
    """The description that is published, and the one in the weights file, have the result."""
    constants = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    torch.save({"net": network.state_dict(), **constants}, folder.upload)
    write_spec(folder, DESCRIPTION, normalization_assumed=is_assumed)
    import_model(folder)
    imported = folder.read_events()[0][-1]
    assert isinstance(imported, Imported)
    assert imported.model == ModelDescription(
        network=SmallCnn.model_validate({"width": 4, "normalization": name}),
        classes=10,
        channels=3,
        height=32,
        width=32,
    )
    with safe_open(folder.output / "model.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert ModelDescription.model_validate_json(metadata["description"]) == imported.model


def test_report_says_why_a_normalization_was_assumed(
    folder: JobFolder, network: Classifier
) -> None:
    torch.save(network.state_dict(), folder.upload)
    write_spec(folder, DESCRIPTION, normalization_assumed=True)
    import_model(folder)
    imported = folder.read_events()[0][-1]
    assert isinstance(imported, Imported)
    assert imported.report["normalization"] == (
        "The file has no mean and std: 'none' was assumed, because it is the default of small_cnn."
    )


def test_spec_of_an_earlier_release_is_imported(folder: JobFolder, network: Classifier) -> None:
    body = {"kind": "import_model", "model_id": "model-1"}
    folder.spec.write_text(json.dumps({**body, "description": DESCRIPTION.model_dump()}))
    torch.save(network.state_dict(), folder.upload)
    import_model(folder)
    imported = folder.read_events()[0][-1]
    assert isinstance(imported, Imported)
    assert imported.report["normalization"].startswith("The network normalizes by 'none', as asked")
