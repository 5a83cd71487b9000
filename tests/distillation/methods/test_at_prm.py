"""AT-PRM: masked perturbations, mixed images and smoothed labels.

The network is said to have patches of 2x2 pixels.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from core.distillation.methods import TrainingPosition
from core.distillation.methods.at_prm import AtPrm, MixedBatch, cutmix, mixup
from core.distillation.models.small_cnn import SmallCnn
from core.jobspec.training.methods import AtPrmSettings
from tests.distillation.methods.plain import assert_outer_loss, cross_entropy, in_double

PLAIN: dict[str, Any] = {"mixup": 0.0, "cutmix": 0.0, "label_smoothing": 0.0}


@pytest.fixture
def patched(student: SmallCnn) -> SmallCnn:
    student.patch_size = 2
    return student


def test_without_masks_and_mixing_it_is_pgd_at(
    patched: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    plain = in_double(patched, True)
    method = AtPrm(AtPrmSettings(masked=0, **PLAIN), patched)
    loss = method.outer(method.prepare_batch(images, labels), adversarial)
    expected = cross_entropy(plain(adversarial.double()), labels).mean()
    assert_outer_loss(loss, patched, plain, expected)


def test_masking_rate_falls_to_0_over_the_first_epochs(
    patched: SmallCnn,
) -> None:
    method = AtPrm(AtPrmSettings(masked=0.8, ramp_epochs=5), patched)
    rates = [
        method.masking_rate(TrainingPosition(step, steps_per_epoch=10, epochs=20))
        for step in (0, 25, 49, 50, 150)
    ]
    assert rates == pytest.approx([0.8, 0.4, 0.8 / 50, 0, 0])
    assert AtPrm(AtPrmSettings(ramp_epochs=0), patched).masking_rate(TrainingPosition()) == 0


def test_masked_patches_are_clean_and_all_others_attacked(
    patched: SmallCnn, images: Tensor, adversarial: Tensor
) -> None:
    method = AtPrm(AtPrmSettings(masked=1.0, ramp_epochs=2, **PLAIN), patched)
    labels = torch.zeros(6, dtype=torch.long)
    halfway = TrainingPosition(step=10, steps_per_epoch=10, epochs=2)
    batch = method.prepare_batch(images, labels, halfway)
    torch.manual_seed(0)
    masked = method.mask_perturbation(batch, adversarial)

    def equal_patches(other: Tensor) -> Tensor:
        difference = (masked - other).abs().unfold(2, 2, 2).unfold(3, 2, 2)
        return difference.amax(dim=(1, 4, 5)) < 1e-6

    clean = equal_patches(images)
    attacked = equal_patches(adversarial)
    assert (clean | attacked).all()
    assert 0.3 < clean.float().mean() < 0.7
    beginning = TrainingPosition(step=0, steps_per_epoch=10, epochs=2)
    first_batch = method.prepare_batch(images, labels, beginning)
    assert torch.equal(method.mask_perturbation(first_batch, adversarial), images)


def test_images_and_labels_are_mixed_with_the_reversed_batch(
    patched: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    method = AtPrm(AtPrmSettings(masked=0, mixup=0.8, cutmix=0, label_smoothing=0.1), patched)
    torch.manual_seed(4)
    batch = method.prepare_batch(images, labels)
    assert isinstance(batch, MixedBatch)
    ratio = batch.ratio
    assert 0 < ratio < 1
    mixed = ratio * images + (1 - ratio) * images.flip(0)
    torch.testing.assert_close(batch.images_BCHW, mixed)
    plain = in_double(patched, True)
    one_hot = torch.eye(4, dtype=torch.float64)[labels]
    target = 0.9 * (ratio * one_hot + (1 - ratio) * one_hot.flip(0)) + 0.1 / 4
    expected = cross_entropy(plain(adversarial.double()), target).mean()
    assert_outer_loss(method.outer(batch, adversarial), patched, plain, expected)


def test_cutmix_returns_the_share_outside_its_rectangle(
    images: Tensor,
) -> None:
    """Mixup by hand; CutMix returns the share of the area that its rectangle did not replace."""
    assert torch.equal(mixup(images, 1.0)[0], images)
    torch.manual_seed(1)
    for ratio in (0.0, 0.3, 0.7, 1.0):
        mixed, actual_ratio = cutmix(images, ratio)
        own = (mixed == images).all(dim=(0, 1))
        assert actual_ratio == pytest.approx(own.float().mean().item())
        assert actual_ratio >= ratio - 0.2
        assert torch.equal(mixed[:, :, ~own], images.flip(0)[:, :, ~own])


def test_network_without_patches_is_rejected(student: SmallCnn) -> None:
    with pytest.raises(ValueError, match="SmallCnn has none"):
        AtPrm(AtPrmSettings(), student)
