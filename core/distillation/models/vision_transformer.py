"""Vision transformers as timm builds them.

ViT (Dosovitskiy et al., 2021) and DeiT (Touvron et al., 2021).
Keys: cls_token pos_embed patch_embed.proj
blocks.{0-11}.{norm1,attn.qkv,attn.proj,norm2,mlp.fc1,mlp.fc2} norm head

B batch size, D features, N = 1 + h w tokens (the class token, then the patches row by row),
K classes.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from core.distillation.models.network import Classifier
from core.jobspec.network import MAX_PATCHES, Normalization

MAX_PATCH_SIZE = 32
"""Of a checkpoint that is adapted, in pixels."""


class VisionTransformer(Classifier):
    """A vision transformer. Its features are those of the class token after the last norm."""

    classifier_name = "head"
    cls_token: nn.Parameter
    pos_embed: nn.Parameter
    blocks: nn.Sequential

    def __init__(
        self,
        classes: int,
        *,
        width: int,
        depth: int,
        heads: int,
        image_size: int = 32,
        patch_size: int = 4,
        channels: int = 3,
        normalization: Normalization = "cifar10",
    ) -> None:
        # Imported here because the import takes two seconds, which no other network should cost.
        from timm.models import vision_transformer as timm_vision_transformer

        if image_size % patch_size:
            raise ValueError(
                f"An image of {image_size}x{image_size} is not made of whole patches "
                f"of {patch_size}x{patch_size}."
            )
        super().__init__(channels=channels, normalization=normalization)
        self.feature_dimension = width
        self.patch_size = patch_size
        self.grid = (image_size // patch_size, image_size // patch_size)
        network: Any = timm_vision_transformer.VisionTransformer(
            img_size=image_size,
            patch_size=patch_size,
            in_chans=channels,
            num_classes=classes,
            embed_dim=width,
            depth=depth,
            num_heads=heads,
        )
        self.cls_token = network.cls_token
        self.pos_embed = network.pos_embed
        self.patch_embed = network.patch_embed
        self.blocks = network.blocks
        self.norm = network.norm
        self.head = network.head

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        """Return what the last block's attention reads of the patches.

        Later patch tokens have no effect on the logits.
        """
        last: Any = self.blocks[-1]
        return self._to_maps(last.norm1(self._tokens_before_last_block(normalized_BCHW)))

    def maps_and_features(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        last: Any = self.blocks[-1]
        tokens_BND = self._tokens_before_last_block(self.normalize(images_BCHW))
        normed_BND = last.norm1(tokens_BND)
        maps_BDHW = self._to_maps(normed_BND)
        # The attention's input is assembled from the maps again, so that the features' gradient
        # reaches the maps.
        patches_BND = maps_BDHW.flatten(2).transpose(1, 2)
        attended_BND = torch.cat((normed_BND[:, :1], patches_BND), dim=1)
        tokens_BND = tokens_BND + last.attn(attended_BND)
        tokens_BND = tokens_BND + last.mlp(last.norm2(tokens_BND))
        features_BD: Tensor = self.norm(tokens_BND)[:, 0]
        return maps_BDHW, features_BD

    def classify(self, features_BD: Tensor) -> Tensor:
        logits_BK: Tensor = self.head(features_BD)
        return logits_BK

    def _tokens_before_last_block(self, normalized_BCHW: Tensor) -> Tensor:
        patches_BND = self.patch_embed(normalized_BCHW)
        class_token_B1D = self.cls_token.expand(patches_BND.shape[0], -1, -1)
        tokens_BND: Tensor = torch.cat((class_token_B1D, patches_BND), dim=1) + self.pos_embed
        for block in self.blocks[:-1]:
            tokens_BND = block(tokens_BND)
        return tokens_BND

    def _to_maps(self, tokens_BND: Tensor) -> Tensor:
        """Return the patch tokens as maps [B, D, h, w]."""
        patches_BDN = tokens_BND[:, 1:].transpose(1, 2)
        return patches_BDN.reshape(*patches_BDN.shape[:2], *self.grid)

    def can_adapt(self, key: str, shape: tuple[int, ...]) -> bool:
        """Return whether the tensor can be resampled.

        Position embeddings of another square grid and square patches of another size can.
        """
        if key == "pos_embed" and len(shape) == 3:
            patches = _grid_side(shape) ** 2
            is_square = shape == (1, 1 + patches, self.feature_dimension)
            return is_square and 1 <= patches <= MAX_PATCHES
        if key == "patch_embed.proj.weight" and len(shape) == 4:
            side = shape[-1]
            width, channels = self.patch_embed.proj.weight.shape[:2]
            return shape == (width, channels, side, side) and 1 <= side <= MAX_PATCH_SIZE
        return False

    def adapt(self, weights: dict[str, Tensor]) -> list[str]:
        from timm.layers.patch_embed import resample_patch_embed
        from timm.layers.pos_embed import resample_abs_pos_embed

        remarks = []
        positions = weights["pos_embed"]
        if positions.shape != self.pos_embed.shape:
            weights["pos_embed"] = resample_abs_pos_embed(positions, list(self.grid))
            side = _grid_side(tuple(positions.shape))
            remarks.append(_resampling_remark("pos_embed", side, self.grid[0], "patches"))
        patches = weights["patch_embed.proj.weight"]
        size = self.patch_embed.proj.weight.shape[-1]
        if patches.shape[-1] != size:
            weights["patch_embed.proj.weight"] = resample_patch_embed(patches, [size, size])
            key = "patch_embed.proj.weight"
            remarks.append(_resampling_remark(key, patches.shape[-1], size, "pixels"))
        return remarks

    def explain_unexpected_keys(self, keys: Iterable[str]) -> str:
        if not any("dist_token" in key or "head_dist." in key for key in keys):
            return ""
        return (
            "It is a distilled DeiT's: each of its blocks reads a second token, without which "
            "its predictions would differ. Upload the variant without distillation."
        )


def vit_b(
    classes: int,
    *,
    image_size: int = 32,
    patch_size: int = 4,
    channels: int = 3,
    normalization: Normalization = "cifar10",
) -> VisionTransformer:
    return VisionTransformer(
        classes,
        width=768,
        depth=12,
        heads=12,
        image_size=image_size,
        patch_size=patch_size,
        channels=channels,
        normalization=normalization,
    )


def deit_s(
    classes: int,
    *,
    image_size: int = 32,
    patch_size: int = 4,
    channels: int = 3,
    normalization: Normalization = "cifar10",
) -> VisionTransformer:
    return VisionTransformer(
        classes,
        width=384,
        depth=12,
        heads=6,
        image_size=image_size,
        patch_size=patch_size,
        channels=channels,
        normalization=normalization,
    )


def _grid_side(shape: tuple[int, ...]) -> int:
    """Return the patches along one side of the square grid of position embeddings [1, N, D]."""
    return math.isqrt(max(0, shape[1] - 1))


def _resampling_remark(key: str, old: int, new: int, unit: str) -> str:
    return (
        f"{key} was resampled from {old}x{old} to {new}x{new} {unit}: the network's images or "
        "patches have another size than the file's, and it needs training at that size before "
        "its accuracy means anything."
    )
