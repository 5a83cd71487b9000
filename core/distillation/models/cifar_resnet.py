"""ResNets (He et al., 2016) in their CIFAR form: a 3x3 stem of stride 1, no max-pool.

Keys, as in the checkpoints of the robust distillation papers:
conv1 bn1 layer{1-4}.{i}.{conv1,bn1,conv2,bn2,shortcut.0,shortcut.1} linear

B batch size, D channels of a feature map, K classes.
"""

from torch import Tensor, nn
from torch.nn.functional import relu

from core.distillation.models.network import Classifier
from core.jobspec.network import Normalization


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, maps_BDHW: Tensor) -> Tensor:
        branch = self.bn2(self.conv2(relu(self.bn1(self.conv1(maps_BDHW)))))
        return relu(branch + self.shortcut(maps_BDHW))


class CifarResNet(Classifier):
    """Four stages of 64, 128, 256, 512 channels, with ``depths`` blocks each."""

    feature_dimension = 512

    def __init__(
        self,
        classes: int,
        *,
        depths: tuple[int, int, int, int],
        channels: int = 3,
        normalization: Normalization = "none",
    ) -> None:
        super().__init__(channels=channels, normalization=normalization)
        self.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _stage(64, 64, depths[0], stride=1)
        self.layer2 = _stage(64, 128, depths[1], stride=2)
        self.layer3 = _stage(128, 256, depths[2], stride=2)
        self.layer4 = _stage(256, 512, depths[3], stride=2)
        self.linear = nn.Linear(512, classes)

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        maps: Tensor = relu(self.bn1(self.conv1(normalized_BCHW)))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            maps = stage(maps)
        return maps

    def classify(self, features_BD: Tensor) -> Tensor:
        logits_BK: Tensor = self.linear(features_BD)
        return logits_BK


def resnet18(
    classes: int, *, channels: int = 3, normalization: Normalization = "none"
) -> CifarResNet:
    return CifarResNet(classes, depths=(2, 2, 2, 2), channels=channels, normalization=normalization)


def resnet34(
    classes: int, *, channels: int = 3, normalization: Normalization = "none"
) -> CifarResNet:
    return CifarResNet(classes, depths=(3, 4, 6, 3), channels=channels, normalization=normalization)


def _stage(inputs: int, outputs: int, depth: int, *, stride: int) -> nn.Sequential:
    first = Block(inputs, outputs, stride)
    return nn.Sequential(first, *(Block(outputs, outputs, 1) for _ in range(depth - 1)))
