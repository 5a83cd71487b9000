"""Which images stand, as text: what a measure's state keeps of them. N images, a 0 or a 1 each."""

import torch
from torch import Tensor


def text(mask_N: Tensor) -> str:
    return "".join("1" if each else "0" for each in mask_N.tolist())


def mask(text_N: str) -> Tensor:
    return torch.tensor([each == "1" for each in text_N], dtype=torch.bool)


def share(text_N: str) -> float:
    return text_N.count("1") / len(text_N)
