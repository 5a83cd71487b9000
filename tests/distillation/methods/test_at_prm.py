"""AT-PRM: masked iterates of the attack, mixed images and smoothed labels.

The network is said to have patches of 2x2 pixels.
"""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from core.distillation.adversaries import pgd
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
    """By one step in the first step already, as the authors count."""
    method = AtPrm(AtPrmSettings(masked=0.8, ramp_epochs=5), patched)
    rates = [
        method.masking_rate(TrainingPosition(step, steps_per_epoch=10, epochs=20))
        for step in (0, 24, 48, 49, 150)
    ]
    assert rates == pytest.approx([0.8 * 49 / 50, 0.4, 0.8 / 50, 0, 0])
    assert AtPrm(AtPrmSettings(ramp_epochs=0), patched).masking_rate(TrainingPosition()) == 0


def masked_patches(transformed: Tensor, images: Tensor) -> Tensor:
    """Return which of the 4 x 4 patches equal the clean image, [B, 4, 4]."""
    difference = (transformed - images).abs().unfold(2, 2, 2).unfold(3, 2, 2)
    return difference.amax(dim=(1, 4, 5)) == 0


@pytest.mark.parametrize(
    ("step", "count"), [(0, 15), (4, 12), (9, 8), (14, 4), (17, 1), (18, 0), (19, 0), (30, 0)]
)
def test_number_of_masked_patches_is_rounded_down(
    patched: SmallCnn, images: Tensor, labels: Tensor, step: int, count: int
) -> None:
    """16 patches, a ramp of 20 steps: 16 (1 - (step + 1) / 20)."""
    method = AtPrm(AtPrmSettings(ramp_epochs=2, **PLAIN), patched)
    batch = method.prepare_batch(images, labels, TrainingPosition(step, 10, 4))
    attacked = images + 0.1
    transformed = method.transform_iterate(batch, attacked)
    masked = masked_patches(transformed, images)
    assert masked.sum(dim=(1, 2)).tolist() == [count] * len(images)
    kept = ~masked.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, None]
    assert torch.equal(transformed[kept], attacked[kept])


def test_all_images_have_one_mask_and_each_step_another(
    patched: SmallCnn, images: Tensor, labels: Tensor
) -> None:
    method = AtPrm(AtPrmSettings(ramp_epochs=2, **PLAIN), patched)
    batch = method.prepare_batch(images, labels, TrainingPosition(9, 10, 4))
    torch.manual_seed(0)
    masks = []
    for _ in range(40):
        masked = masked_patches(method.transform_iterate(batch, images + 0.1), images)
        assert (masked == masked[0]).all()
        masks.append(masked[0])
    shares = torch.stack(masks).double().mean(dim=0)
    assert (masks[0] != masks[1]).any()
    # Each patch is masked in half of the steps: 20 of 40, with a standard deviation of 3.2.
    assert 0.1 < shares.min() < shares.max() < 0.9


def pgd_step(iterate: Tensor, images: Tensor, labels: Tensor, network: SmallCnn) -> Tensor:
    """Return the iterate after a step of 0.06 in a ball of 0.1, in double precision."""
    x = iterate.double().requires_grad_()
    (gradient,) = torch.autograd.grad(cross_entropy(network(x), labels).sum(), x)
    moved = iterate + 0.06 * gradient.sign().float()
    return torch.minimum(torch.maximum(moved, images - 0.1), images + 0.1).clamp(0, 1)


def test_two_steps_of_the_attack_by_hand(patched: SmallCnn, images: Tensor, labels: Tensor) -> None:
    """Gradient at the masked iterate, and from there a step of all patches."""
    method = AtPrm(AtPrmSettings(ramp_epochs=2, **PLAIN), patched.eval())
    batch = method.prepare_batch(images, labels, TrainingPosition(9, 10, 4))
    plain = in_double(patched, False)
    visited: list[Tensor] = []
    objective = method.inner(batch)

    def recorded(x: Tensor) -> Tensor:
        visited.append(x.detach().clone())
        return objective(x)

    attacked = pgd(
        recorded,
        images,
        radius=0.1,
        step_size=0.06,
        steps=2,
        start="uniform",
        generator=torch.Generator().manual_seed(5),
        transform=partial(method.transform_iterate, batch),
    )
    noise = torch.empty_like(images).uniform_(-0.1, 0.1, generator=torch.Generator().manual_seed(5))
    iterate = (images + noise).clamp(0, 1)
    for seen in visited:
        masked = masked_patches(seen, images)
        assert masked.sum(dim=(1, 2)).tolist() == [8] * 6
        by_pixel = masked.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, None]
        torch.testing.assert_close(seen, torch.where(by_pixel, images, iterate))
        iterate = pgd_step(seen, images, labels, plain)
    assert len(visited) == 2
    torch.testing.assert_close(attacked, iterate, rtol=0, atol=1e-6)


def test_with_all_patches_masked_the_end_is_one_step_away(
    patched: SmallCnn, labels: Tensor
) -> None:
    """The mean perturbation trained on is one step of 2/255, not 0."""
    gray = torch.full((6, 1, 8, 8), 0.5) + 0.2 * torch.rand(
        6, 1, 8, 8, generator=torch.Generator().manual_seed(0)
    )
    method = AtPrm(AtPrmSettings(masked=1.0, **PLAIN), patched.eval())
    beginning = TrainingPosition(step=-1, steps_per_epoch=10, epochs=20)
    batch = method.prepare_batch(gray, labels, beginning)
    assert method.masking_rate(beginning) == 1
    attacked = pgd(
        method.inner(batch),
        gray,
        radius=8 / 255,
        step_size=2 / 255,
        steps=10,
        transform=partial(method.transform_iterate, batch),
    )
    assert ((attacked - gray).abs().mean() * 255).item() == pytest.approx(2.0, abs=1e-3)


def test_network_is_trained_on_the_unmasked_end(
    patched: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    plain = in_double(patched, True)
    method = AtPrm(AtPrmSettings(masked=1.0, **PLAIN), patched)
    batch = method.prepare_batch(images, labels, TrainingPosition(0, 10, 20))
    loss = method.outer(batch, adversarial)
    expected = cross_entropy(plain(adversarial.double()), labels).mean()
    assert loss.metrics["masked"].item() == pytest.approx(0.99)
    assert_outer_loss(loss, patched, plain, expected)


@pytest.mark.parametrize(
    ("probability", "low", "high"), [(0.0, 0, 0), (0.3, 90, 150), (1.0, 400, 400)]
)
def test_one_coin_decides_whether_a_batch_is_mixed(
    patched: SmallCnn,
    images: Tensor,
    labels: Tensor,
    probability: float,
    low: int,
    high: int,
) -> None:
    """120 of 400 batches are expected at 0.3, with a standard deviation of 9."""
    method = AtPrm(AtPrmSettings(mixing_probability=probability, cutmix=0), patched)
    torch.manual_seed(0)
    mixed = 0
    for _ in range(400):
        batch = method.prepare_batch(images, labels)
        expected = batch.ratio * images + (1 - batch.ratio) * images.flip(0)
        torch.testing.assert_close(batch.images_BCHW, expected)
        mixed += batch.ratio < 1
    assert low <= mixed <= high


def test_mixup_and_cutmix_are_equally_probable(
    patched: SmallCnn, images: Tensor, labels: Tensor
) -> None:
    """Only mixup changes the pixel that both images have in every place."""
    method = AtPrm(AtPrmSettings(), patched)
    torch.manual_seed(0)
    mixups = 0
    for _ in range(400):
        mixed = method.prepare_batch(images, labels).images_BCHW
        from_either = (mixed == images) | (mixed == images.flip(0))
        mixups += not bool(from_either.all())
    assert 160 < mixups < 240


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
        assert torch.equal(mixed[:, :, ~own], images.flip(0)[:, :, ~own])


@pytest.mark.parametrize(
    ("ratio", "side"),
    [(0.0, 8), (0.3, 6), (0.5, 4), (0.9, 2), (0.99, 0), (1.0, 0)],
)
def test_rectangle_of_cutmix_is_rounded_down_to_even_sides(
    images: Tensor, ratio: float, side: int
) -> None:
    """Of 8 pixels: sqrt(1 - ratio) 8 is 8, 6.7, 5.7, 2.5, 0.8, 0; half of each is rounded down."""
    torch.manual_seed(0)
    shares = [cutmix(images, ratio)[1] for _ in range(200)]
    assert min(shares) == pytest.approx(1 - side * side / 64)
    # The center is anywhere in the image, so the smallest rectangle is a quarter, in the corner.
    assert max(shares) == pytest.approx(1 - side * side / 4 / 64)


def test_network_without_patches_is_rejected(student: SmallCnn) -> None:
    with pytest.raises(ValueError, match="SmallCnn has none"):
        AtPrm(AtPrmSettings(), student)
