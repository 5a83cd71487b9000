"""STARSHIP's projection heads, and the perturbation of the student's, Eq. 7.

B batch size, D features of a backbone, P projected features.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cosine_similarity, normalize

from core.jobspec.training.starship import ProjectionHeadSettings


@dataclass(frozen=True)
class ProjectedFeatures:
    """Clean and adversarial features behind one head, [B, P] each."""

    clean_BP: Tensor
    adversarial_BP: Tensor

    @property
    def joined_B2P(self) -> Tensor:
        """The two views side by side, as features of one sample."""
        return torch.cat([self.clean_BP, self.adversarial_BP], dim=1)

    @property
    def mean_2P(self) -> Tensor:
        """The mean of the joined features over the batch."""
        return self.joined_B2P.mean(dim=0)


class ProjectionHead(nn.Module):
    """Project a backbone's features to ``dimension`` ones, of unit length if ``normalize``."""

    def __init__(self, features: int, dimension: int, settings: ProjectionHeadSettings) -> None:
        super().__init__()
        self.normalize = settings.normalize
        if settings.kind == "linear":
            self.layers: nn.Module = nn.Linear(features, dimension)
        else:
            self.layers = nn.Sequential(
                nn.Linear(features, features, bias=False),
                nn.BatchNorm1d(features, track_running_stats=False),
                nn.ReLU(),
                nn.Linear(features, dimension),
            )

    def forward(self, features_BD: Tensor) -> Tensor:
        projected_BP: Tensor = self.layers(features_BD)
        return normalize(projected_BP, dim=1) if self.normalize else projected_BP

    def project(
        self, clean_BD: Tensor, adversarial_BD: Tensor, weights: dict[str, Tensor] | None = None
    ) -> ProjectedFeatures:
        """Project both views, with ``weights`` in place of the head's own if they are given."""
        if weights is None:
            return ProjectedFeatures(self(clean_BD), self(adversarial_BD))
        return ProjectedFeatures(
            functional_call(self, weights, (clean_BD,)),
            functional_call(self, weights, (adversarial_BD,)),
        )


def squared_cosine_distance(teacher: ProjectedFeatures, student: ProjectedFeatures) -> Tensor:
    """Return Eq. 7's first term, (1 - cosine)^2 of each sample's joined features, [B]."""
    return (1 - cosine_similarity(teacher.joined_B2P, student.joined_B2P, dim=1)).square()


def perturb_weights(
    head: ProjectionHead,
    objective: Callable[[dict[str, Tensor]], Tensor],
    settings: ProjectionHeadSettings,
) -> dict[str, Tensor]:
    """Return the head's weights + the perturbation of Eq. 7, by parameter name.

    The perturbation ascends the gradient of ``objective(weights)``, a scalar: per weight tensor
    ||perturbation||_F <= kappa ||weight||_F, reached in equal steps along the normalized gradient.
    The result depends on the head's own weights, so that gradients reach them; the perturbation
    itself is a constant.
    """
    weights = dict(head.named_parameters())
    radii = {
        name: settings.perturbation * weight.detach().norm() for name, weight in weights.items()
    }
    perturbations = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for _ in range(settings.perturbation_steps):
        iterate = {
            name: (weight.detach() + perturbations[name]).requires_grad_()
            for name, weight in weights.items()
        }
        gradients = torch.autograd.grad(objective(iterate), list(iterate.values()))
        for name, gradient in zip(iterate, gradients, strict=True):
            direction = gradient / gradient.norm().clamp_min(torch.finfo(gradient.dtype).tiny)
            step = radii[name] / settings.perturbation_steps * direction
            perturbations[name] = perturbations[name] + step
    return {name: weight + perturbations[name] for name, weight in weights.items()}
