"""STARSHIP, Eq. 2-11, against the whole loss written out a second time in double precision."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from core.distillation.adversaries import attack
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
    FrobeniusSettings,
    GramMatchingSettings,
    MaxExpSettings,
    NormalKlSettings,
    PowerEuclideanSettings,
    SubmatrixAlignmentSettings,
)
from core.jobspec.training.starship import StarshipSettings as Settings

BATCH, DIMENSION = 6, 3
MAX_EXP = MaxExpSettings()
DISTANCES = [
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
            heads=ResolvedProjectionHeadSettings(
                **{"dimension": DIMENSION, "teacher": "trained"} | (heads or {})
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


# -- the loss a second time: double precision, linear heads, every formula spelt out


def ridged(matrix: Tensor, ridge: float) -> Tensor:
    return matrix + ridge * matrix.trace() / len(matrix) * torch.eye(
        len(matrix), dtype=torch.float64
    )


def square_root(matrix: Tensor) -> Tensor:
    """By the iteration of Denman and Beavers, without eigenvectors."""
    y, z = matrix, torch.eye(len(matrix), dtype=torch.float64)
    for _ in range(25):
        y, z = (y + torch.linalg.inv(z)) / 2, (z + torch.linalg.inv(y)) / 2
    return y


def plain_distance(a: Tensor, b: Tensor, distance: Any, shift: Tensor | None = None) -> Tensor:
    size = len(a)
    identity = torch.eye(size, dtype=torch.float64)
    if distance.name == "kl":
        a, b = ridged(a, distance.ridge), ridged(b, distance.ridge)
        precision = torch.linalg.inv(b)
        mahalanobis = 0 if shift is None else shift @ precision @ shift
        nats = 0.5 * (
            (precision @ a).trace() - size + torch.logdet(b) - torch.logdet(a) + mahalanobis
        )
        return nats / size if distance.per_dimension else nats
    if distance.name == "power_euclidean":
        assert distance.gamma == 0.5
        a, b = square_root(ridged(a, distance.ridge)), square_root(ridged(b, distance.ridge))
    if distance.name == "max_exp":
        a, b = (
            identity
            - torch.linalg.matrix_power(identity - m / (m.trace() + distance.ridge), distance.eta)
            for m in (a, b)
        )
    return ((a - b) ** 2).sum()


def plain_covariance(clean: Tensor, adversarial: Tensor) -> Tensor:
    joined = torch.cat([clean, adversarial], dim=1)
    return sum(torch.outer(row, row) for row in joined - joined.mean(0)) / len(joined)


def plain_gram(clean: Tensor, adversarial: Tensor) -> Tensor:
    rows = torch.cat([clean.softmax(1), adversarial.softmax(1)])
    return (
        torch.stack([torch.stack([(one * other).sum() for other in rows]) for one in rows])
        / rows.shape[1]
    )


def plain_omega(matrix: Tensor, factor: float) -> Tensor:
    half = len(matrix) // 2
    first = matrix[:half, :half]
    others = (matrix[:half, half:], matrix[half:, :half], matrix[half:, half:])
    return factor * sum(((block - first) ** 2).sum() for block in others)


def plain_kl(p_logits: Tensor, q_logits: Tensor) -> Tensor:
    p, q = p_logits.softmax(1), q_logits.softmax(1)
    return (p * (p / q).log()).sum() / len(p)


class Plain:
    """Everything in double precision: two networks, two linear heads, and Eq. 11 of them."""

    def __init__(self, method: Starship) -> None:
        self.settings = method.settings
        self.student = copy.deepcopy(method.student).double().train()
        self.teacher = copy.deepcopy(method.teacher).double().eval()
        self.heads = {
            owner: {
                name: weight.detach().double().requires_grad_()
                for name, weight in head.named_parameters()
            }
            for owner, head in method.heads.items()
        }
        if self.settings.covariance.heads.teacher == "frozen":
            self.heads["teacher"] = {
                name: weight.detach() for name, weight in self.heads["teacher"].items()
            }

    def project(
        self, weights: dict[str, Tensor], features: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        clean, adversarial = (
            f @ weights["layers.weight"].T + weights["layers.bias"] for f in features
        )
        if self.settings.covariance.heads.normalize:
            clean, adversarial = (
                p / (p**2).sum(1, keepdim=True).sqrt() for p in (clean, adversarial)
            )
        return clean, adversarial

    def cosine(self, theirs: tuple[Tensor, Tensor], ours: tuple[Tensor, Tensor]) -> Tensor:
        t, s = torch.cat(theirs, 1), torch.cat(ours, 1)
        cosines = (t * s).sum(1) / ((t**2).sum(1) * (s**2).sum(1)).sqrt()
        return ((1 - cosines) ** 2).sum() / len(t)

    def fca(self, theirs: tuple[Tensor, Tensor], ours: tuple[Tensor, Tensor]) -> Tensor:
        shift = torch.cat(ours, 1).mean(0) - torch.cat(theirs, 1).mean(0)
        distance = self.settings.covariance.distance
        return 0.25 * plain_distance(
            plain_covariance(*theirs), plain_covariance(*ours), distance, shift
        )

    def perturbation(
        self, theirs: tuple[Tensor, Tensor], features: tuple[Tensor, Tensor]
    ) -> dict[str, Tensor]:
        """Equal steps along the normalized gradient, up to kappa ||W||_F for each weight tensor."""
        heads, own = self.settings.covariance.heads, self.heads["student"]
        theirs = (theirs[0].detach(), theirs[1].detach())
        features = (features[0].detach(), features[1].detach())
        delta = {name: torch.zeros_like(weight) for name, weight in own.items()}
        for _ in range(heads.perturbation_steps):
            moved = {
                name: (weight.detach() + delta[name]).requires_grad_()
                for name, weight in own.items()
            }
            ours = self.project(moved, features)
            climbed = heads.cosine_weight * self.cosine(theirs, ours) + self.fca(theirs, ours)
            for name, gradient in zip(
                moved, torch.autograd.grad(climbed, list(moved.values())), strict=True
            ):
                radius = heads.perturbation * (own[name].detach() ** 2).sum().sqrt()
                delta[name] = (
                    delta[name]
                    + radius / heads.perturbation_steps * gradient / (gradient**2).sum().sqrt()
                )
        return delta

    def terms(self, images: Tensor, adversarial: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Name -> (weight, value) of Eq. 11 written out."""
        settings, x, x_hat = self.settings, images.double(), adversarial.double()
        with torch.no_grad():
            f_t = (self.teacher.features(x), self.teacher.features(x_hat))
            z_t = (self.teacher.classify(f_t[0]), self.teacher.classify(f_t[1]))
        f_s = (self.student.features(x), self.student.features(x_hat))
        z_s = (self.student.classify(f_s[0]), self.student.classify(f_s[1]))
        theirs, ours = (
            self.project(self.heads["teacher"], f_t),
            self.project(self.heads["student"], f_s),
        )
        delta = self.perturbation(theirs, f_s)
        shifted = self.project(
            {name: weight + delta[name] for name, weight in self.heads["student"].items()}, f_s
        )
        alpha, factor = settings.covariance.weight, settings.submatrices.factor
        g_t, g_s = plain_gram(*z_t), plain_gram(*z_s)
        return {
            "arkd_clean": (1 - settings.beta, plain_kl(z_t[0], z_s[0])),
            "arkd_adversarial": (settings.beta, plain_kl(z_t[1], z_s[1])),
            "cosine": (
                alpha * settings.covariance.heads.cosine_weight,
                self.cosine(theirs, shifted),
            ),
            "fca": (alpha, self.fca(theirs, shifted)),
            "omega_covariance": (
                settings.submatrices.weight,
                plain_omega(plain_covariance(*ours), factor),
            ),
            "pgm": (settings.gram.weight, 0.25 * plain_distance(g_t, g_s, settings.gram.distance)),
            "omega_gram": (settings.submatrices.weight, plain_omega(g_s, factor)),
        }

    def gradients(self) -> dict[str, Tensor]:
        found = {f"student.{name}": p.grad for name, p in self.student.named_parameters()}
        for owner, weights in self.heads.items():
            found |= {f"heads.{owner}.{name}": weight.grad for name, weight in weights.items()}
        return {name: gradient for name, gradient in found.items() if gradient is not None}


def gradients(method: Starship) -> dict[str, Tensor]:
    found = {f"student.{name}": p.grad for name, p in method.student.named_parameters()}
    found |= {f"heads.{name}": p.grad for name, p in method.heads.named_parameters()}
    return {name: gradient for name, gradient in found.items() if gradient is not None}


def answer(method: Starship, images: Tensor, adversarial: Tensor, labels: Tensor) -> MethodLoss:
    method.student.train()
    return method.outer(method.prepare_batch(images, labels), adversarial)


CASES = {
    "both heads trained": settings_with(),
    **{f"{distance.name}": settings_with(distance=distance) for distance in DISTANCES},
    "another distance for each matrix": settings_with(
        distance=NormalKlSettings(ridge=0.05), pgm_distance=FrobeniusSettings()
    ),
    "features as long as they are": settings_with(heads={"normalize": False}),
    "kl in nats": settings_with(distance=NormalKlSettings(ridge=0.05, per_dimension=False)),
    "kl of features as long as they are": settings_with(
        distance=NormalKlSettings(ridge=0.05), heads={"normalize": False}
    ),
    "a frozen teacher head": settings_with(heads={"teacher": "frozen"}),
    "a wide ball": settings_with(heads={"perturbation": 0.3}),
    "several steps": settings_with(heads={"perturbation": 0.3, "perturbation_steps": 4}),
    "no perturbation": settings_with(heads={"perturbation": 0.0}),
    "a light cosine": settings_with(heads={"perturbation": 0.3, "cosine_weight": 0.25}),
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
    plain = Plain(method)
    outcome, expected = (
        answer(method, images, adversarial, labels),
        plain.terms(images, adversarial),
    )
    assert set(outcome.terms) == set(expected)
    for name, (weight, value) in expected.items():
        assert outcome.terms[name].weight == pytest.approx(weight)
        assert outcome.terms[name].value.item() == pytest.approx(
            value.item(), rel=2e-3, abs=1e-7
        ), name
    loss = sum(weight * value for weight, value in expected.values())
    assert outcome.total.item() == pytest.approx(loss.item(), rel=1e-3)

    outcome.total.backward()
    loss.backward()
    found, wanted = gradients(method), plain.gradients()
    assert set(found) == set(wanted)
    for name, gradient in found.items():
        assert (gradient.double() - wanted[name]).norm() <= 5e-3 * wanted[name].norm() + 1e-6, name


def test_the_defaults_are_the_papers_weights() -> None:
    settings = Settings()
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
    outcome = answer(method, images, adversarial, labels)
    assert {name: term.weight for name, term in outcome.terms.items()} == pytest.approx(
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
    assert outcome.total.item() == pytest.approx(
        sum(term.weight * term.value.item() for term in outcome.terms.values())
    )
    assert set(outcome.metrics) == {"effective_rank_teacher", "effective_rank_student"}


# -- what may go wrong unseen


def test_only_cosine_and_fca_use_the_perturbed_head(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    values = {}
    for kappa in (0.0, 0.5):
        method = starship(settings_with(heads={"perturbation": kappa}), student, teacher)
        values[kappa] = {
            name: term.value.item()
            for name, term in answer(method, images, adversarial, labels).terms.items()
        }
    climbed = values[0.5]["cosine"] + values[0.5]["fca"]
    assert climbed > 1.1 * (values[0.0]["cosine"] + values[0.0]["fca"])
    for name in ("arkd_clean", "arkd_adversarial", "omega_covariance", "pgm", "omega_gram"):
        assert values[0.5][name] == values[0.0][name]


def test_the_perturbation_is_gone_after_the_step(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    method = starship(settings_with(heads={"perturbation": 0.5}), student, teacher)
    before = {name: weight.detach().clone() for name, weight in method.heads.named_parameters()}
    answer(method, images, adversarial, labels).total.backward()
    assert all(
        torch.equal(weight, before[name]) for name, weight in method.heads.named_parameters()
    )


def test_the_kl_of_covariances_takes_the_means_with_it(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    heads = {"perturbation": 0.0, "normalize": False}
    method = starship(settings_with(distance=NormalKlSettings(), heads=heads), student, teacher)
    before = answer(method, images, adversarial, labels).terms
    with torch.no_grad():
        method.student_head.layers.bias += 3
    after = answer(method, images, adversarial, labels).terms
    assert after["fca"].value > 2 * before["fca"].value
    assert after["omega_covariance"].value.item() == pytest.approx(
        before["omega_covariance"].value.item(), rel=1e-4
    )


@pytest.mark.parametrize(
    "distance", [MaxExpSettings(), FrobeniusSettings(), PowerEuclideanSettings()]
)
def test_no_other_distance_of_covariances_sees_the_means(
    distance: Any,
    student: SmallCnn,
    teacher: SmallCnn,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
) -> None:
    heads = {"perturbation": 0.0, "normalize": False}
    method = starship(settings_with(distance=distance, heads=heads), student, teacher)
    before = answer(method, images, adversarial, labels).terms["fca"].value.item()
    with torch.no_grad():
        method.student_head.layers.bias += 3
    assert answer(method, images, adversarial, labels).terms["fca"].value.item() == pytest.approx(
        before, rel=1e-3
    )


def test_omega_is_zero_for_clean_adversarial_images(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, labels: Tensor
) -> None:
    """Omega is zero where the adversarial images are the clean ones."""
    terms = answer(starship(settings_with(), student, teacher), images, images, labels).terms
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
    outcome = answer(method, images, adversarial, labels)
    assert set(outcome.terms) == {"arkd_clean", "arkd_adversarial"} | terms
    needs_heads = bool(terms & {"cosine", "fca", "omega_covariance"})
    assert set(method.heads) == ({"teacher", "student"} if needs_heads else set())
    assert bool(outcome.metrics) is needs_heads
    outcome.total.backward()


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
    outcome, expected = (
        m.outer(m.prepare_batch(images, labels), adversarial) for m in (method, arkd)
    )
    assert torch.equal(outcome.total, expected.total)
    outcome.total.backward()
    expected.total.backward()
    for one, same in zip(student.parameters(), other.parameters(), strict=True):
        assert torch.equal(one.grad, same.grad)


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
    methods = (
        Starship(settings_with(adaptive=adaptive), student, teacher),
        Arkd(ArkdSettings(adaptive=adaptive), student, teacher),
    )
    one, same = (m.inner(m.prepare_batch(images, labels))(adversarial) for m in methods)
    assert torch.equal(one, same)


# -- who gets a gradient


def test_gradients_reach_student_and_heads_but_not_the_teacher(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    method = starship(settings_with(), student, teacher)
    answer(method, images, adversarial, labels).total.backward()
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
    losses = [answer(method, images, adversarial, labels).total for method in (trained, frozen)]
    assert torch.equal(*losses)
    for loss in losses:
        loss.backward()
    assert all(not p.requires_grad and p.grad is None for p in frozen.teacher_head.parameters())
    for one, same in zip(
        trained.student_head.parameters(), frozen.student_head.parameters(), strict=True
    ):
        assert torch.equal(one.grad, same.grad)


def test_the_mlp_head_works_too(
    student: SmallCnn, teacher: SmallCnn, images: Tensor, adversarial: Tensor, labels: Tensor
) -> None:
    method = starship(settings_with(heads={"kind": "mlp"}), student, teacher)
    loss = answer(method, images, adversarial, labels).total
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.heads.parameters())


@pytest.mark.parametrize("distance", DISTANCES)
def test_gradients_are_numbers_where_all_images_are_alike(
    distance: Any, student: SmallCnn, teacher: SmallCnn, images: Tensor, labels: Tensor
) -> None:
    alike = images[:1].expand(BATCH, -1, -1, -1)
    method = starship(settings_with(distance=distance), student, teacher)
    loss = answer(method, alike, alike, labels).total
    loss.backward()
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients(method).values())


# -- modes and watched figures


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
        found = attack(
            PgdAdversarySettings(steps=2),
            method.inner(batch),
            images,
            torch.Generator().manual_seed(0),
        )
    assert student.training
    assert all(torch.equal(buffer, before[name]) for name, buffer in student.named_buffers())
    method.outer(batch, found)
    assert student.training
    assert not any(torch.equal(buffer, before[name]) for name, buffer in student.named_buffers())
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
    plain = Plain(method)
    watched = answer(method, images, adversarial, labels).metrics
    x, x_hat = images.double(), adversarial.double()
    for owner, network in (("teacher", plain.teacher), ("student", plain.student)):
        sigma = plain_covariance(
            *plain.project(plain.heads[owner], (network.features(x), network.features(x_hat)))
        )
        values = torch.linalg.eigvalsh(sigma)
        expected = (values.sum() ** 2 / (values**2).sum()).item()
        assert watched[f"effective_rank_{owner}"].item() == pytest.approx(expected, rel=1e-3)
        assert not watched[f"effective_rank_{owner}"].requires_grad
