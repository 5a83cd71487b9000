"""torchvision's own ResNets and MobileNetV2, made for ImageNet at 224x224. He et al., 2016; Sandler et al., 2018.

Keys: conv1 bn1 layer{1-4}.{i}.{conv1,bn1,conv2,bn2,downsample.0,downsample.1} fc; features.{0-18}.* classifier.1
"""

from torch import Tensor, nn

from core.distillation.models.network import Classifier
from core.jobspec.network import Normalization


class ImageNetResNet(Classifier):
    """A 7x7 stem of stride 2, a max-pool, then four stages of 64, 128, 256, 512 channels, with ``depths`` blocks each."""

    classifier_name = "fc"
    feature_dimension = 512

    def __init__(
        self,
        classes: int,
        *,
        depths: tuple[int, int, int, int],
        channels: int = 3,
        normalization: Normalization = "imagenet",
    ) -> None:
        from torchvision.models.resnet import (  # here: a second, which no other network should cost
            BasicBlock,
            ResNet,
        )

        super().__init__(channels=_colour(channels), normalization=normalization)
        network = ResNet(BasicBlock, list(depths), num_classes=classes)
        self.conv1, self.bn1, self.relu, self.maxpool = (
            network.conv1,
            network.bn1,
            network.relu,
            network.maxpool,
        )
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            network.layer1,
            network.layer2,
            network.layer3,
            network.layer4,
        )
        self.fc = network.fc

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        maps: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(normalized_BCHW))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            maps = stage(maps)
        return maps

    def classify(self, features_BD: Tensor) -> Tensor:
        logits_BK: Tensor = self.fc(features_BD)
        return logits_BK


class Layers(nn.Sequential):
    """MobileNetV2's ``features``: torchvision's keys have the name that Classifier has for a method, so this is both."""

    def __init__(self, layers: nn.Sequential, normalize: nn.Module) -> None:
        super().__init__(*layers)
        self.before = (normalize,)  # in a tuple: it is the network's part, not this one's

    def maps(self, normalized_BCHW: Tensor) -> Tensor:
        maps_BDHW = normalized_BCHW
        for layer in self:
            maps_BDHW = layer(maps_BDHW)
        return maps_BDHW

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Penultimate features [B, D] of images in [0, 1], as Classifier.features gives them."""
        return self.maps(self.before[0](images_BCHW)).mean(dim=(2, 3))


class ImageNetMobileNetV2(Classifier):
    """With torchvision's dropout before the classifier, which only training feels."""

    classifier_name = "classifier.1"
    feature_dimension = 1280

    def __init__(
        self, classes: int, *, channels: int = 3, normalization: Normalization = "imagenet"
    ) -> None:
        from torchvision.models.mobilenetv2 import (
            MobileNetV2,  # here: a second, which no other network should cost
        )

        super().__init__(channels=_colour(channels), normalization=normalization)
        network = MobileNetV2(num_classes=classes)
        self._modules["features"] = Layers(network.features, self.normalize)
        self.classifier = network.classifier

    @property
    def features(self) -> Layers:
        layers = self._modules["features"]
        assert isinstance(layers, Layers)
        return layers

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        return self.features.maps(normalized_BCHW)

    def classify(self, features_BD: Tensor) -> Tensor:
        logits_BK: Tensor = self.classifier(features_BD)
        return logits_BK


def imagenet_resnet18(
    classes: int, *, channels: int = 3, normalization: Normalization = "imagenet"
) -> ImageNetResNet:
    return ImageNetResNet(
        classes, depths=(2, 2, 2, 2), channels=channels, normalization=normalization
    )


def imagenet_resnet34(
    classes: int, *, channels: int = 3, normalization: Normalization = "imagenet"
) -> ImageNetResNet:
    return ImageNetResNet(
        classes, depths=(3, 4, 6, 3), channels=channels, normalization=normalization
    )


def _colour(channels: int) -> int:
    if channels != 3:
        raise ValueError(f"torchvision's networks take images of 3 channels, not {channels}.")
    return channels
