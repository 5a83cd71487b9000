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
    }


def test_a_file_that_fits_as_it_is_has_an_empty_report(
    small: SmallCnn, save: Callable[..., Path]
) -> None:
    report = load(build("small_cnn", 10, width=4), save(small.state_dict()))
    assert not any(report.to_dict().values())


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
    wide = WideResNet(10, depth=10, widening=1)
    error = refusal(save(small.state_dict()), wide)
    assert error.code == "missing_keys"
    assert error.message.count("block1.") <= 10
    missing = [
        key
        for key in wide.state_dict()
        if key not in small.state_dict() and "num_batches" not in key
    ]
    assert f"and {len(missing) - 10} more, {len(missing)} in all" in error.message
    assert "does not know: bn2.bias" in error.message


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
    error = refusal(save(build("small_cnn", 100, width=4).state_dict()), small)
    assert error.code == "misshaped_keys"
    assert "linear.weight (100x16 in the file, 10x16 needed)" in error.message
    assert "linear.bias (100 in the file, 10 needed)" in error.message


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


@pytest.mark.parametrize(
    "tree", [{}, [], 7, {"epoch": 3}, {"state_dict": {}}, torch.rand(3), {3: torch.rand(3)}]
)
def test_a_file_without_a_state_dict_is_unreadable(
    tree: Any, small: SmallCnn, save: Callable[..., Path]
) -> None:
    error = refusal(save(tree), small)
    assert error.code == "unreadable_checkpoint"
    assert "no state dict" in error.message
