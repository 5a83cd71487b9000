"""First weights taken from a stored network: all of them, or all but a classifier for other classes."""

import pytest
import torch
from torch import nn

from core.distillation.models import build
from core.distillation.models.network import Classifier
from core.distillation.models.safetensors_weights import load_backbone
from core.errors import CorruptObject


def for_other_classes(network: Classifier, classes: int) -> Classifier:
    parent, _, name = network.classifier_name.rpartition(".")
    setattr(network.get_submodule(parent), name, nn.Linear(network.feature_dimension, classes))
    return network


def test_weights_for_the_same_classes_are_taken_whole(family, live_in, images):
    source, target = live_in(family()), family().eval()
    assert load_backbone(target, source.state_dict()) == []
    assert torch.equal(target(images), source(images))


def test_a_classifier_for_other_classes_stays_as_it_was_drawn(family, live_in, images):
    source, target = live_in(for_other_classes(family(), 7)), family().eval()
    name = target.classifier_name
    drawn = target.get_submodule(name).weight.detach().clone()
    assert load_backbone(target, source.state_dict()) == [f"{name}.weight", f"{name}.bias"]
    assert torch.equal(target.get_submodule(name).weight, drawn)
    assert torch.equal(target.features(images), source.features(images))


@pytest.mark.parametrize("change", ["a key less", "a key more", "another shape", "no classifier"])
def test_other_differences_are_corrupt_and_change_nothing(change, small):
    tensors, target = dict(small.state_dict()), build("small_cnn", 7, width=4)
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
