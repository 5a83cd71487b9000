"""Masks over images as text, one character (0 or 1) an image: how a measure's state stores them.

N images.
"""

import base64

import numpy as np
import torch
from torch import Tensor


def mask_to_text(mask_N: Tensor) -> str:
    return "".join("1" if bit else "0" for bit in mask_N.tolist())


def text_to_mask(text: str) -> Tensor:
    return torch.tensor([character == "1" for character in text], dtype=torch.bool)


def pack_text(text: str) -> str:
    """Return the mask as packed bits in base64, the first image in the highest bit."""
    return base64.b64encode(np.packbits(text_to_mask(text).numpy()).tobytes()).decode()


def share_of_ones(text: str) -> float:
    return text.count("1") / len(text)
