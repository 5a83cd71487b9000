"""Vision transformers as timm builds them: ViT (Dosovitskiy et al., 2021) and DeiT (Touvron et al., 2021).

Keys: cls_token pos_embed patch_embed.proj blocks.{0-11}.{norm1,attn.qkv,attn.proj,norm2,mlp.fc1,mlp.fc2} norm head
N = 1 + h w tokens: that of the class, then the patches row by row.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from core.distillation.models.network import Classifier
from core.jobspec.network import MOST_PATCHES, Normalization

LARGEST_PATCH = 32


class VisionTransformer(Classifier):
    """Features are the class token's after the last norm."""

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
        # here: two seconds, which no other network should cost
        from timm.models.vision_transformer import VisionTransformer as Built

        if image_size % patch_size:
            raise ValueError(
                f"An image of {image_size}x{image_size} is not made of whole patches of {patch_size}x{patch_size}."
            )
        super().__init__(channels=channels, normalization=normalization)
        self.feature_dimension, self.patch_size = width, patch_size
        self.grid = (image_size // patch_size, image_size // patch_size)
        network: Any = Built(
            img_size=image_size,
            patch_size=patch_size,
            in_chans=channels,
            num_classes=classes,
            embed_dim=width,
            depth=depth,
            num_heads=heads,
        )
        self.cls_token, self.pos_embed, self.patch_embed = (
            network.cls_token,
            network.pos_embed,
            network.patch_embed,
        )
        self.blocks, self.norm, self.head = network.blocks, network.norm, network.head

    def extract_feature_maps(self, normalized_BCHW: Tensor) -> Tensor:
        """What the last block's attention reads of the patches: all later patch tokens leave the logits untouched."""
        last: Any = self.blocks[-1]
        return self._to_maps(last.norm1(self._tokens_before_last_block(normalized_BCHW)))

    def maps_and_features(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        last: Any = self.blocks[-1]
        tokens_BND = self._tokens_before_last_block(self.normalize(images_BCHW))
        normed_BND = last.norm1(tokens_BND)
        maps_BDHW = self._to_maps(normed_BND)
        # Put together again from the maps, so that the features' gradient reaches them.
        read_BND = torch.cat((normed_BND[:, :1], maps_BDHW.flatten(2).transpose(1, 2)), dim=1)
        tokens_BND = tokens_BND + last.attn(read_BND)
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
        patches_BDN = tokens_BND[:, 1:].transpose(1, 2)
        return patches_BDN.reshape(*patches_BDN.shape[:2], *self.grid)

    def can_adapt(self, key: str, shape: tuple[int, ...]) -> bool:
        """Positions of another square grid, and square patches of another size."""
        if key == "pos_embed" and len(shape) == 3:
            return (
                shape == (1, 1 + _side(shape) ** 2, self.feature_dimension)
                and 1 <= _side(shape) ** 2 <= MOST_PATCHES
            )
        if key == "patch_embed.proj.weight" and len(shape) == 4:
            side, wanted = shape[-1], self.patch_embed.proj.weight.shape
            return shape == (*wanted[:2], side, side) and 1 <= side <= LARGEST_PATCH
        return False

    def adapt(self, weights: dict[str, Tensor]) -> list[str]:
        from timm.layers.patch_embed import resample_patch_embed
        from timm.layers.pos_embed import resample_abs_pos_embed

        remarks = []
        positions, patches = weights["pos_embed"], weights["patch_embed.proj.weight"]
        if positions.shape != self.pos_embed.shape:
            weights["pos_embed"] = resample_abs_pos_embed(positions, list(self.grid))
            remarks.append(
                _resampled("pos_embed", _side(tuple(positions.shape)), self.grid[0], "patches")
            )
        size = self.patch_embed.proj.weight.shape[-1]
        if patches.shape[-1] != size:
            weights["patch_embed.proj.weight"] = resample_patch_embed(patches, [size, size])
            remarks.append(_resampled("patch_embed.proj.weight", patches.shape[-1], size, "pixels"))
        return remarks

    def why_no_place(self, unexpected: Iterable[str]) -> str:
        if not any("dist_token" in key or "head_dist." in key for key in unexpected):
            return ""
        return (
            "It is of a distilled DeiT, whose every block reads a second token, so that the rest alone would answer differently: "
            "upload the variant without distillation."
        )


def vit_b(
    classes: int,
    *,
    image_size: int = 32,
    patch_size: int = 4,
    channels: int = 3,
    normalization: Normalization = "cifar10",
) -> VisionTransformer:
    sizes = {"image_size": image_size, "patch_size": patch_size, "channels": channels}
    return VisionTransformer(
        classes, width=768, depth=12, heads=12, normalization=normalization, **sizes
    )


def deit_s(
    classes: int,
    *,
    image_size: int = 32,
    patch_size: int = 4,
    channels: int = 3,
    normalization: Normalization = "cifar10",
) -> VisionTransformer:
    sizes = {"image_size": image_size, "patch_size": patch_size, "channels": channels}
    return VisionTransformer(
        classes, width=384, depth=12, heads=6, normalization=normalization, **sizes
    )


def _side(shape: tuple[int, ...]) -> int:
    """Patches along one side of the square grid that positions [1, N, D] are of."""
    return math.isqrt(max(0, shape[1] - 1))


def _resampled(key: str, old: int, new: int, of: str) -> str:
    return (
        f"{key} was resampled from {old}x{old} to {new}x{new} {of}: the network is set to other images or patches than the "
        "file's, and needs to be trained at these before its accuracy counts."
    )
