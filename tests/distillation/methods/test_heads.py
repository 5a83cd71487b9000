"""STARSHIP's projection heads, and the perturbation of the student's, Eq. 7."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.distillation.methods.projection_heads import ProjectionHead, ProjectedFeatures, squared_cosine_distance, perturb_weights
from core.jobspec.training.starship import ProjectionHeads

FEATURES = 5


def head(**settings: object) -> tuple[ProjectionHead, ProjectionHeads]:
    chosen = ProjectionHeads(dimension=3, **settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ProjectionHead(FEATURES, chosen.dimension_for(FEATURES), chosen), chosen


def views(seed: int = 0, samples: int = 7, channels: int = FEATURES) -> tuple[Tensor, Tensor]:
    clean, adversarial = torch.randn(
        2, samples, channels, generator=torch.Generator().manual_seed(seed)
    )
    return clean, adversarial


def own(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


# -- projection


def test_a_linear_head_is_one_linear_layer_and_each_views_projection_has_unit_length() -> None:
    linear, _ = head()
    (weight, bias), clean = linear.parameters(), views()[0]
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


def test_the_mlp_head_sees_each_views_own_batch_in_both_modes_and_keeps_no_running_statistics() -> (
    None
):
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
    other = ProjectionHead(FEATURES, 3, ProjectionHeads(kind=kind))
    before = own(one)
    replaced, expected = one.project(*views(), own(other)), other.project(*views())
    torch.testing.assert_close(replaced.joined_B2P, expected.joined_B2P)
    assert all(torch.equal(weight, before[name]) for name, weight in one.named_parameters())
    torch.testing.assert_close(
        one.project(*views(), before).joined_B2P, one.project(*views()).joined_B2P
    )


def test_joined_features_are_clean_then_adversarial_along_the_channels() -> None:
    both = ProjectedFeatures(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0, 6.0], [7.0, 8.0]]))
    assert both.joined_B2P.tolist() == [[1.0, 2.0, 5.0, 6.0], [3.0, 4.0, 7.0, 8.0]]
    assert both.mean_2P.tolist() == [2.0, 3.0, 6.0, 7.0]


# -- the cosine


def test_disagreement_is_the_mean_squared_distance_of_the_cosine_from_one() -> None:
    teacher, student = ProjectedFeatures(*views(1)), ProjectedFeatures(*views(2))
    total = 0.0
    for t, s in zip(
        teacher.joined_B2P.double().numpy(), student.joined_B2P.double().numpy(), strict=True
    ):
        total += (1 - t @ s / np.sqrt((t @ t) * (s @ s))) ** 2
    assert squared_cosine_distance(teacher, student).item() == pytest.approx(total / 7, rel=1e-5)


def test_disagreement_by_hand() -> None:
    # Cosines over both views: 0, 1 and -1, so 1, 0 and 4; their mean is 5/3.
    teacher = ProjectedFeatures(torch.tensor([[1.0], [1.0], [1.0]]), torch.tensor([[0.0], [2.0], [1.0]]))
    student = ProjectedFeatures(torch.tensor([[0.0], [2.0], [-3.0]]), torch.tensor([[1.0], [4.0], [-3.0]]))
    assert squared_cosine_distance(teacher, student).item() == pytest.approx(5 / 3)


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
def test_on_a_linear_objective_the_perturbation_reaches_the_boundary_along_the_slope(
    kind: str, steps: int
) -> None:
    module, settings = head(kind=kind, perturbation=KAPPA, perturbation_steps=steps)
    slope = slopes(module)
    moved = perturb_weights(
        module,
        lambda weights: sum((slope[name] * weights[name]).sum() for name in weights),
        settings,
    )
    for name, weight in module.named_parameters():
        expected = KAPPA * weight.norm() * slope[name] / slope[name].norm()
        torch.testing.assert_close(moved[name] - weight, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
def test_no_weight_tensor_leaves_its_own_ball(steps: int) -> None:
    module, settings = head(kind="mlp", perturbation=KAPPA, perturbation_steps=steps)
    slope = slopes(module)

    def winding(weights: dict[str, Tensor]) -> Tensor:
        return sum((40 * slope[name] * weights[name]).sin().sum() for name in weights)

    moved = perturb_weights(module, winding, settings)
    radii = {name: KAPPA * weight.norm().item() for name, weight in module.named_parameters()}
    lengths = {
        name: (moved[name] - weight).norm().item() for name, weight in module.named_parameters()
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
        return sum((weights[name] - target[name]).pow(4).sum() for name in weights)

    moved = perturb_weights(module, objective, settings)
    for name, weight in module.named_parameters():
        plain, goal = weight.detach().double().numpy(), target[name].double().numpy()
        iterate = plain.copy()
        for _ in range(3):
            gradient = 4 * (iterate - goal) ** 3
            iterate = iterate + 0.3 / 3 * np.linalg.norm(plain) * gradient / np.linalg.norm(
                gradient
            )
        np.testing.assert_allclose(moved[name].detach().numpy(), iterate, rtol=1e-4, atol=1e-5)


def test_the_perturbation_is_ascent() -> None:
    module, settings = head(perturbation=KAPPA)
    teacher = ProjectedFeatures(*views(4, channels=3))

    def objective(weights: dict[str, Tensor]) -> Tensor:
        return squared_cosine_distance(teacher, module.project(*views(), weights))

    assert objective(perturb_weights(module, objective, settings)) > objective(
        dict(module.named_parameters())
    )


def test_where_the_objective_is_flat_nothing_is_perturbed() -> None:
    module, settings = head(perturbation=KAPPA)
    moved = perturb_weights(
        module, lambda weights: sum(0 * weight.sum() for weight in weights.values()), settings
    )
    assert all(torch.equal(moved[name], weight) for name, weight in module.named_parameters())


def test_a_weight_tensor_of_zeros_has_a_ball_of_radius_zero() -> None:
    module, settings = head(kind="mlp", perturbation=KAPPA)
    name = "layers.1.bias"  # of the batch norm
    slope = slopes(module)
    moved = perturb_weights(
        module, lambda weights: sum((slope[key] * weights[key]).sum() for key in weights), settings
    )
    assert own(module)[name].abs().max() == 0
    assert moved[name].abs().max() == 0


def test_the_perturbation_is_a_constant_and_gradients_pass_to_the_heads_own_weights() -> None:
    module, settings = head(perturbation=KAPPA)
    before, slope = own(module), slopes(module)
    moved = perturb_weights(
        module, lambda weights: sum(weight.pow(4).sum() for weight in weights.values()), settings
    )
    assert all(parameter.grad is None for parameter in module.parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in module.named_parameters())
    sum((slope[name] * weight).sum() for name, weight in moved.items()).backward()
    for name, weight in module.named_parameters():
        torch.testing.assert_close(weight.grad, slope[name], rtol=0, atol=0)


def test_by_default_heads_are_linear_the_teachers_is_frozen_and_the_students_perturbed_by_one_step_of_a_hundredth() -> (
    None
):
    settings = ProjectionHeads()
    assert (settings.perturbation, settings.perturbation_steps, settings.cosine_weight) == (
        0.01,
        1,
        1.0,
    )
    assert (settings.kind, settings.normalize, settings.teacher) == ("linear", True, "frozen")


@pytest.mark.parametrize(("features", "width"), [(2, 2), (16, 8), (512, 128), (1280, 128)])
def test_by_default_heads_are_half_as_wide_as_the_students_features_and_never_wider_than_128(
    features: int, width: int
) -> None:
    assert ProjectionHeads().dimension_for(features) == width
    assert ProjectionHeads(dimension=7).dimension_for(features) == 7
