"""Masks over images as text, one character (0 or 1) an image: how a measure's state stores them.

N images.
"""

import torch
from torch import Tensor


def mask_to_text(mask_N: Tensor) -> str:
    return "".join("1" if bit else "0" for bit in mask_N.tolist())


def text_to_mask(text: str) -> Tensor:
    return torch.tensor([character == "1" for character in text], dtype=torch.bool)


def share_of_ones(text: str) -> float:
    return text.count("1") / len(text)
