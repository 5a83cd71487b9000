"""STARSHIP's projection heads, and the perturbation of the student's, Eq. 7."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.distillation.methods.projection_heads import (
    ProjectedFeatures,
    ProjectionHead,
    perturb_weights,
    squared_cosine_distance,
)
from core.jobspec.training.starship import ProjectionHeadSettings
from tests.distillation.methods.plain import backward

FEATURES = 5


def head(**changes: object) -> tuple[ProjectionHead, ProjectionHeadSettings]:
    """Return a head of three dimensions, and its settings."""
    settings = ProjectionHeadSettings.model_validate({"dimension": 3, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ProjectionHead(FEATURES, settings.dimension_for(FEATURES), settings), settings


def views(seed: int = 0, samples: int = 7, channels: int = FEATURES) -> tuple[Tensor, Tensor]:
    """Return clean and adversarial features."""
    clean, adversarial = torch.randn(
        2, samples, channels, generator=torch.Generator().manual_seed(seed)
    )
    return clean, adversarial


def copied_weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def total(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).sum()


# -- projection


def test_linear_head_projects_to_unit_length() -> None:
    """A linear head is one linear layer; each view's projection is scaled to unit length."""
    linear, _ = head()
    weight, bias = linear.parameters()
    clean = views()[0]
    for sample, projected in zip(clean.tolist(), linear(clean).tolist(), strict=True):
        plain = [
            sum(w * x for w, x in zip(row, sample, strict=True)) + b
            for row, b in zip(weight.tolist(), bias.tolist(), strict=True)
        ]
        length = math.sqrt(sum(value**2 for value in plain))
        assert projected == pytest.approx([value / length for value in plain], rel=1e-4, abs=1e-6)


def test_without_normalization_the_projection_is_the_layers_own() -> None:
    linear, _ = head(normalize=False)
    weight, bias = linear.parameters()
    torch.testing.assert_close(linear(views()[0]), views()[0] @ weight.T + bias)


def test_the_mlp_head_is_linear_batch_norm_relu_linear() -> None:
    mlp, _ = head(kind="mlp", normalize=False)
    first, scale, shift, last, bias = (
        parameter.detach().double() for parameter in mlp.parameters()
    )
    clean = views()[0].double()
    hidden = clean @ first.T
    hidden = (hidden - hidden.mean(0)) / (
        hidden.var(0, unbiased=False) + 1e-5
    ).sqrt() * scale + shift
    torch.testing.assert_close(
        mlp(clean.float()).double(), hidden.clamp_min(0) @ last.T + bias, rtol=1e-4, atol=1e-5
    )


def test_mlp_head_has_no_running_statistics() -> None:
    """Its batch norm takes the statistics of each view's own batch, in both modes."""
    mlp, _ = head(kind="mlp")
    clean, adversarial = views()
    projected = mlp.project(clean, adversarial)
    mlp.eval()
    torch.testing.assert_close(mlp(clean), projected.clean_BP)
    torch.testing.assert_close(mlp(adversarial), projected.adversarial_BP)
    assert list(mlp.buffers()) == []


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_given_weights_stand_in_for_the_heads_own(kind: str) -> None:
    one, _ = head(kind=kind)
    other = ProjectionHead(FEATURES, 3, ProjectionHeadSettings.model_validate({"kind": kind}))
    before = copied_weights(one)
    replaced = one.project(*views(), copied_weights(other))
    expected = other.project(*views())
    torch.testing.assert_close(replaced.joined_B2P, expected.joined_B2P)
    assert all(torch.equal(weight, before[name]) for name, weight in one.named_parameters())
    torch.testing.assert_close(
        one.project(*views(), before).joined_B2P, one.project(*views()).joined_B2P
    )


def test_joined_features_are_clean_then_adversarial_channels() -> None:
    both = ProjectedFeatures(
        torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0, 6.0], [7.0, 8.0]])
    )
    assert both.joined_B2P.tolist() == [[1.0, 2.0, 5.0, 6.0], [3.0, 4.0, 7.0, 8.0]]
    assert both.mean_2P.tolist() == [2.0, 3.0, 6.0, 7.0]


# -- the cosine


def test_squared_cosine_distance_equals_the_slow_formula() -> None:
    """(1 - cosine)^2 per sample."""
    teacher = ProjectedFeatures(*views(1))
    student = ProjectedFeatures(*views(2))
    expected = []
    for t, s in zip(
        teacher.joined_B2P.double().numpy(), student.joined_B2P.double().numpy(), strict=True
    ):
        expected.append((1 - t @ s / np.sqrt((t @ t) * (s @ s))) ** 2)
    assert squared_cosine_distance(teacher, student).tolist() == pytest.approx(expected, rel=1e-5)


def test_squared_cosine_distance_by_hand() -> None:
    # Cosines over both views: 0, 1 and -1.
    teacher = ProjectedFeatures(
        torch.tensor([[1.0], [1.0], [1.0]]), torch.tensor([[0.0], [2.0], [1.0]])
    )
    student = ProjectedFeatures(
        torch.tensor([[0.0], [2.0], [-3.0]]), torch.tensor([[1.0], [4.0], [-3.0]])
    )
    assert squared_cosine_distance(teacher, student).tolist() == pytest.approx([1, 0, 4])


# -- the perturbation

KAPPA = 0.05


def slopes(module: ProjectionHead, seed: int = 3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(weight.shape, generator=generator)
        for name, weight in module.named_parameters()
    }


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_linear_objective_perturbs_to_the_boundary(kind: str, steps: int) -> None:
    """On a linear objective the perturbation reaches its boundary along the slope."""
    module, settings = head(kind=kind, perturbation=KAPPA, perturbation_steps=steps)
    slope = slopes(module)
    perturbed = perturb_weights(
        module,
        lambda weights: total((slope[name] * weights[name]).sum() for name in weights),
        settings,
    )
    for name, weight in module.named_parameters():
        expected = KAPPA * weight.norm() * slope[name] / slope[name].norm()
        torch.testing.assert_close(perturbed[name] - weight, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
def test_no_weight_tensor_leaves_its_own_ball(steps: int) -> None:
    module, settings = head(kind="mlp", perturbation=KAPPA, perturbation_steps=steps)
    slope = slopes(module)

    def winding(weights: dict[str, Tensor]) -> Tensor:
        return total((40 * slope[name] * weights[name]).sin().sum() for name in weights)

    perturbed = perturb_weights(module, winding, settings)
    radii = {name: KAPPA * weight.norm().item() for name, weight in module.named_parameters()}
    lengths = {
        name: (perturbed[name] - weight).norm().item() for name, weight in module.named_parameters()
    }
    assert all(lengths[name] <= radii[name] + 1e-6 for name in radii)
    if steps == 1:
        assert lengths == pytest.approx(radii, rel=1e-3, abs=1e-6)
    else:
        assert any(lengths[name] < 0.99 * radii[name] for name in radii)


def test_each_step_follows_the_gradient_where_the_last_one_ended() -> None:
    module, settings = head(perturbation=0.3, perturbation_steps=3)
    target = slopes(module)

    def objective(weights: dict[str, Tensor]) -> Tensor:
        return total((weights[name] - target[name]).pow(4).sum() for name in weights)

    perturbed = perturb_weights(module, objective, settings)
    for name, weight in module.named_parameters():
        start: np.ndarray[Any, Any] = weight.detach().double().numpy()
        goal = target[name].double().numpy()
        radius = 0.3 * np.linalg.norm(start)
        iterate = start.copy()
        for _ in range(3):
            gradient = 4 * (iterate - goal) ** 3
            iterate = iterate + radius / 3 * gradient / np.linalg.norm(gradient)
        np.testing.assert_allclose(perturbed[name].detach().numpy(), iterate, rtol=1e-4, atol=1e-5)


def test_the_perturbation_is_ascent() -> None:
    module, settings = head(perturbation=KAPPA)
    teacher = ProjectedFeatures(*views(4, channels=3))

    def objective(weights: dict[str, Tensor]) -> Tensor:
        return squared_cosine_distance(teacher, module.project(*views(), weights)).mean()

    perturbed = perturb_weights(module, objective, settings)
    assert objective(perturbed) > objective(dict(module.named_parameters()))


def test_flat_objective_perturbs_nothing() -> None:
    module, settings = head(perturbation=KAPPA)
    perturbed = perturb_weights(
        module, lambda weights: total(0 * weight.sum() for weight in weights.values()), settings
    )
    assert all(torch.equal(perturbed[name], weight) for name, weight in module.named_parameters())


def test_a_weight_tensor_of_zeros_has_a_ball_of_radius_zero() -> None:
    module, settings = head(kind="mlp", perturbation=KAPPA)
    name = "layers.1.bias"  # The batch norm's.
    slope = slopes(module)
    perturbed = perturb_weights(
        module,
        lambda weights: total((slope[key] * weights[key]).sum() for key in weights),
        settings,
    )
    assert copied_weights(module)[name].abs().max() == 0
    assert perturbed[name].abs().max() == 0


def test_gradients_pass_to_the_heads_own_weights() -> None:
    """The perturbation is a constant: a gradient at the perturbed weights is the weights' own."""
    module, settings = head(perturbation=KAPPA)
    before = copied_weights(module)
    slope = slopes(module)
    perturbed = perturb_weights(
        module, lambda weights: total(weight.pow(4).sum() for weight in weights.values()), settings
    )
    assert all(parameter.grad is None for parameter in module.parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in module.named_parameters())
    backward(total((slope[name] * weight).sum() for name, weight in perturbed.items()))
    for name, weight in module.named_parameters():
        torch.testing.assert_close(weight.grad, slope[name], rtol=0, atol=0)


def test_default_heads_are_linear_with_a_frozen_teacher() -> None:
    """By default the student's head is perturbed by one step of a hundredth."""
    settings = ProjectionHeadSettings()
    perturbation = (settings.perturbation, settings.perturbation_steps)
    assert (*perturbation, settings.cosine_weight) == (0.01, 1, 1.0)
    assert (settings.kind, settings.normalize, settings.teacher) == ("linear", True, "frozen")


@pytest.mark.parametrize(("features", "width"), [(2, 2), (16, 8), (512, 128), (1280, 128)])
def test_default_head_dimension_is_half_the_features(features: int, width: int) -> None:
    """It is half of the student's features and never more than 128."""
    assert ProjectionHeadSettings().dimension_for(features) == width
    assert ProjectionHeadSettings(dimension=7).dimension_for(features) == 7
