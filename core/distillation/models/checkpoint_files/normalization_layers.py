"""Normalization that a file brings along: ours lives in the network and is not loaded, so the two had better be the same."""

import torch
from torch import Tensor

from core.distillation.models.normalization import MEAN_AND_STD
from core.jobspec.network import Normalization

TOLERANCE = 0.005


def normalization_remarks(ours: Normalization, theirs: dict[str, Tensor]) -> list[str]:
    """A sentence for each mean or standard deviation of a file that differs from the network's."""
    mean, std = MEAN_AND_STD[ours] or ((0.0,), (1.0,))
    found = []
    for key, tensor in theirs.items():
        expected = torch.tensor(mean if key.endswith(("mean", "mu")) else std)
        values = tensor.flatten()[:3].float()
        if tensor.numel() not in (1, 3) or not torch.allclose(values, expected, atol=TOLERANCE):
            found.append(
                f"The file brings its own normalization, {key} = {_rounded(values)}, which is not that of {ours!r}, "
                f"{_rounded(expected)}: if the accuracy is too low, import it with another normalization."
            )
    return found


def _rounded(values: Tensor) -> str:
    return ", ".join(f"{value:.4f}" for value in values.tolist())
