"""STARSHIP: adversarially robust distillation by reducing the student-teacher variance gap.

Dong et al., ECCV 2024, Eq. 2-11. With ``adaptive`` it is Ada-STARSHIP; without FCA, PGM and Omega
(weights 0) it is ARKD. Where the equations are:
Eq. 2-4 arkd.py, Eq. 5 statistics/covariance.py, Eq. 6, 9 and 11 here, Eq. 7 projection_heads.py,
Eq. 8 statistics/gram.py, Eq. 10 statistics/submatrices.py.

B batch size, D features, P projected features, K classes.
"""

from typing import Any

import torch
from torch import Tensor

from core.distillation.adversaries import Objective
from core.distillation.forward import Precision
from core.distillation.methods.arkd import Arkd
from core.distillation.methods.method import (
    DistillationMethod,
    LossOutputs,
    LossTerm,
    MethodLoss,
    OutputPair,
    TeacherBatch,
)
from core.distillation.methods.projection_heads import (
    ProjectedFeatures,
    ProjectionHead,
    perturb_weights,
    squared_cosine_distance,
)
from core.distillation.models.network import Classifier
from core.distillation.statistics.covariance import covariance, effective_rank
from core.distillation.statistics.distances import squared_distance
from core.distillation.statistics.gram import gram
from core.distillation.statistics.submatrices import omega
from core.jobspec.resolved import ResolvedStarshipSettings
from core.jobspec.training.starship import DistanceOrNoneSettings


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
            self.teacher_head = ProjectionHead(teacher.feature_dimension, heads.dimension, heads)
            self.teacher_head.requires_grad_(heads.teacher == "trained")
            self.student_head = ProjectionHead(student.feature_dimension, heads.dimension, heads)
            self.heads.update({"teacher": self.teacher_head, "student": self.student_head})

    def inner(self, batch: TeacherBatch) -> Objective:
        """Eq. 2, or Eq. 3 if adaptive: ARKD's objective."""
        return self.arkd.inner(batch)

    def outer(self, batch: TeacherBatch, adversarial_BCHW: Tensor) -> MethodLoss:
        """Eq. 11: ARKD + alpha_1 FCA + alpha_2 PGM + alpha_3 Omega."""
        teacher = OutputPair(batch.teacher, self.teacher_output(adversarial_BCHW))
        student = OutputPair(
            self.student_output(batch.images_BCHW), self.student_output(adversarial_BCHW)
        )
        terms = self.arkd.terms(teacher, student)
        metrics: dict[str, Tensor] = {}
        if self.needs_heads:
            feature_loss = self.feature_loss(teacher, student)
            terms |= feature_loss.terms
            metrics |= feature_loss.metrics
        terms |= self.prediction_terms(teacher, student)
        outputs = LossOutputs(student.clean, student.adversarial, teacher.adversarial)
        return MethodLoss(terms, metrics, outputs)

    def feature_loss(self, teacher: OutputPair, student: OutputPair) -> MethodLoss:
        """Return the terms of projected features: Eq. 5-7, and Eq. 10 of the covariance.

        Cosine and FCA are of the perturbed student head, Omega is of the head itself.
        """
        teacher_features = self.teacher_head.project(
            teacher.clean.features_BD, teacher.adversarial.features_BD
        )
        student_features = self.student_head.project(
            student.clean.features_BD, student.adversarial.features_BD
        )
        student_covariance = covariance(student_features.clean_BP, student_features.adversarial_BP)
        alignment = self.settings.covariance
        submatrices = self.settings.submatrices
        terms: dict[str, LossTerm] = {}
        if alignment.weight > 0:
            aligned_features = student_features
            if alignment.heads.perturbation > 0:
                aligned_features = self._project_perturbed(teacher_features, student)
            terms |= self._alignment_terms(teacher_features, aligned_features)
        if submatrices.weight > 0 and submatrices.covariance:
            # Eq. 10, first half: Omega of the student's covariance.
            block_alignment = omega(student_covariance, submatrices.factor)
            terms["omega_covariance"] = LossTerm(submatrices.weight, block_alignment)
        with torch.no_grad():
            teacher_covariance = covariance(
                teacher_features.clean_BP, teacher_features.adversarial_BP
            )
            metrics = {
                "effective_rank_teacher": effective_rank(teacher_covariance),
                "effective_rank_student": effective_rank(student_covariance),
            }
        return MethodLoss(terms, metrics)

    def _alignment_terms(
        self, teacher: ProjectedFeatures, student: ProjectedFeatures
    ) -> dict[str, LossTerm]:
        """Return alpha_1 times Eq. 7's two terms: the cosine and FCA."""
        alignment = self.settings.covariance
        cosine = squared_cosine_distance(teacher, student).mean()
        terms = {"cosine": LossTerm(alignment.weight * alignment.heads.cosine_weight, cosine)}
        if alignment.distance.name != "none":
            terms["fca"] = LossTerm(alignment.weight, self._fca(teacher, student))
        return terms

    def _project_perturbed(
        self, teacher_features: ProjectedFeatures, student: OutputPair
    ) -> ProjectedFeatures:
        """Eq. 7: project the student's features by phi_s + Delta.

        Delta is ascended on detached features, so that it stays a constant of the step.
        """
        teacher_constant = ProjectedFeatures(
            teacher_features.clean_BP.detach(), teacher_features.adversarial_BP.detach()
        )
        clean_BD = student.clean.features_BD.detach()
        adversarial_BD = student.adversarial.features_BD.detach()
        alignment = self.settings.covariance

        def objective(weights: dict[str, Tensor]) -> Tensor:
            projected = self.student_head.project(clean_BD, adversarial_BD, weights)
            cosine = squared_cosine_distance(teacher_constant, projected).mean()
            weighted_cosine = alignment.heads.cosine_weight * cosine
            if alignment.distance.name == "none":
                return weighted_cosine
            return weighted_cosine + self._fca(teacher_constant, projected)

        weights = perturb_weights(self.student_head, objective, alignment.heads)
        return self.student_head.project(
            student.clean.features_BD, student.adversarial.features_BD, weights
        )

    def _fca(self, teacher: ProjectedFeatures, student: ProjectedFeatures) -> Tensor:
        """Eq. 6: FCA = d^2(Sigma_t, Sigma_s) / 4 of the covariances of Eq. 5, scalar."""
        distance = self.settings.covariance.distance
        means = {"means": (teacher.mean_2P, student.mean_2P)} if distance.name == "kl" else {}
        sigma_t = covariance(teacher.clean_BP, teacher.adversarial_BP)
        sigma_s = covariance(student.clean_BP, student.adversarial_BP)
        parameters = _parameters(distance)
        return squared_distance(sigma_t, sigma_s, distance.name, **parameters, **means) / 4

    def prediction_terms(self, teacher: OutputPair, student: OutputPair) -> dict[str, LossTerm]:
        """Return the terms of predictions: PGM (Eq. 9), and Eq. 10 of the Gram matrix."""
        matching = self.settings.gram
        submatrices = self.settings.submatrices
        # Eq. 8, of the student.
        g_s = gram(student.clean.probabilities_BK, student.adversarial.probabilities_BK)
        terms: dict[str, LossTerm] = {}
        if matching.weight > 0:
            terms["pgm"] = LossTerm(matching.weight, self._pgm(teacher, g_s))
        if submatrices.weight > 0 and submatrices.gram:
            # Eq. 10, second half: Omega of the student's Gram matrix.
            terms["omega_gram"] = LossTerm(submatrices.weight, omega(g_s, submatrices.factor))
        return terms

    def _pgm(self, teacher: OutputPair, g_s: Tensor) -> Tensor:
        """Eq. 9: PGM = d^2(G_t, G_s) / 4 of the Gram matrices [2B, 2B] of Eq. 8, scalar."""
        distance = self.settings.gram.distance
        g_t = gram(teacher.clean.probabilities_BK, teacher.adversarial.probabilities_BK)
        return squared_distance(g_t, g_s, distance.name, **_parameters(distance)) / 4


def _parameters(distance: DistanceOrNoneSettings) -> dict[str, Any]:
    """Return a distance's settings as the keyword arguments of its function."""
    return distance.model_dump(exclude={"name"})
