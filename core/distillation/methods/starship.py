"""STARSHIP: adversarially robust distillation by reducing the student-teacher variance gap (Dong et al., ECCV 2024), Eq. 2-11.

With ``adaptive`` it is Ada-STARSHIP. Without FCA, PGM and Omega (weights 0) it is ARKD.
"""

from typing import Any

import torch
from torch import Tensor

from core.distillation.adversaries import Objective
from core.distillation.forward import NetworkOutput, Precision
from core.distillation.methods.arkd import Arkd
from core.distillation.methods.method import Batch, DistillationMethod, LossTerm, MethodLoss
from core.distillation.methods.projection_heads import ProjectionHead, ProjectedFeatures, squared_cosine_distance, perturb_weights
from core.distillation.models.network import Classifier
from core.distillation.statistics.covariance import covariance, effective_rank
from core.distillation.statistics.distances import squared_distance
from core.distillation.statistics.gram import gram
from core.distillation.statistics.submatrices import omega
from core.jobspec.resolved import ResolvedStarshipSettings
from core.jobspec.training.starship import DistanceOrNone


class Starship(DistillationMethod):
    settings: ResolvedStarshipSettings

    def __init__(
        self,
        settings: ResolvedStarshipSettings,
        student: Classifier,
        teacher: Classifier,
        precision: Precision = "fp32",
    ) -> None:
        super().__init__(settings, student, teacher, precision)
        self.arkd = Arkd(settings, student, teacher, precision)
        self.needs_heads = settings.covariance.weight > 0 or (
            settings.submatrices.weight > 0 and settings.submatrices.covariance
        )
        if self.needs_heads:
            heads = settings.covariance.heads
            dimension = heads.dimension
            self.teacher_head = ProjectionHead(teacher.feature_dimension, dimension, heads).requires_grad_(
                heads.teacher == "trained"
            )
            self.student_head = ProjectionHead(student.feature_dimension, dimension, heads)
            self.heads.update({"teacher": self.teacher_head, "student": self.student_head})

    def inner(self, batch: Batch) -> Objective:
        """Eq. 2, or Eq. 3 if adaptive: as ARKD."""
        return self.arkd.inner(batch)

    def outer(self, batch: Batch, adversarial_BCHW: Tensor) -> MethodLoss:
        """Eq. 11: ARKD + alpha_1 FCA + alpha_2 PGM + alpha_3 Omega."""
        assert batch.teacher is not None
        teacher = (batch.teacher, self.teacher_output(adversarial_BCHW))
        student = (self.student_output(batch.images_BCHW), self.student_output(adversarial_BCHW))
        terms = self.arkd.terms(*teacher, *student)
        watched: dict[str, Tensor] = {}
        if self.needs_heads:
            self.covariances(teacher, student, terms, watched)
        self.grams(teacher, student, terms)
        return MethodLoss(terms, watched)

    def covariances(
        self,
        teacher: tuple[NetworkOutput, NetworkOutput],
        student: tuple[NetworkOutput, NetworkOutput],
        terms: dict[str, LossTerm],
        watched: dict[str, Tensor],
    ) -> None:
        """Eq. 5-7 and the covariance's part of Eq. 10. Cosine and FCA see the perturbed head, Omega the head itself."""
        theirs = self.teacher_head.project(teacher[0].features_BD, teacher[1].features_BD)
        ours = self.student_head.project(student[0].features_BD, student[1].features_BD)
        sigma_s = covariance(ours.clean_BP, ours.adversarial_BP)
        align, submatrices = self.settings.covariance, self.settings.submatrices
        if align.weight > 0:
            shifted = (
                self._behind_perturbed_head(theirs, student)
                if align.heads.perturbation > 0
                else ours
            )
            terms["cosine"] = LossTerm(
                align.weight * align.heads.cosine_weight, squared_cosine_distance(theirs, shifted)
            )
            if align.distance.name != "none":
                terms["fca"] = LossTerm(align.weight, self._fca(theirs, shifted))
        if submatrices.weight > 0 and submatrices.covariance:
            terms["omega_covariance"] = LossTerm(submatrices.weight, omega(sigma_s, submatrices.factor))
        with torch.no_grad():
            watched["effective_rank_teacher"] = effective_rank(
                covariance(theirs.clean_BP, theirs.adversarial_BP)
            )
            watched["effective_rank_student"] = effective_rank(sigma_s)

    def _behind_perturbed_head(
        self, theirs: ProjectedFeatures, student: tuple[NetworkOutput, NetworkOutput]
    ) -> ProjectedFeatures:
        """The student's features behind phi_s + Delta; Delta is found on detached features."""
        constant = ProjectedFeatures(theirs.clean_BP.detach(), theirs.adversarial_BP.detach())
        clean_BD, adversarial_BD = student[0].features_BD.detach(), student[1].features_BD.detach()
        heads = self.settings.covariance.heads

        def objective(weights: dict[str, Tensor]) -> Tensor:
            projected = self.student_head.project(clean_BD, adversarial_BD, weights)
            apart = heads.cosine_weight * squared_cosine_distance(constant, projected)
            return (
                apart
                if self.settings.covariance.distance.name == "none"
                else apart + self._fca(constant, projected)
            )

        weights = perturb_weights(self.student_head, objective, heads)
        return self.student_head.project(student[0].features_BD, student[1].features_BD, weights)

    def _fca(self, theirs: ProjectedFeatures, ours: ProjectedFeatures) -> Tensor:
        """Eq. 6: a quarter of the squared distance of the covariances."""
        distance = self.settings.covariance.distance
        means = {"means": (theirs.mean_2P, ours.mean_2P)} if distance.name == "kl" else {}
        sigma_t = covariance(theirs.clean_BP, theirs.adversarial_BP)
        sigma_s = covariance(ours.clean_BP, ours.adversarial_BP)
        return squared_distance(sigma_t, sigma_s, distance.name, **_settings(distance), **means) / 4

    def grams(
        self,
        teacher: tuple[NetworkOutput, NetworkOutput],
        student: tuple[NetworkOutput, NetworkOutput],
        terms: dict[str, LossTerm],
    ) -> None:
        """Eq. 8 and 9, and the Gram matrix's part of Eq. 10."""
        matching, submatrices = self.settings.gram, self.settings.submatrices
        g_s = gram(student[0].probabilities_BK, student[1].probabilities_BK)
        if matching.weight > 0:
            g_t = gram(teacher[0].probabilities_BK, teacher[1].probabilities_BK)
            distance = matching.distance
            terms["pgm"] = LossTerm(
                matching.weight,
                squared_distance(g_t, g_s, distance.name, **_settings(distance)) / 4,
            )
        if submatrices.weight > 0 and submatrices.gram:
            terms["omega_gram"] = LossTerm(submatrices.weight, omega(g_s, submatrices.factor))


def _settings(distance: DistanceOrNone) -> dict[str, Any]:
    return distance.model_dump(exclude={"name"})
