"""AT-PRM: masked perturbations, mixed images and smoothed labels, on a network that looks at patches of two pixels."""

import pytest
import torch
from torch import Tensor

from core.distillation.methods import TrainingPosition
from core.distillation.methods.at_prm import AtPrm, MixedBatch, cutmix, mixup
from core.distillation.models.small_cnn import SmallCnn
from core.jobspec.training.methods import AtPrmSettings as Settings
from tests.distillation.methods.plain import assert_descends, cross_entropy, in_double

PLAIN = {"mixup": 0.0, "cutmix": 0.0, "label_smoothing": 0.0}


@pytest.fixture
def patched(student: SmallCnn) -> SmallCnn:
    student.patch_size = 2
    return student


def test_without_masks_and_mixing_it_is_pgd_at(
    patched: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    plain = in_double(patched, True)
    method = AtPrm(Settings(masked=0, **PLAIN), patched)
    outcome = method.outer(method.prepare_batch(images, labels), adversarial)
    assert_descends(
        outcome, patched, plain, cross_entropy(plain(adversarial.double()), labels).mean()
    )


def test_the_share_of_masked_patches_falls_to_nothing_over_the_first_epochs(
    patched: SmallCnn,
) -> None:
    method = AtPrm(Settings(masked=0.8, ramp_epochs=5), patched)
    rates = [
        method.rate(TrainingPosition(step, steps_per_epoch=10, epochs=20))
        for step in (0, 25, 49, 50, 150)
    ]
    assert rates == pytest.approx([0.8, 0.4, 0.8 / 50, 0, 0])
    assert AtPrm(Settings(ramp_epochs=0), patched).rate(TrainingPosition()) == 0


def test_masked_patches_are_clean_and_all_others_attacked(
    patched: SmallCnn, images: Tensor, adversarial: Tensor
) -> None:
    method = AtPrm(Settings(masked=1.0, ramp_epochs=2, **PLAIN), patched)
    batch = method.prepare_batch(
        images,
        torch.zeros(6, dtype=torch.long),
        TrainingPosition(step=10, steps_per_epoch=10, epochs=2),
    )  # half of them
    torch.manual_seed(0)
    mixed = method.masked(batch, adversarial)
    clean, attacked = (
        (mixed - each).abs().unfold(2, 2, 2).unfold(3, 2, 2).amax(dim=(1, 4, 5)) < 1e-6
        for each in (images, adversarial)
    )
    assert (clean | attacked).all()
    assert 0.3 < clean.float().mean() < 0.7
    everything = method.prepare_batch(
        images,
        torch.zeros(6, dtype=torch.long),
        TrainingPosition(step=0, steps_per_epoch=10, epochs=2),
    )
    assert torch.equal(method.masked(everything, adversarial), images)


def test_images_and_labels_are_mixed_with_those_of_the_reversed_batch(
    patched: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    method = AtPrm(Settings(masked=0, mixup=0.8, cutmix=0, label_smoothing=0.1), patched)
    torch.manual_seed(4)
    batch = method.prepare_batch(images, labels)
    assert isinstance(batch, MixedBatch)
    assert 0 < batch.share < 1
    torch.testing.assert_close(
        batch.images_BCHW, batch.share * images + (1 - batch.share) * images.flip(0)
    )
    plain = in_double(patched, True)
    one_hot = torch.eye(4, dtype=torch.float64)[labels]
    target = 0.9 * (batch.share * one_hot + (1 - batch.share) * one_hot.flip(0)) + 0.1 / 4
    assert_descends(
        method.outer(batch, adversarial),
        patched,
        plain,
        cross_entropy(plain(adversarial.double()), target).mean(),
    )


def test_mixup_by_hand_and_cutmix_gives_back_the_share_that_its_rectangle_left(
    images: Tensor,
) -> None:
    assert torch.equal(mixup(images, 1.0)[0], images)
    torch.manual_seed(1)
    for share in (0.0, 0.3, 0.7, 1.0):
        mixed, left = cutmix(images, share)
        own = (mixed == images).all(dim=(0, 1))
        assert left == pytest.approx(own.float().mean().item())
        assert left >= share - 0.2
        assert torch.equal(mixed[:, :, ~own], images.flip(0)[:, :, ~own])


def test_a_network_without_patches_cannot_be_trained_so(student: SmallCnn) -> None:
    with pytest.raises(ValueError, match="SmallCnn has none"):
        AtPrm(Settings(), student)
