"""MobileNetV2 (Sandler et al., 2018) in its CIFAR form: stem and first stage have stride 1.

Keys: conv1 bn1 layers.{0-16}.{conv1,bn1,conv2,bn2,conv3,bn3,shortcut.0,shortcut.1} conv2 bn2 linear

B batch size, D channels of a feature map, K classes.
"""

from torch import Tensor, nn
from torch.nn.functional import relu

from core.distillation.models.network import Classifier
from core.jobspec.network import Normalization

STAGES = (
    # expansion, channels, blocks, stride of the first block
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class Block(nn.Module):
    """An inverted residual: expand, filter each channel by itself, project.

    There is a residual connection wherever the stride is 1.
    """

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = expansion * inputs
        self.residual = stride == 1
        self.conv1 = nn.Conv2d(inputs, hidden, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.conv2 = nn.Conv2d(
            hidden, hidden, 3, stride=stride, padding=1, groups=hidden, bias=False
        )
        self.bn2 = nn.BatchNorm2d(hidden)
        self.conv3 = nn.Conv2d(hidden, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if self.residual and inputs != outputs:
            # The ImageNet form has no residual where the width changes; the CIFAR checkpoints do.
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, maps_BDHW: Tensor) -> Tensor:
        branch: Tensor = relu(self.bn1(self.conv1(maps_BDHW)))
        branch = relu(self.bn2(self.conv2(branch)))
        branch = self.bn3(self.conv3(branch))
        return branch + self.shortcut(maps_BDHW) if self.residual else branch


class CifarMobileNetV2(Classifier):
    """MobileNetV2 for images of 32x32."""

    feature_dimension = 1280

    def __init__(
        self, classes: int, *, channels: int = 3, normalization: Normalization = "none"
    ) -> None:
        super().__init__(channels=channels, normalization=normalization)
        self.conv1 = nn.Conv2d(channels, 32, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.layers = nn.Sequential(*_blocks(32))
        self.conv2 = nn.Conv2d(320, 1280, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(1280)
        self.linear = nn.Linear(1280, classes)

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        maps = self.layers(relu(self.bn1(self.conv1(normalized_BCHW))))
        return relu(self.bn2(self.conv2(maps)))

    def classify(self, features_BD: Tensor) -> Tensor:
        logits_BK: Tensor = self.linear(features_BD)
        return logits_BK


def _blocks(inputs: int) -> list[Block]:
    blocks = []
    for expansion, outputs, count, stride in STAGES:
        for index in range(count):
            blocks.append(Block(inputs, outputs, expansion, stride if index == 0 else 1))
            inputs = outputs
    return blocks
