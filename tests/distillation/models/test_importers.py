"""Well-formed third-party checkpoints: whatever wraps their keys, the outputs are the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from core.distillation.models import build
from core.distillation.models.importers import load
from core.distillation.models.network import Classifier
from core.distillation.models.small_cnn import SmallCnn
from core.distillation.models.wide_resnet import WideResNet
from core.errors import Refused
from tests.distillation.models.networks import with_statistics

MEAN = torch.tensor([0.4914, 0.4822, 0.4465]).view(1, 3, 1, 1)
STD = torch.tensor([0.2471, 0.2435, 0.2616]).view(1, 3, 1, 1)

Weights = dict[str, Tensor]


def prefixed(prefix: str, weights: Weights) -> Weights:
    return {prefix + key: tensor for key, tensor in weights.items()}


WRAPPERS: dict[str, Callable[[Weights], Weights]] = {
    "none": lambda weights: weights,
    "DataParallel": lambda weights: prefixed("module.", weights),
    "RobustBench": lambda weights: {
        "normalize.mean": MEAN,
        "normalize.std": STD,
        **prefixed("model.", weights),
    },
    "Sequential with normalization": lambda weights: {
        "0.mean": MEAN,
        "0.std": STD,
        **prefixed("1.", weights),
    },
    "Sequential without buffers": lambda weights: prefixed("0.", weights),
    "DataParallel around Sequential": lambda weights: {
        "module.0.mu": MEAN,
        "module.0.sigma": STD,
        **prefixed("module.1.", weights),
    },
    "torch.compile": lambda weights: prefixed("_orig_mod.", weights),
    "repeated": lambda weights: prefixed("module.module.model.", weights),
    "weight averaging": lambda weights: {
        "n_averaged": torch.tensor(9),
        **prefixed("module.", weights),
    },
    "an unused block": lambda weights: {
        "sub_block1.layer.0.conv1.weight": torch.rand(3),
        **weights,
    },
    "an unused block, wrapped": lambda weights: prefixed(
        "module.", {"sub_block1.layer.0.conv1.weight": MEAN, **weights}
    ),
}
NESTS: dict[str, Callable[[Weights], dict[str, Any]]] = {
    "state_dict": lambda weights: {
        "epoch": 3,
        "state_dict": weights,
        "lr": 0.1,
        "betas": (0.9, 0.99),
        "dtype": torch.float32,
    },
    "model_state_dict": lambda weights: {
        "model_state_dict": weights,
        "size": torch.Size([3, 32]),
        "args": {"device": torch.device("cpu")},
    },
    "net": lambda weights: {"acc": 93.1, "net": weights, "amp": None, "nesterov": True},
    "model": lambda weights: {"model": weights},
    "two deep": lambda weights: {"model": {"state_dict": prefixed("module.", weights)}},
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapped_checkpoint_gives_the_same_logits(
    wrapper: str, family: Callable[[], Classifier], save: Callable[..., Path], images: Tensor
) -> None:
    source = with_statistics(family())
    target = family().eval()
    report = load(target, save(WRAPPERS[wrapper](source.state_dict())))
    assert torch.equal(target(images), source(images))
    assert (report.filled, report.converted) == ([], {})


@pytest.mark.parametrize("nest", NESTS)
def test_a_nested_checkpoint_gives_the_same_logits(
    nest: str, family: Callable[[], Classifier], save: Callable[..., Path], images: Tensor
) -> None:
    source = with_statistics(family())
    target = family().eval()
    load(target, save(NESTS[nest](source.state_dict())))
    assert torch.equal(target(images), source(images))


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_safetensors_give_the_same_logits(
    wrapper: str, small: SmallCnn, tmp_path: Path, images: Tensor
) -> None:
    target = build("small_cnn", 10, width=4).eval()
    weights = {key: tensor.clone() for key, tensor in WRAPPERS[wrapper](small.state_dict()).items()}
    save_file(weights, tmp_path / "upload")
    load(target, tmp_path / "upload")
    assert torch.equal(target(images), small(images))


def test_file_of_a_training_run_can_be_imported(
    small: SmallCnn, save: Callable[..., Path], images: Tensor
) -> None:
    optimizer = torch.optim.Adam(small.parameters())
    small(images).sum().backward()
    optimizer.step()
    path = save(
        {
            "state_dict": small.state_dict(),
            "optimizer": optimizer.state_dict(),
            "rng": torch.get_rng_state(),
        }
    )
    target = build("small_cnn", 10, width=4).eval()
    load(target, path)
    assert torch.equal(target(images), small(images))


def test_parameters_and_views_of_tensors_can_be_imported(
    small: SmallCnn, save: Callable[..., Path], images: Tensor
) -> None:
    """Parameters saved as such, and views of larger or transposed tensors."""
    weights = dict(small.state_dict(keep_vars=True))
    weights["conv2.weight"] = torch.stack([weights["conv2.weight"].detach()] * 3)[1]
    weights["linear.weight"] = weights["linear.weight"].detach().t().contiguous().t()
    target = build("small_cnn", 10, width=4).eval()
    load(target, save(weights))
    assert torch.equal(target(images), small(images))


def test_the_report_names_every_key_that_was_renamed_or_dropped(
    small: SmallCnn, save: Callable[..., Path]
) -> None:
    weights = {
        "0.mean": MEAN,
        "0.std": STD,
        "n_averaged": torch.tensor(2),
        **prefixed("1.", small.state_dict()),
        "epoch": 4,
    }
    report = load(build("small_cnn", 10, width=4, normalization="cifar10"), save(weights))
    assert report.renamed == {f"1.{key}": key for key in small.state_dict()}
    assert report.dropped == ["0.mean", "0.std", "n_averaged", "epoch"]
    assert report.to_dict() == {
        "renamed": report.renamed,
        "dropped": report.dropped,
        "filled": [],
        "converted": {},
        "remarks": [],
        "state_dict": None,
        "other_state_dicts": [],
        "normalization": "The file has the mean and std of 'cifar10', the network's: "
        "0.mean = 0.4914, 0.4822, 0.4465, 0.std = 0.2471, 0.2435, 0.2616.",
    }


def test_a_file_that_fits_as_it_is_has_an_empty_report(
    small: SmallCnn, save: Callable[..., Path]
) -> None:
    report = load(build("small_cnn", 10, width=4), save(small.state_dict())).to_dict()
    assert report.pop("normalization") == (
        "The network normalizes by 'none', as asked; the file has no mean and std."
    )
    assert not any(report.values())


def test_counters_that_old_files_lack_are_filled_with_zeros(
    small: SmallCnn, save: Callable[..., Path], images: Tensor
) -> None:
    weights = {
        key: tensor
        for key, tensor in small.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    target = SmallCnn(10, width=4).eval()
    assert target.bn1.num_batches_tracked is not None
    target.bn1.num_batches_tracked.fill_(5)
    report = load(target, save(weights))
    assert report.filled == [
        "bn1.num_batches_tracked",
        "bn2.num_batches_tracked",
        "bn3.num_batches_tracked",
    ]
    assert target.bn1.num_batches_tracked == 0
    assert torch.equal(target(images), small(images))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_number_formats_become_fp32_and_are_reported(
    dtype: torch.dtype, small: SmallCnn, save: Callable[..., Path]
) -> None:
    weights = {
        key: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for key, tensor in small.state_dict().items()
    }
    target = SmallCnn(10, width=4)
    report = load(target, save(weights))
    assert all(
        tensor.dtype in (torch.float32, torch.int64) for tensor in target.state_dict().values()
    )
    assert torch.equal(target.conv1.weight, small.conv1.weight.to(dtype).float())
    assert report.converted["conv1.weight"] == str(dtype).removeprefix("torch.")
    assert "bn1.num_batches_tracked" not in report.converted


def test_other_normalization_than_the_networks_is_a_remark(
    small: SmallCnn, save: Callable[..., Path]
) -> None:
    path = save({"0.mean": MEAN, "0.std": STD, **prefixed("1.", small.state_dict())})
    assert load(build("small_cnn", 10, width=4, normalization="cifar10"), path).remarks == []
    remarks = load(build("small_cnn", 10, width=4), path).remarks
    assert len(remarks) == 2
    assert "0.mean = 0.4914, 0.4822, 0.4465" in remarks[0]


def refusal(path: Path, network: Classifier) -> Refused:
    """Return the error of an import, and assert that the network has not changed."""
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    with pytest.raises(Refused) as caught:
        load(network, path)
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    return caught.value


def test_missing_keys_are_named(small: SmallCnn, save: Callable[..., Path]) -> None:
    weights = small.state_dict()
    del weights["conv2.weight"], weights["bn3.bias"]
    error = refusal(save(weights), small)
    assert error.code == "missing_keys"
    assert error.message == "The file lacks conv2.weight, bn3.bias."


def test_ten_of_many_missing_keys_are_named(small: SmallCnn, save: Callable[..., Path]) -> None:
    """Of a file that looks like no network that is known by name: 34 of its keys are missing."""
    wide = WideResNet(10, depth=10, widening=1)
    weights = {key: tensor for key, tensor in small.state_dict().items() if "conv3" not in key}
    error = refusal(save(weights), wide)
    assert error.code == "missing_keys"
    assert error.message.startswith(
        "The file lacks block1.layer.0.bn1.weight, block1.layer.0.bn1.bias, "
    )
    assert error.message.count("block1.") == 10
    assert "and 24 more, 34 in all. " in error.message
    assert "does not know: bn2.bias" in error.message
    assert " and 3 more, 13 in all." in error.message


def test_unexpected_keys_are_named(small: SmallCnn, save: Callable[..., Path]) -> None:
    error = refusal(save({**small.state_dict(), "head.weight": MEAN}), small)
    assert (error.code, error.message) == (
        "unexpected_keys",
        "The network has no place for head.weight.",
    )


def test_prefix_of_some_keys_is_not_a_wrapper(small: SmallCnn, save: Callable[..., Path]) -> None:
    weights = small.state_dict()
    weights["module.conv1.weight"] = weights.pop("conv1.weight")
    assert refusal(save(weights), small).code == "missing_keys"


def test_misshaped_keys_are_named_with_both_shapes(
    small: SmallCnn, save: Callable[..., Path]
) -> None:
    weights = small.state_dict()
    weights["bn1.weight"] = torch.rand(5)
    weights["linear.bias"] = torch.rand(3, 3)
    error = refusal(save(weights), small)
    assert (error.code, error.message) == (
        "misshaped_keys",
        "These weights have other shapes than the network's: bn1.weight (5 in the file, 4 needed), "
        "linear.bias (3x3 in the file, 10 needed).",
    )


@pytest.mark.parametrize("key", ["bn2.running_var", "bn2.num_batches_tracked"])
def test_negative_variances_and_counters_are_refused(
    key: str, small: SmallCnn, save: Callable[..., Path]
) -> None:
    weights = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    weights[key].view(-1)[-1] = -3
    error = refusal(save(weights), build("small_cnn", 10, width=4))
    assert (error.code, error.message) == (
        "negative_variance",
        f"{key} has a negative number, -3: the variances and counters of a batch norm are 0 or "
        "more.",
    )


def test_variance_of_zero_and_negative_weights_load(
    small: SmallCnn, save: Callable[..., Path]
) -> None:
    weights = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    weights["bn2.running_var"][:] = 0
    weights["bn2.running_mean"][:] = -1
    target = build("small_cnn", 10, width=4)
    load(target, save(weights))
    assert torch.equal(target.state_dict()["bn2.running_var"], torch.zeros(8))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_named(
    value: float, small: SmallCnn, save: Callable[..., Path]
) -> None:
    target = build("small_cnn", 10, width=4)
    assert small.bn2.running_var is not None
    small.bn2.running_var[3] = value
    error = refusal(save(small.state_dict()), target)
    assert error.code == "non_finite_weights"
    assert "bn2.running_var" in error.message


def test_a_number_too_large_for_fp32_is_not_finite(
    small: SmallCnn, save: Callable[..., Path]
) -> None:
    weights = {**small.state_dict(), "conv1.weight": small.conv1.weight.detach().double() * 1e300}
    assert refusal(save(weights), small).code == "non_finite_weights"


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.int64])
def test_integers_are_not_accepted_as_weights(
    dtype: torch.dtype, small: SmallCnn, save: Callable[..., Path]
) -> None:
    error = refusal(
        save({**small.state_dict(), "conv1.weight": small.conv1.weight.detach().to(dtype)}), small
    )
    assert error.code == "unreadable_checkpoint"
    assert str(dtype) in error.message


def test_overflowed_counter_in_half_precision_becomes_zero(
    small: SmallCnn, save: Callable[..., Path]
) -> None:
    weights = {name: tensor.half() for name, tensor in small.state_dict().items()}
    weights["bn1.num_batches_tracked"] = torch.tensor(float("inf"), dtype=torch.float16)
    weights["bn2.num_batches_tracked"] = torch.tensor(float("nan"), dtype=torch.float16)
    target = build("small_cnn", 10, width=4)
    load(target, save(weights))
    assert [target.state_dict()[f"bn{n}.num_batches_tracked"].item() for n in (1, 2, 3)] == [
        0,
        0,
        7,
    ]


@pytest.mark.parametrize(("value", "count"), [(1e30, 0), (-1e30, 0), (2.0**40, 2**40)])
def test_a_counter_too_large_for_an_integer_becomes_zero(
    value: float, count: int, small: SmallCnn, save: Callable[..., Path]
) -> None:
    target = build("small_cnn", 10, width=4)
    load(target, save({**small.state_dict(), "bn1.num_batches_tracked": torch.tensor(value)}))
    assert target.state_dict()["bn1.num_batches_tracked"].item() == count


@pytest.mark.parametrize(("count", "is_read"), [(4000, True), (4001, False)])
def test_files_with_more_than_4000_keys_are_unreadable(
    count: int, is_read: bool, small: SmallCnn, save: Callable[..., Path]
) -> None:
    weights = dict(small.state_dict())
    weights |= {f"more.{index}": torch.zeros(()) for index in range(count - len(weights))}
    error = refusal(save(weights), small)
    assert error.code == ("unexpected_keys" if is_read else "unreadable_checkpoint")


@pytest.mark.parametrize(("characters", "is_read"), [(200, True), (201, False)])
def test_keys_of_more_than_200_characters_are_unreadable(
    characters: int, is_read: bool, small: SmallCnn, save: Callable[..., Path]
) -> None:
    error = refusal(save({**small.state_dict(), "x" * characters: torch.zeros(1)}), small)
    assert error.code == ("unexpected_keys" if is_read else "unreadable_checkpoint")


@pytest.mark.parametrize(
    "tree", [{}, [], 7, {"epoch": 3}, {"state_dict": {}}, torch.rand(3), {3: torch.rand(3)}]
)
def test_a_file_without_a_state_dict_is_unreadable(
    tree: Any, small: SmallCnn, save: Callable[..., Path]
) -> None:
    error = refusal(save(tree), small)
    assert error.code == "unreadable_checkpoint"
    assert "no state dict" in error.message
