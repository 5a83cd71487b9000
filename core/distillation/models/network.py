"""What every network here is: a Classifier of images in [0, 1]. B batch, C H W image, D features, h w map, K classes."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from torch import Tensor, nn

from core.distillation.models.normalization import InputNormalization
from core.jobspec.network import Normalization as NormalizationName


class Classifier(nn.Module, ABC):
    """Images [B, C, H, W] in [0, 1] -> feature maps -> penultimate features [B, D] -> logits [B, K].

    Normalization happens inside and leaves no trace in the state dict, whose keys are the family's own.
    """

    feature_dimension: int
    patch_size: int | None = None
    """Side, in pixels, of the patches that a vision transformer looks at."""
    classifier_name: str = "linear"
    """The layer from penultimate features to logits, as the state dict's keys have it."""

    def __init__(self, *, channels: int, normalization: NormalizationName) -> None:
        """Raises ValueError where the normalization is of images with other channels."""
        super().__init__()
        self.normalize = InputNormalization(normalization, channels)

    @abstractmethod
    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        """The last feature maps [B, D, h, w], activated, of normalized images."""

    @abstractmethod
    def classify(self, features_BD: Tensor) -> Tensor:
        """Logits [B, K] of penultimate features."""

    def feature_maps(self, images_BCHW: Tensor) -> Tensor:
        """The last feature maps [B, D, h, w], activated, of images in [0, 1]."""
        return self.extract_feature_maps(self.normalize(images_BCHW))

    def maps_and_features(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Feature maps [B, D, h, w] and the features [B, D] that follow from them, in one pass, for gradients between the two."""
        maps_BDHW = self.feature_maps(images_BCHW)
        # Not adaptive_avg_pool2d: on CUDA its backward pass has no deterministic form.
        return maps_BDHW, maps_BDHW.mean(dim=(2, 3))

    def features(self, images_BCHW: Tensor) -> Tensor:
        """Penultimate features [B, D] of images in [0, 1]: the last feature maps averaged, where the family has no other."""
        return self.maps_and_features(images_BCHW)[1]

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Logits [B, K] of images in [0, 1]."""
        return self.classify(self.features(images_BCHW))

    def can_adapt(self, key: str, shape: tuple[int, ...]) -> bool:
        """May a foreign checkpoint's tensor of another shape be made to fit? Asked before any of it is read."""
        return False

    def adapt(self, weights: dict[str, Tensor]) -> list[str]:
        """Make a foreign checkpoint's weights fit, in place; a sentence on each change."""
        return []

    def explain_unexpected_keys(self, unexpected: Iterable[str]) -> str:
        """A sentence on a foreign checkpoint's keys that the family has no place for; empty where there is none."""
        return ""
