"""Three convolutions: a network that trains in seconds, for images as small as 8x8.

B batch size, D features, K classes.
"""

from torch import Tensor, nn
from torch.nn.functional import relu

from core.distillation.models.network import Classifier
from core.jobspec.network import Normalization


class SmallCnn(Classifier):
    """Convolutions of w, 2w, 4w channels at strides 1, 2, 2. Keys: conv{1-3} bn{1-3} linear."""

    def __init__(
        self,
        classes: int,
        *,
        width: int = 16,
        channels: int = 3,
        normalization: Normalization = "none",
    ) -> None:
        super().__init__(channels=channels, normalization=normalization)
        self.feature_dimension = 4 * width
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(2 * width)
        self.conv3 = nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.linear = nn.Linear(4 * width, classes)

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        maps = relu(self.bn1(self.conv1(normalized_BCHW)))
        maps = relu(self.bn2(self.conv2(maps)))
        return relu(self.bn3(self.conv3(maps)))

    def classify(self, features_BD: Tensor) -> Tensor:
        logits_BK: Tensor = self.linear(features_BD)
        return logits_BK
