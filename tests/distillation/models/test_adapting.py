"""Transformers' checkpoints for other sizes of images and patches are resampled.

The report says so; every other difference is refused.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.distillation.models.importers import load
from core.distillation.models.vision_transformer import VisionTransformer
from core.errors import Refused


def transformer(**changes: Any) -> VisionTransformer:
    settings: dict[str, Any] = {"classes": 10, "width": 16, "depth": 2, "heads": 2, **changes}
    return VisionTransformer(**settings).eval()


def refusal(network: VisionTransformer, path: Any) -> Refused:
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    with pytest.raises(Refused) as caught:
        load(network, path)
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    return caught.value


def test_checkpoint_of_the_same_sizes_is_not_adapted(
    save: Callable[..., Path], images: Tensor
) -> None:
    source = transformer()
    target = transformer()
    report = load(target, save(source.state_dict()))
    assert (report.renamed, report.dropped, report.filled, report.remarks) == ({}, [], [], [])
    assert torch.equal(target(images), source(images))


def test_other_sizes_are_resampled_with_a_remark(save: Callable[..., Path], images: Tensor) -> None:
    """Position embeddings and patches of another size are resampled, and a remark says so."""
    source = transformer(image_size=224, patch_size=16)
    target = transformer()
    remarks = load(target, save({"model": source.state_dict()})).remarks
    assert [remark.split(":")[0] for remark in remarks] == [
        "pos_embed was resampled from 14x14 to 8x8 patches",
        "patch_embed.proj.weight was resampled from 16x16 to 4x4 pixels",
    ]
    assert torch.equal(target.pos_embed[:, 0], source.pos_embed[:, 0])
    key = "blocks.1.mlp.fc1.weight"
    assert torch.equal(target.get_parameter(key), source.get_parameter(key))
    assert target(images).shape == (2, 10)


def test_constant_positions_stay_constant_when_resampled(save: Callable[..., Path]) -> None:
    source = transformer(image_size=48)
    target = transformer()
    weights = source.state_dict()
    weights["pos_embed"] = torch.arange(16.0).expand(1, 145, 16).clone()
    (remark,) = load(target, save(weights)).remarks
    assert "12x12 to 8x8" in remark
    torch.testing.assert_close(target.pos_embed, torch.arange(16.0).expand(1, 65, 16))


def test_resampled_patches_give_the_same_tokens(save: Callable[..., Path]) -> None:
    """Enlarging image and patch together changes no token, by the pseudo-inverse."""
    source = transformer(image_size=32, patch_size=4)
    target = transformer(image_size=64, patch_size=8)
    (remark,) = load(target, save(source.state_dict())).remarks
    assert "4x4 to 8x8 pixels" in remark
    plain = torch.rand(1, 3, 4, 4)
    enlarged = torch.nn.functional.interpolate(
        plain, size=(8, 8), mode="bicubic", antialias=True, align_corners=False
    )
    torch.testing.assert_close(
        target.patch_embed.proj(enlarged), source.patch_embed.proj(plain), rtol=1e-4, atol=1e-4
    )


def test_half_precision_is_resampled_in_fp32(save: Callable[..., Path]) -> None:
    source = transformer(image_size=48)
    target = transformer()
    report = load(target, save(source.half().state_dict()))
    assert target.pos_embed.dtype == torch.float32
    assert (report.converted["pos_embed"], len(report.remarks)) == ("float16", 1)


def test_another_number_of_classes_is_refused_by_name(save: Callable[..., Path]) -> None:
    error = refusal(transformer(), save(transformer(classes=100, image_size=48).state_dict()))
    assert error.code == "misshaped_keys"
    assert "head.weight (100x16 in the file, 10x16 needed)" in error.message
    assert "pos_embed" not in error.message


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("pos_embed", (1, 64, 16)),
        ("pos_embed", (1, 66, 16)),
        ("pos_embed", (1, 1, 16)),
        ("pos_embed", (1, 0, 16)),
        ("pos_embed", (1, 65, 17)),
        ("pos_embed", (2, 65, 16)),
        ("pos_embed", (65, 16)),
        ("pos_embed", (1, 1 + 33**2, 16)),
        ("patch_embed.proj.weight", (16, 3, 4, 8)),
        ("patch_embed.proj.weight", (16, 1, 8, 8)),
        ("patch_embed.proj.weight", (16, 48)),
        ("patch_embed.proj.weight", (16, 3, 0, 0)),
        ("patch_embed.proj.weight", (16, 3, 33, 33)),
        ("cls_token", (1, 2, 16)),
    ],
)
def test_shapes_that_no_resampling_explains_are_refused(
    key: str, shape: tuple[int, ...], save: Callable[..., Path]
) -> None:
    error = refusal(transformer(), save({**transformer().state_dict(), key: torch.zeros(shape)}))
    assert error.code == "misshaped_keys"
    assert key in error.message


def test_resampled_numbers_that_are_not_finite_are_refused(save: Callable[..., Path]) -> None:
    weights = transformer(image_size=48).state_dict()
    weights["pos_embed"][0, 9, 3] = float("nan")
    assert refusal(transformer(), save(weights)).code == "non_finite_weights"


@pytest.mark.parametrize("classes", [10, 100])
def test_a_distilled_deit_is_refused_with_the_reason(
    classes: int, save: Callable[..., Path]
) -> None:
    """Whatever its number of classes."""
    weights = transformer(classes=classes).state_dict()
    weights["pos_embed"] = torch.zeros(1, 66, 16)
    weights |= {
        "dist_token": torch.zeros(1, 1, 16),
        "head_dist.weight": torch.zeros(classes, 16),
        "head_dist.bias": torch.zeros(classes),
    }
    error = refusal(transformer(), save(weights))
    assert error.code == "unexpected_keys"
    assert (
        "The network has no place for dist_token, head_dist.bias, head_dist.weight. "
        "It is a distilled DeiT's"
    ) in error.message


def test_other_unknown_keys_get_no_such_reason(save: Callable[..., Path]) -> None:
    error = refusal(
        transformer(),
        save({**transformer().state_dict(), "pre_logits.fc.weight": torch.zeros(16, 16)}),
    )
    assert (error.code, error.message) == (
        "unexpected_keys",
        "The network has no place for pre_logits.fc.weight.",
    )
