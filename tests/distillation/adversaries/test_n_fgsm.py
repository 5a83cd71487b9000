"""N-FGSM: noise beyond the ball, one step, no projection."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from core.distillation.adversaries import n_fgsm
from core.jobspec.training.adversary import NFgsmAdversarySettings

CENTER = torch.rand(2, 3, 3, generator=torch.Generator().manual_seed(99))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 4, seed: int = 0) -> Tensor:
    return torch.rand(count, 2, 3, 3, generator=seeded(seed))


def distance_from_center(images_BCHW: Tensor) -> Tensor:
    """|x - c|^2: the sign of its gradient depends on where the noise has put the pixel."""
    return (images_BCHW - CENTER).square().flatten(1).sum(1)


def slow_n_fgsm(
    clean: Tensor,
    noise: Tensor,
    radius: float,
    step_factor: float,
    noise_factor: float,
    clamp_noise: bool,
) -> Tensor:
    """N-FGSM pixel by pixel: noise U(-k r, k r), a step of a r away from the center, clipping."""
    result = []
    for x, u, c in zip(
        clean.flatten().tolist(),
        noise.flatten().tolist(),
        CENTER.expand_as(clean).flatten().tolist(),
        strict=True,
    ):
        noisy = x + noise_factor * radius * u
        if clamp_noise:
            noisy = min(max(noisy, 0.0), 1.0)
        sign = 1 if noisy > c else -1
        result.append(min(max(noisy + step_factor * radius * sign, 0.0), 1.0))
    return torch.tensor(result).reshape(clean.shape)


@pytest.mark.parametrize(("step_factor", "noise_factor"), [(1.0, 2.0), (1.25, 1.0), (0.5, 0.0)])
@pytest.mark.parametrize("clamp_noise", [False, True])
def test_n_fgsm_equals_the_slow_formula(
    step_factor: float, noise_factor: float, clamp_noise: bool
) -> None:
    clean = images()
    noise = torch.empty_like(clean).uniform_(-1, 1, generator=seeded(3))
    attacked = n_fgsm(
        distance_from_center,
        clean,
        radius=0.1,
        step_factor=step_factor,
        noise_factor=noise_factor,
        clamp_noise=clamp_noise,
        generator=seeded(3),
    )
    expected = slow_n_fgsm(clean, noise, 0.1, step_factor, noise_factor, clamp_noise)
    torch.testing.assert_close(attacked, expected, rtol=0, atol=1e-6)


def test_clamped_noise_steps_back_from_the_border() -> None:
    """By hand: 1 + noise, clamped to 1, and a step of 0.1 down; unclamped, it is not back at 1."""
    white = torch.ones(1, 1, 4, 4)
    noise = torch.empty_like(white).uniform_(-1, 1, generator=seeded(3))
    visited = []

    def darker(images_BCHW: Tensor) -> Tensor:
        visited.append(images_BCHW.detach())
        return -images_BCHW.flatten(1).sum(1)

    attacked = n_fgsm(darker, white, radius=0.1, clamp_noise=True, generator=seeded(3))
    unclamped = n_fgsm(darker, white, radius=0.1, generator=seeded(3))
    brighter = noise > 0.5
    assert brighter.any()
    assert visited[0].max() == 1
    assert visited[1].max() > 1.1
    torch.testing.assert_close(attacked[brighter], torch.full_like(attacked[brighter], 0.9))
    assert torch.equal(unclamped[brighter], torch.ones_like(unclamped[brighter]))


def test_gradient_and_step_are_at_the_transformed_noise() -> None:
    visited = []

    def brighter(images_BCHW: Tensor) -> Tensor:
        visited.append(images_BCHW.detach())
        return images_BCHW.flatten(1).sum(1)

    attacked = n_fgsm(brighter, images(), radius=0.1, transform=lambda x: torch.full_like(x, 0.25))
    assert [bool((image == 0.25).all()) for image in visited] == [True]
    torch.testing.assert_close(attacked, torch.full_like(attacked, 0.35))


def test_the_defaults_are_noise_of_two_radii_and_a_step_of_one() -> None:
    expected = n_fgsm(
        distance_from_center,
        images(),
        radius=0.1,
        step_factor=1,
        noise_factor=2,
        generator=seeded(0),
    )
    by_default = n_fgsm(distance_from_center, images(), radius=0.1, generator=seeded(0))
    assert torch.equal(by_default, expected)
    spec = NFgsmAdversarySettings()
    assert (spec.radius, spec.step_factor, spec.noise_factor) == (8 / 255, 1.0, 2.0)
    assert (spec.clamp_noise, spec.student_mode) == (False, "eval")


def test_without_noise_it_is_fgsm() -> None:
    clean = images()
    attacked = n_fgsm(distance_from_center, clean, radius=0.1, noise_factor=0)
    torch.testing.assert_close(attacked, (clean + 0.1 * (clean - CENTER).sign()).clamp(0, 1))


@given(radius=st.floats(min_value=0, max_value=1), seed=st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_perturbation_is_within_three_radii(radius: float, seed: int) -> None:
    """The perturbation is within three radii, and the image in [0, 1]."""
    clean = images(seed=seed)
    attacked = n_fgsm(distance_from_center, clean, radius=radius, generator=seeded(seed))
    assert (attacked - clean).abs().max() <= 3 * radius + 1e-6
    assert attacked.min() >= 0
    assert attacked.max() <= 1


def test_the_perturbation_is_not_projected_onto_the_ball() -> None:
    gray = torch.full((8, 3, 16, 16), 0.5)
    attacked = n_fgsm(lambda x: x.flatten(1).sum(1), gray, radius=0.1, generator=seeded(0))
    perturbation = attacked - gray
    # U(-2 r, 2 r) + r.
    assert perturbation.max().item() == pytest.approx(0.3, abs=1e-3)
    assert perturbation.min().item() == pytest.approx(-0.1, abs=1e-3)
    assert perturbation.mean().item() == pytest.approx(0.1, abs=5e-3)


def test_n_fgsm_is_a_function_of_its_generator() -> None:
    one, again, other = (
        n_fgsm(distance_from_center, images(), radius=0.1, generator=seeded(seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_gradients_of_parameters_and_the_images_are_not_touched() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(18, 3))
    clean = images()
    before = clean.clone()
    attacked = n_fgsm(lambda x: network(x).square().sum(1), clean, radius=0.1)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(clean, before)
    assert not attacked.requires_grad
