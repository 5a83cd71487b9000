"""What is evaluated: a network, the reference network beside it, and images."""

from dataclasses import dataclass

from core.distillation.data.images import ImageSource
from core.distillation.models.network import Classifier


@dataclass(frozen=True, eq=False)
class EvaluationTarget:
    """A network, the images it is measured on, and the settings that all measures share."""

    network: Classifier
    reference: Classifier | None
    """The student's teacher, or the reference network of an evaluation job; None without one."""
    images: ImageSource
    """Test images; during training, held-out images."""
    classes: int
    batch_size: int
    """Images that are attacked at once. Another size draws other random starts."""
    seed: int
    radius: float
    """Of the training adversary, in L-infinity on pixels in [0, 1]."""
    attack_index: int = 0
    """Position of the attack among those of the spec: two attacks of a job never share starts."""
    image_set: str | None = None
    """Digest of the data set and the selection of its test images; None where it is not known.
    Masks of equal image sets are over the same images in the same order."""
