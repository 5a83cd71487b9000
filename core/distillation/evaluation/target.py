"""What is measured: a network, the reference beside it, and the images."""

from dataclasses import dataclass

from core.distillation.data.images import ImageSource
from core.distillation.models.network import Classifier


@dataclass(frozen=True, eq=False)
class EvaluationTarget:
    network: Classifier
    reference: Classifier | None
    """The teacher of a student, or whatever network an evaluation names; None where there is none."""
    images: ImageSource
    """Test images."""
    classes: int
    batch_size: int
    seed: int
    radius: float
    """The training adversary's, in L-infinity on pixels in [0, 1]."""
