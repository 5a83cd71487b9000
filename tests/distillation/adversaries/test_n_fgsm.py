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


def away_from_center(images_BCHW: Tensor) -> Tensor:
    """|x - c|^2: which way is up depends on where the noise has put the pixel."""
    return (images_BCHW - CENTER).square().flatten(1).sum(1)


def slow_n_fgsm(
    clean: Tensor, noise: Tensor, radius: float, step_factor: float, noise_factor: float
) -> Tensor:
    """Pixel by pixel: noise of U(-k r, k r), a step of a r away from the center as seen from there, clipped to [0, 1]."""
    result = []
    for x, u, c in zip(
        clean.flatten().tolist(),
        noise.flatten().tolist(),
        CENTER.expand_as(clean).flatten().tolist(),
        strict=True,
    ):
        noisy = x + noise_factor * radius * u
        up = 1 if noisy > c else -1
        result.append(min(max(noisy + step_factor * radius * up, 0.0), 1.0))
    return torch.tensor(result).reshape(clean.shape)


@pytest.mark.parametrize(("step_factor", "noise_factor"), [(1.0, 2.0), (1.25, 1.0), (0.5, 0.0)])
def test_n_fgsm_equals_the_slow_formula(step_factor: float, noise_factor: float) -> None:
    clean = images()
    noise = torch.empty_like(clean).uniform_(-1, 1, generator=seeded(3))
    found = n_fgsm(
        away_from_center,
        clean,
        radius=0.1,
        step_factor=step_factor,
        noise_factor=noise_factor,
        generator=seeded(3),
    )
    torch.testing.assert_close(
        found, slow_n_fgsm(clean, noise, 0.1, step_factor, noise_factor), rtol=0, atol=1e-6
    )


def test_the_defaults_are_noise_of_two_radii_and_a_step_of_one() -> None:
    chosen = n_fgsm(
        away_from_center, images(), radius=0.1, step_factor=1, noise_factor=2, generator=seeded(0)
    )
    assert torch.equal(n_fgsm(away_from_center, images(), radius=0.1, generator=seeded(0)), chosen)
    assert (
        NFgsmAdversarySettings().radius,
        NFgsmAdversarySettings().step_factor,
        NFgsmAdversarySettings().noise_factor,
    ) == (
        8 / 255,
        1.0,
        2.0,
    )


def test_without_noise_it_is_fgsm() -> None:
    clean = images()
    found = n_fgsm(away_from_center, clean, radius=0.1, noise_factor=0)
    torch.testing.assert_close(found, (clean + 0.1 * (clean - CENTER).sign()).clamp(0, 1))


@given(radius=st.floats(min_value=0, max_value=1), seed=st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_perturbation_is_within_three_radii(radius: float, seed: int) -> None:
    """The perturbation is within three radii, and the image in [0, 1]."""
    clean = images(seed=seed)
    found = n_fgsm(away_from_center, clean, radius=radius, generator=seeded(seed))
    assert (found - clean).abs().max() <= 3 * radius + 1e-6
    assert found.min() >= 0
    assert found.max() <= 1


def test_the_perturbation_is_not_projected_onto_the_ball() -> None:
    gray = torch.full((8, 3, 16, 16), 0.5)
    found = n_fgsm(lambda x: x.flatten(1).sum(1), gray, radius=0.1, generator=seeded(0))
    moved = found - gray
    # U(-2 r, 2 r) + r.
    assert moved.max().item() == pytest.approx(0.3, abs=1e-3)
    assert moved.min().item() == pytest.approx(-0.1, abs=1e-3)
    assert moved.mean().item() == pytest.approx(0.1, abs=5e-3)


def test_n_fgsm_is_a_function_of_its_generator() -> None:
    one, again, other = (
        n_fgsm(away_from_center, images(), radius=0.1, generator=seeded(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_gradients_of_parameters_and_the_images_are_not_touched() -> None:
    network, clean = nn.Sequential(nn.Flatten(), nn.Linear(18, 3)), images()
    kept = clean.clone()
    found = n_fgsm(lambda x: network(x).square().sum(1), clean, radius=0.1)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(clean, kept)
    assert not found.requires_grad
