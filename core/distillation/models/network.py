"""What every network here is: a Classifier of images in [0, 1]. B batch, C H W image, D features, h w map, K classes."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from core.distillation.models.normalisation import Normalisation
from core.spec.network import Normalisation as NormalisationName


class Classifier(nn.Module, ABC):
    """Images [B, C, H, W] in [0, 1] -> feature maps -> penultimate features [B, D] -> logits [B, K].

    Normalisation happens inside and leaves no trace in the state dict, whose keys are the family's own.
    """

    feature_dimension: int

    def __init__(self, *, channels: int, normalisation: NormalisationName) -> None:
        """Raises ValueError where the normalisation is of images with other channels."""
        super().__init__()
        self.normalise = Normalisation(normalisation, channels)

    @abstractmethod
    def maps_of(self, normalised_BCHW: Tensor) -> Tensor:
        """The last feature maps [B, D, h, w], activated, of normalised images."""

    @abstractmethod
    def classify(self, features_BD: Tensor) -> Tensor:
        """Logits [B, K] of penultimate features."""

    def feature_maps(self, images_BCHW: Tensor) -> Tensor:
        """The last feature maps [B, D, h, w], activated, of images in [0, 1]."""
        return self.maps_of(self.normalise(images_BCHW))

    def features(self, images_BCHW: Tensor) -> Tensor:
        """Penultimate features [B, D] of images in [0, 1]: the last feature maps averaged over the image."""
        # Not adaptive_avg_pool2d: on CUDA its backward pass has no deterministic form.
        return self.feature_maps(images_BCHW).mean(dim=(2, 3))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Logits [B, K] of images in [0, 1]."""
        return self.classify(self.features(images_BCHW))
