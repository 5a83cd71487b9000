"""STARSHIP, Eq. 2-11, compared with the loss written out in plain_starship.py."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.distillation.adversaries import run_adversary
from core.distillation.methods.arkd import Arkd
from core.distillation.methods.method import MethodLoss
from core.distillation.methods.starship import Starship
from core.distillation.models.small_cnn import SmallCnn
from core.distillation.network_modes import network_mode
from core.jobspec.resolved import (
    ResolvedCovarianceAlignmentSettings,
    ResolvedProjectionHeadSettings,
    ResolvedStarshipSettings,
)
from core.jobspec.training.adversary import PgdAdversarySettings
from core.jobspec.training.methods import ArkdSettings
from core.jobspec.training.starship import (
    DistanceSettings,
    FrobeniusSettings,
    GramMatchingSettings,
    MaxExpSettings,
    NormalKlSettings,
    PowerEuclideanSettings,
    StarshipSettings,
    SubmatrixAlignmentSettings,
)
from tests.distillation.methods.plain import backward
from tests.distillation.methods.plain_starship import PlainStarship, plain_covariance

BATCH = 6
DIMENSION = 3
MAX_EXP = MaxExpSettings()
DISTANCES: list[DistanceSettings] = [
    FrobeniusSettings(),
    PowerEuclideanSettings(ridge=0.01),
    MaxExpSettings(eta=5),
    NormalKlSettings(ridge=0.01),
]


def settings_with(
    *,
    distance: Any = MAX_EXP,
    pgm_distance: Any = None,
    alpha: tuple[float, float, float] = (1.0, 2.0, 1.0),
    heads: dict[str, Any] | None = None,
    submatrices: dict[str, Any] | None = None,
    **changes: Any,
) -> ResolvedStarshipSettings:
    """STARSHIP with small heads, both trained unless ``heads`` says otherwise."""
    return ResolvedStarshipSettings(
        covariance=ResolvedCovarianceAlignmentSettings(
            weight=alpha[0],
            distance=distance,
            heads=ResolvedProjectionHeadSettings.model_validate(
                {"dimension": DIMENSION, "teacher": "trained"} | (heads or {})
            ),
        ),
        gram=GramMatchingSettings(
            weight=alpha[1], distance=distance if pgm_distance is None else pgm_distance
        ),
        submatrices=SubmatrixAlignmentSettings(weight=alpha[2], **(submatrices or {})),
        **changes,
    )


def starship(
    settings: ResolvedStarshipSettings, student: SmallCnn, teacher: SmallCnn, seed: int = 0
) -> Starship:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Starship(settings, student, teacher)


def gradients(method: Starship) -> dict[str, Tensor]:
    """Return the gradients of the student's and the heads' parameters, by name."""
    gradients = {f"student.{name}": p.grad for name, p in method.student.named_parameters()}
    gradients |= {f"heads.{name}": p.grad for name, p in method.heads.named_parameters()}
    return {name: gradient for name, gradient in gradients.items() if gradient is not None}


def outer_loss(method: Starship, images: Tensor, adversarial: Tensor, labels: Tensor) -> MethodLoss:
    """Return the loss of one step, with the student in train mode."""
    method.student.train()
    return method.outer(method.prepare_batch(images, labels), adversarial)


def assert_equal_gradients(one: nn.Module, other: nn.Module) -> None:
    for parameter, same in zip(one.parameters(), other.parameters(), strict=True):
        assert parameter.grad is not None
        assert same.grad is not None
        assert torch.equal(parameter.grad, same.grad)


def shift_projected_features(method: Starship) -> None:
    """Add 3 to every projected feature of the student."""
    layers = method.student_head.layers
    assert isinstance(layers, nn.Linear)
    with torch.no_grad():
        layers.bias.add_(3)


CASES: dict[str, ResolvedStarshipSettings] = {
    "both heads trained": settings_with(),
    **{distance.name: settings_with(distance=distance) for distance in DISTANCES},
    "another distance for each matrix": settings_with(
        distance=NormalKlSettings(ridge=0.05), pgm_distance=FrobeniusSettings()
    ),
    "features of any length": settings_with(heads={"normalize": False}),
    "kl in nats": settings_with(distance=NormalKlSettings(ridge=0.05, per_dimension=False)),
    "kl of features of any length": settings_with(
        distance=NormalKlSettings(ridge=0.05), heads={"normalize": False}
    ),
    "a frozen teacher head": settings_with(heads={"teacher": "frozen"}),
    "a wide ball": settings_with(heads={"perturbation": 0.3}),
    "several steps": settings_with(heads={"perturbation": 0.3, "perturbation_steps": 4}),
    "no perturbation": settings_with(heads={"perturbation": 0.0}),
    "a small weight of the cosine": settings_with(
        heads={"perturbation": 0.3, "cosine_weight": 0.25}
    ),
    "no cosine": settings_with(heads={"cosine_weight": 0.0}),
    "other weights": settings_with(alpha=(0.5, 3.0, 0.25), beta=0.4, submatrices={"factor": 2.0}),
}


@pytest.mark.parametrize("case", CASES)
def test_terms_and_gradients_are_those_of_eq_11(
    case: str,
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
) -> None:
    """Every term has the weight and value, and their sum the gradient, of Eq. 11 written out."""
    method = starship(CASES[case], student, teacher)
    plain = PlainStarship(method)
    loss = outer_loss(method, images, adversarial, labels)
    expected = plain.terms(images, adversarial)
    assert set(loss.terms) == set(expected)
    for name, (weight, value) in expected.items():
        assert loss.terms[name].weight == pytest.approx(weight)
        assert loss.terms[name].value.item() == pytest.approx(value.item(), rel=2e-3, abs=1e-7), (
            name
        )
    expected_total = torch.stack([weight * value for weight, value in expected.values()]).sum()
    assert loss.total.item() == pytest.approx(expected_total.item(), rel=1e-3)

    backward(loss.total)
    backward(expected_total)
    actual_gradients = gradients(method)
    expected_gradients = plain.gradients()
    assert set(actual_gradients) == set(expected_gradients)
    for name, gradient in expected_gradients.items():
        difference = actual_gradients[name].double() - gradient
        assert difference.norm() <= 5e-3 * gradient.norm() + 1e-6, name


def test_the_defaults_are_the_papers_weights() -> None:
    settings = StarshipSettings()
    assert (settings.covariance.weight, settings.gram.weight, settings.submatrices.weight) == (
        1.0,
        2.0,
        1.0,
    )
    assert (settings.beta, settings.adaptive, settings.submatrices.factor) == (0.8, False, 0.5)
    assert (
        settings.covariance.distance == settings.gram.distance == MaxExpSettings(eta=10, ridge=1e-6)
    )


def test_the_terms_by_name_and_weight(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    method = starship(
        settings_with(alpha=(1.5, 2.5, 0.75), heads={"cosine_weight": 0.2}), student, teacher
    )
    loss = outer_loss(method, images, adversarial, labels)
    assert {name: term.weight for name, term in loss.terms.items()} == pytest.approx(
        {
            "arkd_clean": 0.2,
            "arkd_adversarial": 0.8,
            "cosine": 1.5 * 0.2,
            "fca": 1.5,
            "pgm": 2.5,
            "omega_covariance": 0.75,
            "omega_gram": 0.75,
        }
    )
    assert loss.total.item() == pytest.approx(
        sum(term.weight * term.value.item() for term in loss.terms.values())
    )
    assert set(loss.metrics) == {"effective_rank_teacher", "effective_rank_student"}


# -- what could go wrong without any error


def test_only_cosine_and_fca_use_the_perturbed_head(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    values = {}
    for kappa in (0.0, 0.5):
        method = starship(settings_with(heads={"perturbation": kappa}), student, teacher)
        values[kappa] = {
            name: term.value.item()
            for name, term in outer_loss(method, images, adversarial, labels).terms.items()
        }
    perturbed = values[0.5]["cosine"] + values[0.5]["fca"]
    assert perturbed > 1.1 * (values[0.0]["cosine"] + values[0.0]["fca"])
    for name in ("arkd_clean", "arkd_adversarial", "omega_covariance", "pgm", "omega_gram"):
        assert values[0.5][name] == values[0.0][name]


def test_step_leaves_the_heads_unperturbed(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    method = starship(settings_with(heads={"perturbation": 0.5}), student, teacher)
    before = {name: weight.detach().clone() for name, weight in method.heads.named_parameters()}
    backward(outer_loss(method, images, adversarial, labels).total)
    assert all(
        torch.equal(weight, before[name]) for name, weight in method.heads.named_parameters()
    )


def test_kl_of_covariances_includes_the_means(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    heads = {"perturbation": 0.0, "normalize": False}
    method = starship(settings_with(distance=NormalKlSettings(), heads=heads), student, teacher)
    before = outer_loss(method, images, adversarial, labels).terms
    shift_projected_features(method)
    after = outer_loss(method, images, adversarial, labels).terms
    assert after["fca"].value > 2 * before["fca"].value
    assert after["omega_covariance"].value.item() == pytest.approx(
        before["omega_covariance"].value.item(), rel=1e-4
    )


@pytest.mark.parametrize(
    "distance", [MaxExpSettings(), FrobeniusSettings(), PowerEuclideanSettings()]
)
def test_no_other_distance_depends_on_the_means(
    distance: Any,
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
) -> None:
    heads = {"perturbation": 0.0, "normalize": False}
    method = starship(settings_with(distance=distance, heads=heads), student, teacher)
    before = outer_loss(method, images, adversarial, labels).terms["fca"].value.item()
    shift_projected_features(method)
    after = outer_loss(method, images, adversarial, labels).terms["fca"].value.item()
    assert after == pytest.approx(before, rel=1e-3)


def test_omega_is_zero_for_clean_adversarial_images(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, labels: Tensor
) -> None:
    """Omega is zero where the adversarial images are the clean ones."""
    terms = outer_loss(starship(settings_with(), student, teacher), images, images, labels).terms
    assert terms["omega_covariance"].value.item() == pytest.approx(0, abs=1e-12)
    assert terms["omega_gram"].value.item() == pytest.approx(0, abs=1e-12)


def test_identical_student_has_only_omega_to_learn(
    teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    """All terms but Omega vanish for a student that is a copy of its teacher."""
    student = copy.deepcopy(teacher)
    method = starship(settings_with(), student, teacher)
    method.student_head.load_state_dict(method.teacher_head.state_dict())
    student.eval()
    terms = method.outer(method.prepare_batch(images, labels), adversarial).terms
    for name in ("arkd_clean", "arkd_adversarial", "cosine", "fca", "pgm"):
        assert terms[name].value.item() == pytest.approx(0, abs=1e-3), name
    assert terms["arkd_clean"].value.item() == pytest.approx(0, abs=1e-6)
    assert terms["omega_gram"].value > 1e-3


# -- leaving parts out


@pytest.mark.parametrize(
    ("changes", "terms"),
    [
        ({"alpha": (0.0, 2.0, 1.0)}, {"pgm", "omega_covariance", "omega_gram"}),
        ({"alpha": (1.0, 0.0, 1.0)}, {"cosine", "fca", "omega_covariance", "omega_gram"}),
        ({"alpha": (1.0, 2.0, 0.0)}, {"cosine", "fca", "pgm"}),
        ({"submatrices": {"covariance": False}}, {"cosine", "fca", "pgm", "omega_gram"}),
        ({"submatrices": {"gram": False}}, {"cosine", "fca", "pgm", "omega_covariance"}),
        ({"alpha": (0.0, 0.0, 1.0), "submatrices": {"covariance": False}}, {"omega_gram"}),
    ],
)
def test_a_weight_of_zero_leaves_its_part_out(
    changes: dict[str, Any],
    terms: set[str],
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
) -> None:
    method = starship(settings_with(**changes), student, teacher)
    loss = outer_loss(method, images, adversarial, labels)
    assert set(loss.terms) == {"arkd_clean", "arkd_adversarial"} | terms
    needs_heads = bool(terms & {"cosine", "fca", "omega_covariance"})
    assert set(method.heads) == ({"teacher", "student"} if needs_heads else set())
    assert bool(loss.metrics) is needs_heads
    backward(loss.total)


@pytest.mark.parametrize("adaptive", [False, True])
def test_with_all_weights_zero_it_is_arkd(
    adaptive: bool,
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
) -> None:
    other = copy.deepcopy(student)
    method = Starship(
        settings_with(alpha=(0.0, 0.0, 0.0), adaptive=adaptive, beta=0.7), student, teacher
    )
    arkd = Arkd(ArkdSettings(adaptive=adaptive, beta=0.7), other, teacher)
    assert list(method.heads.parameters()) == []
    loss = method.outer(method.prepare_batch(images, labels), adversarial)
    expected = arkd.outer(arkd.prepare_batch(images, labels), adversarial)
    assert torch.equal(loss.total, expected.total)
    backward(loss.total)
    backward(expected.total)
    assert_equal_gradients(student, other)


@pytest.mark.parametrize("adaptive", [False, True])
def test_its_adversary_is_arkds(
    adaptive: bool,
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
) -> None:
    student.eval()
    method = Starship(settings_with(adaptive=adaptive), student, teacher)
    arkd = Arkd(ArkdSettings(adaptive=adaptive), student, teacher)
    value = method.inner(method.prepare_batch(images, labels))(adversarial)
    expected = arkd.inner(arkd.prepare_batch(images, labels))(adversarial)
    assert torch.equal(value, expected)


# -- who gets a gradient


def test_gradients_reach_student_and_heads_but_not_the_teacher(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    method = starship(settings_with(), student, teacher)
    backward(outer_loss(method, images, adversarial, labels).total)
    trained = [
        *student.parameters(),
        *method.teacher_head.parameters(),
        *method.student_head.parameters(),
    ]
    assert all(
        parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in trained
    )
    assert all(
        parameter.grad is None and not parameter.requires_grad for parameter in teacher.parameters()
    )
    assert len(list(method.heads.parameters())) == 4


def test_frozen_teacher_head_has_no_gradient(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    """Freezing the teacher's head changes no value and none of the student head's gradients."""
    trained = starship(settings_with(), copy.deepcopy(student), teacher)
    frozen = starship(settings_with(heads={"teacher": "frozen"}), student, teacher)
    losses = [outer_loss(method, images, adversarial, labels).total for method in (trained, frozen)]
    assert torch.equal(*losses)
    for loss in losses:
        backward(loss)
    assert all(not p.requires_grad and p.grad is None for p in frozen.teacher_head.parameters())
    assert_equal_gradients(trained.student_head, frozen.student_head)


def test_the_mlp_head_works_too(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    method = starship(settings_with(heads={"kind": "mlp"}), student, teacher)
    loss = outer_loss(method, images, adversarial, labels).total
    backward(loss)
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.heads.parameters())


@pytest.mark.parametrize("distance", DISTANCES)
def test_gradients_are_numbers_where_all_images_are_alike(
    distance: Any, student: SmallCnn, teacher: SmallCnn, images: Tensor, labels: Tensor
) -> None:
    alike = images[:1].expand(BATCH, -1, -1, -1)
    method = starship(settings_with(distance=distance), student, teacher)
    loss = outer_loss(method, alike, alike, labels).total
    backward(loss)
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients(method).values())


# -- modes and metrics


def test_running_statistics_change_in_the_outer_step_only(
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    labels: Tensor,
    running_statistics: Callable[[SmallCnn], dict[str, Tensor]],
) -> None:
    """The attack, in eval mode, leaves them; the outer step, in train mode, changes them."""
    method = starship(settings_with(), student.train(), teacher)
    before = running_statistics(student)
    batch = method.prepare_batch(images, labels)
    with network_mode(student, "eval"):
        attacked = run_adversary(
            PgdAdversarySettings(steps=2),
            method.inner(batch),
            images,
            torch.Generator().manual_seed(0),
        )
    assert student.training
    assert all(torch.equal(buffer, before[name]) for name, buffer in student.named_buffers())
    method.outer(batch, attacked)
    assert student.training
    assert not any(torch.equal(buffer, before[name]) for name, buffer in student.named_buffers())
    assert student.bn1.num_batches_tracked is not None
    assert student.bn1.num_batches_tracked.item() == 2


def test_the_mode_is_restored_after_an_error_too(student: SmallCnn) -> None:
    def fail() -> None:
        with network_mode(student.train(), "eval"):
            assert not student.bn1.training
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert student.training
    assert student.bn1.training


def test_metrics_are_the_effective_ranks_of_both_covariances(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    """Both covariances are those behind the unperturbed heads."""
    method = starship(settings_with(heads={"perturbation": 0.5}), student, teacher)
    plain = PlainStarship(method)
    metrics = outer_loss(method, images, adversarial, labels).metrics
    x = images.double()
    x_hat = adversarial.double()
    for owner, network in (("teacher", plain.teacher), ("student", plain.student)):
        features = (network.features(x), network.features(x_hat))
        sigma = plain_covariance(*plain.project(plain.heads[owner], features))
        values = torch.linalg.eigvalsh(sigma)
        expected = (values.sum() ** 2 / (values**2).sum()).item()
        assert metrics[f"effective_rank_{owner}"].item() == pytest.approx(expected, rel=1e-3)
        assert not metrics[f"effective_rank_{owner}"].requires_grad
