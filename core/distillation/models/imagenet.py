"""torchvision's ResNets (He et al., 2016) and MobileNetV2 (Sandler et al., 2018) for ImageNet.

They are made for images of 224x224.
Keys: conv1 bn1 layer{1-4}.{i}.{conv1,bn1,conv2,bn2,downsample.0,downsample.1} fc;
features.{0-18}.* classifier.1

B batch size, C H W channels, height and width of an image, D features, K classes.
"""

from typing import cast

from torch import Tensor, nn

from core.distillation.models.network import Classifier
from core.jobspec.network import Normalization


class ImageNetResNet(Classifier):
    """A 7x7 stem of stride 2, a max-pool, then four stages of 64, 128, 256, 512 channels.

    The stages have ``depths`` blocks.
    """

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
        # Imported here because the import takes a second, which no other network should cost.
        from torchvision.models.resnet import BasicBlock, ResNet

        super().__init__(channels=_require_color(channels), normalization=normalization)
        network = ResNet(BasicBlock, list(depths), num_classes=classes)
        self.conv1 = network.conv1
        self.bn1 = network.bn1
        self.relu = network.relu
        self.maxpool = network.maxpool
        self.layer1 = network.layer1
        self.layer2 = network.layer2
        self.layer3 = network.layer3
        self.layer4 = network.layer4
        self.fc = network.fc

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        maps: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(normalized_BCHW))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            maps = stage(maps)
        return maps

    def classify(self, features_BD: Tensor) -> Tensor:
        logits_BK: Tensor = self.fc(features_BD)
        return logits_BK


class FeatureLayers(nn.Sequential):
    """MobileNetV2's layers before the classifier, which can be called as Classifier.features.

    torchvision's keys begin with ``features``, which is also the name of a method of Classifier:
    the network's attribute of that name has to be both a module and that method.
    """

    def __init__(self, layers: nn.Sequential, normalize: nn.Module) -> None:
        super().__init__(*layers)
        # In a tuple, so that it is not registered as a submodule here: it is the network's.
        self.normalize = (normalize,)

    def maps(self, normalized_BCHW: Tensor) -> Tensor:
        """Return the last feature maps [B, D, h, w] of normalized images."""
        maps_BDHW = normalized_BCHW
        for layer in self:
            maps_BDHW = layer(maps_BDHW)
        return maps_BDHW

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return the penultimate features [B, D] of images in [0, 1], as Classifier.features."""
        return self.maps(self.normalize[0](images_BCHW)).mean(dim=(2, 3))


class ImageNetMobileNetV2(Classifier):
    """torchvision's MobileNetV2, with its dropout before the classifier."""

    classifier_name = "classifier.1"
    feature_dimension = 1280

    def __init__(
        self, classes: int, *, channels: int = 3, normalization: Normalization = "imagenet"
    ) -> None:
        # Imported here because the import takes a second, which no other network should cost.
        from torchvision.models.mobilenetv2 import MobileNetV2

        super().__init__(channels=_require_color(channels), normalization=normalization)
        network = MobileNetV2(num_classes=classes)
        self._modules["features"] = FeatureLayers(network.features, self.normalize)
        self.classifier = network.classifier

    @property
    def features(self) -> FeatureLayers:
        return cast(FeatureLayers, self._modules["features"])

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


def _require_color(channels: int) -> int:
    """Return ``channels``, or raise ValueError where they are not 3."""
    if channels != 3:
        raise ValueError(f"torchvision's networks take images of 3 channels, not {channels}.")
    return channels
