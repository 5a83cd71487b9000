"""Where PGD starts: inside or outside [0, 1], and what the first step makes of it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from core.distillation.adversaries import Objective, pgd, run_adversary
from core.distillation.adversaries.pgd import Start
from core.jobspec.training.adversary import PgdAdversarySettings

BRIGHT_AND_DARK = torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)])
RADIUS = 0.1


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uniform_noise(seed: int = 0) -> Tensor:
    """Return the noise that PGD draws for these images by a generator of this seed."""
    return torch.empty_like(BRIGHT_AND_DARK).uniform_(-RADIUS, RADIUS, generator=seeded(seed))


def recorded(iterates: list[Tensor], objective: Objective) -> Objective:
    def evaluate(images_BCHW: Tensor) -> Tensor:
        iterates.append(images_BCHW.detach().clone())
        return objective(images_BCHW)

    return evaluate


def brightness(images_BCHW: Tensor) -> Tensor:
    return images_BCHW.flatten(1).sum(1)


def first_iterate(start: Start) -> Tensor:
    iterates: list[Tensor] = []
    pgd(
        recorded(iterates, brightness),
        BRIGHT_AND_DARK,
        radius=RADIUS,
        step_size=0.02,
        steps=1,
        start=start,
        generator=seeded(),
    )
    return iterates[0]


def test_unclamped_start_is_the_image_and_its_noise() -> None:
    start = first_iterate("uniform_unclamped")
    assert torch.equal(start, BRIGHT_AND_DARK + uniform_noise())
    assert -RADIUS <= start.min() < -0.09
    assert 1.09 < start.max() <= 1 + RADIUS


def test_uniform_start_is_clamped_to_0_and_1() -> None:
    start = first_iterate("uniform")
    assert torch.equal(start, (BRIGHT_AND_DARK + uniform_noise()).clamp(0, 1))
    assert (start.min().item(), start.max().item()) == (0, 1)


def test_gaussian_start_is_not_clamped() -> None:
    start = first_iterate("gaussian")
    noise = torch.empty_like(BRIGHT_AND_DARK).normal_(generator=seeded())
    assert torch.equal(start, BRIGHT_AND_DARK + 0.001 * noise)
    assert start.min() < 0
    assert start.max() > 1


@pytest.mark.parametrize(
    ("start", "starting_point"),
    [
        ("uniform_unclamped", lambda pixels: pixels),
        ("uniform", lambda pixels: pixels.clamp(0, 1)),
    ],
)
def test_first_step_goes_on_from_the_start(
    start: Start, starting_point: Callable[[Tensor], Tensor]
) -> None:
    """A step of 0.02 upward: from -0.05 it ends at 0, from a clamped start at 0.02."""
    attacked = pgd(
        brightness,
        BRIGHT_AND_DARK,
        radius=RADIUS,
        step_size=0.02,
        steps=1,
        start=start,
        generator=seeded(),
    )
    noisy = starting_point(BRIGHT_AND_DARK + uniform_noise())
    lower = (BRIGHT_AND_DARK - RADIUS).clamp(0, 1)
    upper = (BRIGHT_AND_DARK + RADIUS).clamp(0, 1)
    expected = torch.minimum(torch.maximum(noisy + 0.02, lower), upper)
    torch.testing.assert_close(attacked, expected, rtol=0, atol=1e-7)
    dark_ends_at_0 = (attacked[0] == 0).any().item()
    assert dark_ends_at_0 is (start == "uniform_unclamped")


def test_first_gradient_is_taken_outside_of_0_and_1() -> None:
    """The square of the distance to 0: from -0.05 it pushes downward, to 0, not up."""
    attacked = pgd(
        lambda images: images.square().flatten(1).sum(1),
        BRIGHT_AND_DARK[:1],
        radius=RADIUS,
        step_size=0.02,
        steps=1,
        start="uniform_unclamped",
        generator=seeded(),
    )
    noise = torch.empty(1, 3, 4, 4).uniform_(-RADIUS, RADIUS, generator=seeded())
    expected = torch.where(noise < 0, torch.zeros(()), (noise + 0.02).clamp(max=RADIUS))
    torch.testing.assert_close(attacked, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("steps", [1, 3])
def test_later_iterates_are_in_the_ball_and_in_0_to_1(steps: int) -> None:
    iterates: list[Tensor] = []
    settings = PgdAdversarySettings(
        radius=RADIUS, step_size=0.02, steps=steps, start="uniform_unclamped"
    )
    attacked = run_adversary(
        settings, recorded(iterates, lambda x: -brightness(x)), BRIGHT_AND_DARK, seeded()
    )
    assert len(iterates) == steps
    for images in (*iterates[1:], attacked):
        assert images.min() >= 0
        assert images.max() <= 1
        assert (images - BRIGHT_AND_DARK).abs().max() <= RADIUS + 1e-6


def test_both_uniform_starts_draw_the_same_noise() -> None:
    clamped = first_iterate("uniform_unclamped").clamp(0, 1)
    assert torch.equal(clamped, first_iterate("uniform"))
