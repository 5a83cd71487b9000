"""Projected gradient ascent, against objectives whose worst point is known."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from core.distillation.adversaries import Objective, n_fgsm, pgd, run_adversary
from core.distillation.adversaries.pgd import Start
from core.jobspec.training.adversary import NFgsmAdversarySettings, PgdAdversarySettings

Array = np.ndarray[Any, Any]
STARTS: tuple[Start, ...] = ("gaussian", "uniform", "clean")
radii = st.floats(min_value=0, max_value=1)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 4, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Random images with some pixels at the ends of [0, 1], where clipping matters."""
    uniform = torch.rand(count, 2, 3, 3, dtype=dtype, generator=seeded(seed))
    return ((uniform - 0.5) * 1.3 + 0.5).clamp(0, 1)


WEIGHTS = torch.randn(2, 3, 3, generator=seeded(99))


def linear(images_BCHW: Tensor) -> Tensor:
    """w . x: its maximum is in the corner x + radius * sign(w) of the ball, clipped to [0, 1]."""
    return (images_BCHW * WEIGHTS.to(images_BCHW.dtype)).flatten(1).sum(1)


def constant(images_BCHW: Tensor) -> Tensor:
    return 0 * images_BCHW.flatten(1).sum(1)


@pytest.mark.parametrize("start", STARTS)
def test_pgd_finds_the_worst_point_of_a_linear_model(start: Start) -> None:
    clean = images()
    worst = (clean + 0.1 * WEIGHTS.sign()).clamp(0, 1)
    attacked = pgd(
        linear, clean, radius=0.1, step_size=0.03, steps=10, start=start, generator=seeded(0)
    )
    torch.testing.assert_close(attacked, worst, rtol=0, atol=1e-7)


def test_pgd_finds_the_worst_point_under_cross_entropy() -> None:
    """PGD on the cross entropy of a linear classifier ends in the corner of the ball."""
    clean = images()
    labels = torch.tensor([0, 1, 1, 0])
    direction = torch.where(labels == 1, -1.0, 1.0)[:, None, None, None]

    def objective(images_BCHW: Tensor) -> Tensor:
        score = linear(images_BCHW)
        return cross_entropy(torch.stack([-score, score], dim=1), labels, reduction="none")

    attacked = pgd(
        objective, clean, radius=8 / 255, step_size=2 / 255, steps=10, generator=seeded(0)
    )
    worst = (clean + 8 / 255 * direction * WEIGHTS.sign()).clamp(0, 1)
    torch.testing.assert_close(attacked, worst, rtol=0, atol=1e-7)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_every_step_has_the_same_size_in_every_pixel(steps: int) -> None:
    """From the clean image, steps that are not projected add up."""
    clean = images()
    attacked = pgd(linear, clean, radius=0.5, step_size=0.02, steps=steps, start="clean")
    torch.testing.assert_close(attacked, (clean + steps * 0.02 * WEIGHTS.sign()).clamp(0, 1))


def test_only_the_sign_of_the_gradient_counts() -> None:
    clean = images()
    search = partial(pgd, radius=0.1, step_size=0.03, steps=3, start="clean")
    small = search(lambda x: 1e-20 * linear(x), clean)
    large = search(lambda x: 1e10 * linear(x), clean)
    torch.testing.assert_close(small, large, rtol=0, atol=0)


def test_no_image_moves_another_ones_adversary() -> None:
    clean = images()
    center = images(seed=1)

    def repelled(start: int, end: int) -> Objective:
        return lambda x: (x - center[start:end]).square().flatten(1).sum(1)

    search = partial(pgd, radius=0.1, step_size=0.03, steps=5, start="clean")
    together = search(repelled(0, 4), clean)
    alone = torch.cat([search(repelled(i, i + 1), clean[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=0, atol=0)


@pytest.mark.parametrize("start", STARTS)
@given(radius=radii, step_size=radii, steps=st.integers(1, 4), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_every_adversary_is_within_the_radius_and_in_0_to_1(
    start: Start, radius: float, step_size: float, steps: int, seed: int
) -> None:
    clean = images(seed=seed)
    attacked = pgd(
        linear,
        clean,
        radius=radius,
        step_size=step_size,
        steps=steps,
        start=start,
        generator=seeded(seed),
    )
    assert (attacked - clean).abs().max() <= radius + 1e-6
    assert attacked.min() >= 0
    assert attacked.max() <= 1


def slow_softmax_pgd(
    x: Array, weights: Array, label: int, radius: float, step_size: float, steps: int
) -> Array:
    """PGD from the clean image on -log softmax(W x)[label], pixel by pixel.

    Its gradient is W'(p - onehot).
    """
    iterate = x.copy()
    for _ in range(steps):
        logits = weights @ iterate
        p = np.exp(logits - logits.max())
        p /= p.sum()
        p[label] -= 1
        gradient = weights.T @ p
        for i in range(len(x)):
            pixel = iterate[i] + step_size * np.sign(gradient[i])
            pixel = min(max(pixel, x[i] - radius), x[i] + radius)
            iterate[i] = min(max(pixel, 0.0), 1.0)
    return iterate


def test_pgd_on_a_softmax_equals_the_slow_formula_step_by_step() -> None:
    clean = images(6, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    weights = 3 * torch.randn(3, 18, dtype=torch.float64, generator=seeded(5))
    for steps in (1, 2, 7):
        attacked = pgd(
            lambda x: cross_entropy(x.flatten(1) @ weights.T, labels, reduction="none"),
            clean,
            radius=0.2,
            step_size=0.07,
            steps=steps,
            start="clean",
        )
        slow = [
            slow_softmax_pgd(x, weights.numpy(), int(y), 0.2, 0.07, steps)
            for x, y in zip(clean.flatten(1).numpy(), labels, strict=True)
        ]
        np.testing.assert_allclose(attacked.flatten(1).numpy(), np.stack(slow), rtol=0, atol=1e-12)


# -- starts


def start_noise(start: Start, radius: float, seed: int = 0) -> Tensor:
    """Return what the start adds to gray images, where nothing is clipped."""
    gray = torch.full((8, 3, 16, 16), 0.5)
    return (
        pgd(
            constant,
            gray,
            radius=radius,
            step_size=0.1,
            steps=1,
            start=start,
            generator=seeded(seed),
        )
        - gray
    )


def test_the_clean_start_adds_nothing() -> None:
    assert start_noise("clean", 0.1).abs().max() == 0


def test_gaussian_start_is_normal_noise_of_a_thousandth() -> None:
    """Its standard deviation is 0.001 whatever the radius."""
    noise = start_noise("gaussian", 0.1)
    assert noise.std().item() == pytest.approx(0.001, rel=0.03)
    assert noise.mean().item() == pytest.approx(0, abs=5e-5)
    assert noise.abs().max() > 0.003
    torch.testing.assert_close(start_noise("gaussian", 0.3), noise, rtol=0, atol=1e-7)


def test_the_uniform_start_fills_the_ball() -> None:
    noise = start_noise("uniform", 0.1)
    assert noise.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.03)
    assert noise.mean().item() == pytest.approx(0, abs=3e-3)
    assert noise.min().item() == pytest.approx(-0.1, abs=1e-3)
    assert noise.max().item() == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize("start", ["gaussian", "uniform"])
def test_the_start_is_a_function_of_the_generator_alone(start: Start) -> None:
    first = start_noise(start, 0.1, seed=1)
    before = torch.random.get_rng_state()
    torch.manual_seed(123)
    again = start_noise(start, 0.1, seed=1)
    assert torch.equal(first, again)
    assert not torch.equal(first, start_noise(start, 0.1, seed=2))
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    start_noise(start, 0.1, seed=1)
    assert torch.equal(torch.rand(3), expected)
    torch.random.set_rng_state(before)


def test_a_generator_that_goes_on_gives_another_start() -> None:
    generator = seeded(0)
    first, second = (
        pgd(constant, images(), radius=0.1, step_size=0.1, steps=1, generator=generator)
        for _ in range(2)
    )
    assert not torch.equal(first, second)


# -- what does not change


def test_gradients_of_parameters_and_the_images_are_not_touched() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(18, 3))
    clean = images()
    labels = torch.tensor([0, 1, 2, 0])
    before = clean.clone()
    attacked = pgd(
        lambda x: cross_entropy(network(x), labels, reduction="none"),
        clean,
        radius=0.1,
        step_size=0.03,
        steps=3,
    )
    assert all(
        parameter.grad is None and parameter.requires_grad for parameter in network.parameters()
    )
    assert torch.equal(clean, before)
    assert clean.grad is None
    assert not clean.requires_grad
    assert not attacked.requires_grad
    assert attacked.is_leaf


def test_accumulated_gradients_stay_as_they_are() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(18, 3))
    network(images()).sum().backward()
    before = [
        parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None
    ]
    pgd(lambda x: network(x).square().sum(1), images(), radius=0.1, step_size=0.03, steps=3)
    after = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    assert len(before) == 2
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_attack_works_under_no_grad_too() -> None:
    clean = images()
    with torch.no_grad():
        attacked = pgd(linear, clean, radius=0.1, step_size=0.1, steps=2, start="clean")
        assert not torch.is_grad_enabled()
    assert torch.equal(
        attacked, pgd(linear, clean, radius=0.1, step_size=0.1, steps=2, start="clean")
    )


def test_the_mode_of_the_network_stays_the_callers() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(18, 3))
    for training in (True, False):
        network.train(training)
        modes: list[bool] = []

        def objective(images_BCHW: Tensor, modes: list[bool] = modes) -> Tensor:
            modes.append(network.training)
            outputs: Tensor = network(images_BCHW)
            return outputs.sum(1)

        pgd(objective, images(), radius=0.1, step_size=0.1, steps=2)
        assert modes == [training, training]
        assert network.training is training


def test_every_iterate_but_the_last_is_transformed() -> None:
    """Halving the perturbation before steps of 0.1 from 0: 0.1, 0.05 + 0.1, 0.075 + 0.1."""
    gray = torch.full((1, 1, 2, 2), 0.5)
    visited = []

    def brighter(images_BCHW: Tensor) -> Tensor:
        visited.append(images_BCHW.detach())
        return images_BCHW.flatten(1).sum(1)

    attacked = pgd(
        brighter,
        gray,
        radius=0.2,
        step_size=0.1,
        steps=3,
        start="clean",
        transform=lambda iterate: gray + (iterate - gray) / 2,
    )
    seen = torch.stack([image.mean() for image in visited])
    torch.testing.assert_close(seen, torch.tensor([0.5, 0.55, 0.575]))
    torch.testing.assert_close(attacked, torch.full_like(gray, 0.675))


# -- from the spec


@pytest.mark.parametrize("start", STARTS)
def test_attack_does_what_the_spec_of_pgd_says(start: Start) -> None:
    spec = PgdAdversarySettings(radius=0.1, step_size=0.04, steps=2, start=start)
    attacked = run_adversary(spec, linear, images(), seeded(7))
    expected = pgd(
        linear, images(), radius=0.1, step_size=0.04, steps=2, start=start, generator=seeded(7)
    )
    assert torch.equal(attacked, expected)


def test_attack_does_what_the_spec_of_n_fgsm_says() -> None:
    spec = NFgsmAdversarySettings(radius=0.1, step_factor=1.25, noise_factor=0.5, clamp_noise=True)
    attacked = run_adversary(spec, linear, images(), seeded(7))
    expected = n_fgsm(
        linear,
        images(),
        radius=0.1,
        step_factor=1.25,
        noise_factor=0.5,
        clamp_noise=True,
        generator=seeded(7),
    )
    assert torch.equal(attacked, expected)


@pytest.mark.parametrize("kind", [PgdAdversarySettings, NFgsmAdversarySettings])
def test_attack_passes_the_transform_on(
    kind: type[PgdAdversarySettings | NFgsmAdversarySettings],
) -> None:
    visited = []

    def objective(images_BCHW: Tensor) -> Tensor:
        visited.append(images_BCHW.detach())
        return images_BCHW.flatten(1).sum(1)

    run_adversary(
        kind(radius=0.1), objective, images(), seeded(7), lambda x: torch.full_like(x, 0.25)
    )
    assert all(bool((image == 0.25).all()) for image in visited)


def test_the_default_adversary_is_the_papers() -> None:
    spec = PgdAdversarySettings()
    assert (spec.radius, spec.step_size, spec.steps) == (8 / 255, 2 / 255, 10)
    assert (spec.start, spec.student_mode) == ("gaussian", "eval")
