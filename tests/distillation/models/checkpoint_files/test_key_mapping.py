"""Prefixes of wrappers, and keys that belong to no network."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from core.distillation.models import build
from core.distillation.models.checkpoint_files.key_mapping import is_ignored
from core.distillation.models.importers import load
from core.distillation.models.network import Classifier
from core.distillation.models.small_cnn import SmallCnn
from core.errors import Refused
from tests.distillation.models.networks import with_statistics

Save = Callable[..., Path]


def prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: tensor for key, tensor in state.items()}


@pytest.mark.parametrize(
    "prefix",
    [
        "encoder.",
        "backbone.",
        "basic_net.",
        "module.encoder.module.",
        "_forward_module.net.",
        "linear.",
        "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.",
    ],
)
def test_one_prefix_of_any_name_comes_off(
    prefix: str, family: Callable[[], Classifier], save: Save, images: Tensor
) -> None:
    source = with_statistics(family())
    target = family().eval()
    report = load(target, save({"net": prefixed(prefix, source.state_dict())}))
    assert torch.equal(target(images), source(images))
    assert report.renamed == {prefix + key: key for key in source.state_dict()}
    assert (report.dropped, report.other_state_dicts, report.state_dict) == ([], [], "net")


def refusal(small: SmallCnn, path: Path) -> Refused:
    with pytest.raises(Refused) as caught:
        load(small, path)
    return caught.value


def test_mixed_prefixes_are_said_to_be_mixed(small: SmallCnn, save: Save) -> None:
    weights = small.state_dict()
    weights["module.conv2.weight"] = weights.pop("conv2.weight")
    weights["head.linear.bias"] = weights.pop("linear.bias")
    error = refusal(small, save(weights))
    assert (error.code, error.message) == (
        "missing_keys",
        "The keys have different prefixes, and a wrapper puts the same before all of them: "
        "conv1.weight, 'module.' (module.conv2.weight), 'head.' (head.linear.bias).",
    )


def test_prefix_of_most_keys_is_named_with_a_key(small: SmallCnn, save: Save) -> None:
    weights = prefixed("module.", small.state_dict())
    weights["linear.bias"] = weights.pop("module.linear.bias")
    assert refusal(small, save(weights)).message.endswith(
        ": 'module.' (module.conv1.weight), linear.bias."
    )


def test_prefixes_with_another_key_are_not_the_problem(small: SmallCnn, save: Save) -> None:
    """A key that no network has says more."""
    weights = small.state_dict()
    weights["module.conv2.weight"] = weights.pop("conv2.weight")
    weights["projector.weight"] = torch.rand(3, 3)
    assert refusal(small, save(weights)).message == (
        "The file lacks conv2.weight. It has keys that the network does not know: "
        "module.conv2.weight, projector.weight."
    )


def test_missing_keys_behind_a_prefix_have_the_networks_names(small: SmallCnn, save: Save) -> None:
    weights = prefixed("encoder.", small.state_dict())
    del weights["encoder.bn1.bias"]
    assert refusal(small, save(weights)).message == "The file lacks bn1.bias."


def test_part_of_a_copy_is_unexpected(small: SmallCnn, save: Save) -> None:
    weights = {**small.state_dict(), "ema.conv1.weight": torch.rand(4, 3, 3, 3)}
    error = refusal(small, save(weights))
    assert error.message == "The network has no place for ema.conv1.weight."


def test_copy_without_counters_is_a_copy(small: SmallCnn, save: Save) -> None:
    copy = {key: value for key, value in small.state_dict().items() if "num_batches" not in key}
    report = load(
        build("small_cnn", 10, width=4), save({**small.state_dict(), **prefixed("e.", copy)})
    )
    assert report.dropped == sorted(prefixed("e.", copy))
    assert "equals the weights loaded" in report.remarks[0]


@pytest.mark.parametrize(
    "key",
    [
        *("mean", "std", "mu", "sigma", "0.mean", "normalize.std", "module.normalizer.new_mean"),
        *("normalizer.new_std", "pixel_mean", "norm_layer.image_std", "means", "_mean", "std_"),
        *("normalize.sds", "0.mean_rgb", "0.STD", "normStd", "0.var", "mean_vec", "std_dev"),
        *("data.input_stdev", "sub_block1.layer.0.bn1.weight", "module.sub_block1.x", "n_averaged"),
    ],
)
def test_keys_of_normalization_and_averages_are_ignored(key: str) -> None:
    assert is_ignored(key)


@pytest.mark.parametrize(
    "key",
    [
        *("bn1.running_mean", "running_mean", "bn1.moving_mean", "weight_mu", "fc.bias_sigma"),
        *("mean.weight", "meaning", "standard", "demean", "sub_block1", "n_averaged.weight"),
        *("xsub_block1.layer", "running_var", "std.0", "rgb", "mean_teacher", "x" * 200 + "_mean"),
    ],
)
def test_other_keys_are_not_ignored(key: str) -> None:
    assert not is_ignored(key)
