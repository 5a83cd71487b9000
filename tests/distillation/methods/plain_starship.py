"""STARSHIP's loss a second time: in double precision, every formula written out.

It has linear heads only.
"""

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from core.distillation.methods.starship import Starship

Pair = tuple[Tensor, Tensor]
"""Of clean and of adversarial images."""


def total(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).sum(0)


def ridged(matrix: Tensor, ridge: float) -> Tensor:
    identity = torch.eye(len(matrix), dtype=torch.float64)
    return matrix + ridge * matrix.trace() / len(matrix) * identity


def square_root(matrix: Tensor) -> Tensor:
    """Return the root by the iteration of Denman and Beavers, without eigenvectors."""
    y = matrix
    z = torch.eye(len(matrix), dtype=torch.float64)
    for _ in range(25):
        y, z = (y + torch.linalg.inv(z)) / 2, (z + torch.linalg.inv(y)) / 2
    return y


def normal_kl(a: Tensor, b: Tensor, distance: Any, shift: Tensor | None) -> Tensor:
    size = len(a)
    a = ridged(a, distance.ridge)
    b = ridged(b, distance.ridge)
    precision = torch.linalg.inv(b)
    nats: Tensor = (precision @ a).trace() - size + torch.logdet(b) - torch.logdet(a)
    if shift is not None:
        nats = nats + shift @ precision @ shift
    return 0.5 * nats / (size if distance.per_dimension else 1)


def max_exp(matrix: Tensor, distance: Any) -> Tensor:
    identity = torch.eye(len(matrix), dtype=torch.float64)
    scaled = matrix / (matrix.trace() + distance.ridge)
    power: Tensor = torch.linalg.matrix_power(identity - scaled, distance.eta)
    return identity - power


def plain_distance(a: Tensor, b: Tensor, distance: Any, shift: Tensor | None = None) -> Tensor:
    """Return d^2(a, b); ``shift`` is the difference of the means, which only KL uses."""
    if distance.name == "kl":
        return normal_kl(a, b, distance, shift)
    if distance.name == "power_euclidean":
        assert distance.gamma == 0.5
        a = square_root(ridged(a, distance.ridge))
        b = square_root(ridged(b, distance.ridge))
    if distance.name == "max_exp":
        a = max_exp(a, distance)
        b = max_exp(b, distance)
    return ((a - b) ** 2).sum()


def plain_covariance(clean: Tensor, adversarial: Tensor) -> Tensor:
    """Eq. 5."""
    joined = torch.cat([clean, adversarial], dim=1)
    return total(torch.outer(row, row) for row in joined - joined.mean(0)) / len(joined)


def plain_gram(clean: Tensor, adversarial: Tensor) -> Tensor:
    """Eq. 8, of logits."""
    rows = torch.cat([clean.softmax(1), adversarial.softmax(1)])
    products = [torch.stack([(one * other).sum() for other in rows]) for one in rows]
    return torch.stack(products) / rows.shape[1]


def plain_omega(matrix: Tensor, factor: float) -> Tensor:
    """Eq. 10."""
    half = len(matrix) // 2
    first = matrix[:half, :half]
    others = (matrix[:half, half:], matrix[half:, :half], matrix[half:, half:])
    return factor * total(((block - first) ** 2).sum() for block in others)


def plain_kl(p_logits: Tensor, q_logits: Tensor) -> Tensor:
    """KL(p || q), averaged over the batch."""
    p = p_logits.softmax(1)
    q = q_logits.softmax(1)
    return (p * (p / q).log()).sum() / len(p)


class PlainStarship:
    """Two networks and two linear heads in double precision, and Eq. 11 of them."""

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

    def project(self, weights: dict[str, Tensor], features: Pair) -> Pair:
        clean, adversarial = (
            view @ weights["layers.weight"].T + weights["layers.bias"] for view in features
        )
        if self.settings.covariance.heads.normalize:
            clean = clean / (clean**2).sum(1, keepdim=True).sqrt()
            adversarial = adversarial / (adversarial**2).sum(1, keepdim=True).sqrt()
        return clean, adversarial

    def cosine(self, teacher: Pair, student: Pair) -> Tensor:
        """Eq. 7's first term."""
        t = torch.cat(teacher, 1)
        s = torch.cat(student, 1)
        cosines = (t * s).sum(1) / ((t**2).sum(1) * (s**2).sum(1)).sqrt()
        return ((1 - cosines) ** 2).sum() / len(t)

    def fca(self, teacher: Pair, student: Pair) -> Tensor:
        """Eq. 6."""
        shift = torch.cat(student, 1).mean(0) - torch.cat(teacher, 1).mean(0)
        distance = self.settings.covariance.distance
        sigma_t = plain_covariance(*teacher)
        sigma_s = plain_covariance(*student)
        return 0.25 * plain_distance(sigma_t, sigma_s, distance, shift)

    def perturbation(self, teacher: Pair, features: Pair) -> dict[str, Tensor]:
        """Equal steps along the normalized gradient, up to kappa ||W||_F for each weight tensor."""
        settings = self.settings.covariance.heads
        head = {name: weight.detach() for name, weight in self.heads["student"].items()}
        teacher = (teacher[0].detach(), teacher[1].detach())
        features = (features[0].detach(), features[1].detach())
        delta = {name: torch.zeros_like(weight) for name, weight in head.items()}
        for _ in range(settings.perturbation_steps):
            iterate = {
                name: (weight + delta[name]).requires_grad_() for name, weight in head.items()
            }
            student = self.project(iterate, features)
            cosine = self.cosine(teacher, student)
            objective = settings.cosine_weight * cosine + self.fca(teacher, student)
            gradients = torch.autograd.grad(objective, list(iterate.values()))
            for name, gradient in zip(iterate, gradients, strict=True):
                radius = settings.perturbation * (head[name] ** 2).sum().sqrt()
                step = radius / settings.perturbation_steps
                delta[name] = delta[name] + step * gradient / (gradient**2).sum().sqrt()
        return delta

    def outputs(self, images: Tensor, adversarial: Tensor) -> tuple[Pair, Pair, Pair, Pair]:
        """Return features of teacher and student, then their logits."""
        x = images.double()
        x_hat = adversarial.double()
        with torch.no_grad():
            f_t = (self.teacher.features(x), self.teacher.features(x_hat))
            z_t = (self.teacher.classify(f_t[0]), self.teacher.classify(f_t[1]))
        f_s = (self.student.features(x), self.student.features(x_hat))
        z_s = (self.student.classify(f_s[0]), self.student.classify(f_s[1]))
        return f_t, f_s, z_t, z_s

    def terms(self, images: Tensor, adversarial: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Return weight and value of each term of Eq. 11, by name."""
        settings = self.settings
        f_t, f_s, z_t, z_s = self.outputs(images, adversarial)
        teacher = self.project(self.heads["teacher"], f_t)
        student = self.project(self.heads["student"], f_s)
        delta = self.perturbation(teacher, f_s)
        perturbed = {name: weight + delta[name] for name, weight in self.heads["student"].items()}
        aligned = self.project(perturbed, f_s)
        alpha_1 = settings.covariance.weight
        alpha_3 = settings.submatrices.weight
        factor = settings.submatrices.factor
        cosine_weight = alpha_1 * settings.covariance.heads.cosine_weight
        g_t = plain_gram(*z_t)
        g_s = plain_gram(*z_s)
        pgm = 0.25 * plain_distance(g_t, g_s, settings.gram.distance)
        return {
            "arkd_clean": (1 - settings.beta, plain_kl(z_t[0], z_s[0])),
            "arkd_adversarial": (settings.beta, plain_kl(z_t[1], z_s[1])),
            "cosine": (cosine_weight, self.cosine(teacher, aligned)),
            "fca": (alpha_1, self.fca(teacher, aligned)),
            "omega_covariance": (alpha_3, plain_omega(plain_covariance(*student), factor)),
            "pgm": (settings.gram.weight, pgm),
            "omega_gram": (alpha_3, plain_omega(g_s, factor)),
        }

    def gradients(self) -> dict[str, Tensor]:
        """Return the gradients of the student's and the heads' parameters, by name."""
        gradients = {f"student.{name}": p.grad for name, p in self.student.named_parameters()}
        for owner, weights in self.heads.items():
            gradients |= {f"heads.{owner}.{name}": weight.grad for name, weight in weights.items()}
        return {name: gradient for name, gradient in gradients.items() if gradient is not None}
