"""First weights from a stored network: all of them, or all but a classifier for other classes."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from core.distillation.models import build
from core.distillation.models.network import Classifier
from core.distillation.models.safetensors_weights import load_backbone
from core.distillation.models.small_cnn import SmallCnn
from core.errors import CorruptObject
from tests.distillation.models.networks import with_statistics


def for_other_classes(network: Classifier, classes: int) -> Classifier:
    parent, _, name = network.classifier_name.rpartition(".")
    setattr(network.get_submodule(parent), name, nn.Linear(network.feature_dimension, classes))
    return network


def test_weights_for_the_same_classes_are_loaded_completely(
    family: Callable[[], Classifier], images: Tensor
) -> None:
    source = with_statistics(family())
    target = family().eval()
    assert load_backbone(target, source.state_dict()) == []
    assert torch.equal(target(images), source(images))


def test_classifier_for_other_classes_is_not_loaded(
    family: Callable[[], Classifier], images: Tensor
) -> None:
    source = with_statistics(for_other_classes(family(), 7))
    target = family().eval()
    name = target.classifier_name
    before = target.get_parameter(f"{name}.weight").detach().clone()
    assert load_backbone(target, source.state_dict()) == [f"{name}.weight", f"{name}.bias"]
    assert torch.equal(target.get_parameter(f"{name}.weight"), before)
    assert torch.equal(target.features(images), source.features(images))


@pytest.mark.parametrize("change", ["a key less", "a key more", "another shape", "no classifier"])
def test_other_differences_are_corrupt_and_change_nothing(change: str, small: SmallCnn) -> None:
    tensors = dict(small.state_dict())
    target = build("small_cnn", 7, width=4)
    before = {key: tensor.clone() for key, tensor in target.state_dict().items()}
    if change == "a key less":
        del tensors["bn1.num_batches_tracked"]
    elif change == "a key more":
        tensors["more"] = torch.rand(3)
    elif change == "another shape":
        tensors["conv2.weight"] = torch.rand(8, 4, 5, 5)
    else:
        del tensors["linear.weight"], tensors["linear.bias"]
    with pytest.raises(
        CorruptObject, match=r"not weights of this SmallCnn; .* differ: (bn1|more|conv2|linear)"
    ):
        load_backbone(target, tensors)
    assert all(torch.equal(before[key], tensor) for key, tensor in target.state_dict().items())
