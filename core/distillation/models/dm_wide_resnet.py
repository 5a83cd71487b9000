"""Wide ResNets of DeepMind's robust networks, with SiLU.

Gowal et al., 2020; Pang et al., 2022 and others.
Keys: init_conv layer.{0-2}.block.{i}.{batchnorm_0,conv_0,batchnorm_1,conv_1,shortcut}
batchnorm logits

B batch size, D channels of a feature map, K classes.
"""

from torch import Tensor, nn
from torch.nn.functional import pad, silu

from core.distillation.models.network import Classifier
from core.jobspec.network import Normalization

BATCH_NORM_MOMENTUM = 0.01
PADDING = {1: (1, 1, 1, 1), 2: (0, 1, 0, 1)}
"""By stride: left, right, top, bottom. The original is TensorFlow's "SAME", which pads only
right and bottom at stride 2."""


class Block(nn.Module):
    """Batch norm and SiLU before each convolution.

    Only where the width changes the shortcut is a convolution, of the activated input.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.padding = PADDING[stride]
        self.batchnorm_0 = nn.BatchNorm2d(inputs, momentum=BATCH_NORM_MOMENTUM)
        self.conv_0 = nn.Conv2d(inputs, outputs, 3, stride=stride, bias=False)
        self.batchnorm_1 = nn.BatchNorm2d(outputs, momentum=BATCH_NORM_MOMENTUM)
        self.conv_1 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut = (
            nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False) if inputs != outputs else None
        )

    def forward(self, maps_BDHW: Tensor) -> Tensor:
        activated = silu(self.batchnorm_0(maps_BDHW))
        branch: Tensor = self.conv_0(pad(activated, self.padding))
        branch = self.conv_1(silu(self.batchnorm_1(branch)))
        return branch + (maps_BDHW if self.shortcut is None else self.shortcut(activated))


class Stage(nn.Module):
    """Blocks of one width; the first may have a stride of 2."""

    def __init__(self, inputs: int, outputs: int, depth: int, stride: int) -> None:
        super().__init__()
        first = Block(inputs, outputs, stride)
        self.block = nn.Sequential(first, *(Block(outputs, outputs, 1) for _ in range(depth - 1)))

    def forward(self, maps_BDHW: Tensor) -> Tensor:
        maps: Tensor = self.block(maps_BDHW)
        return maps


class DmWideResNet(Classifier):
    """Three stages of 16, 32, 64 times ``widening`` channels; ``depth`` 6n + 4 counts layers."""

    classifier_name = "logits"

    def __init__(
        self,
        classes: int,
        *,
        depth: int,
        widening: int,
        channels: int = 3,
        normalization: Normalization = "cifar10",
    ) -> None:
        super().__init__(channels=channels, normalization=normalization)
        blocks = (depth - 4) // 6
        self.feature_dimension = 64 * widening
        self.init_conv = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.layer = nn.Sequential(
            Stage(16, 16 * widening, blocks, stride=1),
            Stage(16 * widening, 32 * widening, blocks, stride=2),
            Stage(32 * widening, 64 * widening, blocks, stride=2),
        )
        self.batchnorm = nn.BatchNorm2d(64 * widening, momentum=BATCH_NORM_MOMENTUM)
        self.logits = nn.Linear(64 * widening, classes)

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        return silu(self.batchnorm(self.layer(self.init_conv(normalized_BCHW))))

    def classify(self, features_BD: Tensor) -> Tensor:
        logits_BK: Tensor = self.logits(features_BD)
        return logits_BK


def dm_wrn_28_10(
    classes: int, *, channels: int = 3, normalization: Normalization = "cifar10"
) -> DmWideResNet:
    return DmWideResNet(
        classes, depth=28, widening=10, channels=channels, normalization=normalization
    )
