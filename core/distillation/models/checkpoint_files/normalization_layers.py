"""Comparison of a file's own normalization layer with the network's.

The network's normalization is not loaded from files, so the two had better be the same.
"""

import torch
from torch import Tensor

from core.distillation.models.normalization import MEAN_AND_STD
from core.jobspec.network import Normalization

TOLERANCE = 0.005


def normalization_remarks(network: Normalization, buffers: dict[str, Tensor]) -> list[str]:
    """Return a sentence for each mean or standard deviation that differs from the network's.

    ``buffers``: the file's, by key.
    """
    mean, std = MEAN_AND_STD[network] or ((0.0,), (1.0,))
    remarks = []
    for key, tensor in buffers.items():
        expected = torch.tensor(mean if key.endswith(("mean", "mu")) else std)
        values = tensor.flatten()[:3].float()
        if tensor.numel() not in (1, 3) or not torch.allclose(values, expected, atol=TOLERANCE):
            remarks.append(
                f"The file has its own normalization, {key} = {_rounded(values)}, which is not "
                f"that of {network!r}, {_rounded(expected)}: if the accuracy is too low, import "
                "it with another normalization."
            )
    return remarks


def _rounded(values: Tensor) -> str:
    return ", ".join(f"{value:.4f}" for value in values.tolist())
