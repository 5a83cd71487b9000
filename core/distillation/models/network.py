"""Classifier: what every network here is, a classifier of images in [0, 1].

B batch size, C H W channels, height and width of an image, D features, h w height and width of a
feature map, K classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from torch import Tensor, nn

from core.distillation.models.normalization import InputNormalization
from core.jobspec.network import Normalization


class Classifier(nn.Module, ABC):
    """Images [B, C, H, W] in [0, 1] -> feature maps -> features [B, D] -> logits [B, K].

    The features are the penultimate ones, the input of the last layer.
    Normalization happens inside and leaves no trace in the state dict, whose keys are those of the
    family's published checkpoints.
    """

    feature_dimension: int
    patch_size: int | None = None
    """Side of the patches that a vision transformer divides images into, in pixels."""
    classifier_name: str = "linear"
    """The layer from penultimate features to logits, as the state dict's keys name it."""

    def __init__(self, *, channels: int, normalization: Normalization) -> None:
        """Raise ValueError where the normalization is for another number of channels."""
        super().__init__()
        self.normalize = InputNormalization(normalization, channels)

    @abstractmethod
    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        """Return the last feature maps [B, D, h, w], activated, of normalized images."""

    @abstractmethod
    def classify(self, features_BD: Tensor) -> Tensor:
        """Return the logits [B, K] of penultimate features."""

    def feature_maps(self, images_BCHW: Tensor) -> Tensor:
        """Return the last feature maps [B, D, h, w], activated, of images in [0, 1]."""
        return self.extract_feature_maps(self.normalize(images_BCHW))

    def maps_and_features(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return feature maps [B, D, h, w] and the features [B, D] computed from them.

        Both come from one pass, so that the features have a gradient at the maps.
        """
        maps_BDHW = self.feature_maps(images_BCHW)
        # Not adaptive_avg_pool2d: on CUDA its backward pass has no deterministic form.
        return maps_BDHW, maps_BDHW.mean(dim=(2, 3))

    def features(self, images_BCHW: Tensor) -> Tensor:
        """Return the penultimate features [B, D] of images in [0, 1].

        They are the averages of the last feature maps, unless a family computes them differently.
        """
        return self.maps_and_features(images_BCHW)[1]

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return the logits [B, K] of images in [0, 1]."""
        return self.classify(self.features(images_BCHW))

    def can_adapt(self, key: str, shape: tuple[int, ...]) -> bool:
        """Return whether ``adapt`` could make a checkpoint's tensor of another shape fit.

        It is called before any tensor of the file is read.
        """
        return False

    def adapt(self, weights: dict[str, Tensor]) -> list[str]:
        """Make a checkpoint's weights fit, in place. Return a sentence on each change."""
        return []

    def explain_unexpected_keys(self, keys: Iterable[str]) -> str:
        """Return a sentence on what a checkpoint's unexpected keys mean; empty if unknown."""
        return ""
