"""Wide ResNets (Zagoruyko & Komodakis, 2016) in the form of TRADES and RobustBench.

Keys: conv1 block{1-3}.layer.{i}.{bn1,conv1,bn2,conv2,convShortcut} bn1 fc

B batch size, D channels of a feature map, K classes.
"""

from torch import Tensor, nn
from torch.nn.functional import relu

from core.distillation.models.network import Classifier
from core.jobspec.network import Normalization


class Block(nn.Module):
    """Batch norm and ReLU before each convolution.

    Only where the width changes the shortcut is a convolution, of the activated input.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        # Not in snake case: it is a key of the published checkpoints.
        self.convShortcut = (
            nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False) if inputs != outputs else None
        )

    def forward(self, maps_BDHW: Tensor) -> Tensor:
        activated = relu(self.bn1(maps_BDHW))
        branch: Tensor = self.conv2(relu(self.bn2(self.conv1(activated))))
        return branch + (maps_BDHW if self.convShortcut is None else self.convShortcut(activated))


class Stage(nn.Module):
    """Blocks of one width; the first may have a stride of 2."""

    def __init__(self, inputs: int, outputs: int, depth: int, stride: int) -> None:
        super().__init__()
        first = Block(inputs, outputs, stride)
        self.layer = nn.Sequential(first, *(Block(outputs, outputs, 1) for _ in range(depth - 1)))

    def forward(self, maps_BDHW: Tensor) -> Tensor:
        maps: Tensor = self.layer(maps_BDHW)
        return maps


class WideResNet(Classifier):
    """Three stages of 16, 32, 64 times ``widening`` channels; ``depth`` 6n + 4 counts layers."""

    classifier_name = "fc"

    def __init__(
        self,
        classes: int,
        *,
        depth: int,
        widening: int,
        channels: int = 3,
        normalization: Normalization = "none",
    ) -> None:
        super().__init__(channels=channels, normalization=normalization)
        blocks = (depth - 4) // 6
        self.feature_dimension = 64 * widening
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.block1 = Stage(16, 16 * widening, blocks, stride=1)
        self.block2 = Stage(16 * widening, 32 * widening, blocks, stride=2)
        self.block3 = Stage(32 * widening, 64 * widening, blocks, stride=2)
        self.bn1 = nn.BatchNorm2d(64 * widening)
        self.fc = nn.Linear(64 * widening, classes)
        self._initialize_weights()

    def _initialize_weights(self) -> None:
        """Draw convolutions by He et al., 2015, and set the classifier's bias to zero."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.fc.bias)

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        maps = self.block3(self.block2(self.block1(self.conv1(normalized_BCHW))))
        return relu(self.bn1(maps))

    def classify(self, features_BD: Tensor) -> Tensor:
        logits_BK: Tensor = self.fc(features_BD)
        return logits_BK


def wrn_28_10(
    classes: int, *, channels: int = 3, normalization: Normalization = "none"
) -> WideResNet:
    return WideResNet(
        classes, depth=28, widening=10, channels=channels, normalization=normalization
    )


def wrn_34_10(
    classes: int, *, channels: int = 3, normalization: Normalization = "none"
) -> WideResNet:
    return WideResNet(
        classes, depth=34, widening=10, channels=channels, normalization=normalization
    )
