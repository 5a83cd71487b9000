"""Comparison of a file's own normalization layer with the network's.

The network's normalization is not loaded from files, so the two had better be the same.
"""

import re
from dataclasses import dataclass, field

import torch
from torch import Tensor

from core.distillation.models.normalization import MEAN_AND_STD
from core.jobspec.network import AssumedNormalization, Normalization

NORMALIZATION_KEY = re.compile(
    r"(^|\.)_*(?!\w*(?:running|moving|weight|bias)_)(?:[a-z0-9]+_)*"
    r"(?:means?|mu|stds?|sigmas?|stdevs?|stddevs?)_*$"
)
"""Names of a layer's mean and standard deviation: mean, mu, new_std, pixel_mean, _std, ..."""
MEAN_KEY = re.compile(r"(?:means?|mu)_*$")
TOLERANCE = 0.001
"""Published constants are rounded to three digits."""
MAX_UNIT_CONSTANT = 2.0
"""Larger means and deviations are of pixels in [0, 255]."""


@dataclass(frozen=True)
class NormalizationResult:
    """Which normalization a network has after an import, and why."""

    name: Normalization
    sentence: str
    remarks: list[str] = field(default_factory=list)
    """What a person should check."""


def choose_normalization(
    network: Normalization,
    channels: int,
    buffers: dict[str, Tensor],
    assumed: AssumedNormalization | None,
) -> NormalizationResult:
    """Return the normalization to use: the network's, or the file's if the former was assumed.

    ``buffers``: the file's means and standard deviations, by key. ``assumed``: why the network has
    its normalization; None where a person chose it.
    """
    distinct = _without_duplicates(buffers)
    if not distinct:
        return _without_constants(network, assumed)
    keys = ", ".join(f"{key} = {_rounded(_constants(tensor))}" for key, tensor in distinct.items())
    if _agree(network, distinct):
        return NormalizationResult(
            network, f"The file has the mean and std of {network!r}, the network's: {keys}."
        )
    name = next((name for name in _known(channels) if _agree(name, distinct)), None)
    if name is not None and assumed is not None:
        sentence = (
            f"The file has the mean and std of {name!r}, {keys}: the network normalizes by them, "
            f"and not by {network!r}, which nobody had asked for."
        )
        return NormalizationResult(name, sentence, [sentence])
    sentence = f"The network normalizes by {network!r}; the file's own mean and std are others."
    remarks = [_remark(network, key, tensor, name) for key, tensor in _others(network, distinct)]
    return NormalizationResult(network, sentence, remarks)


def _without_constants(
    network: Normalization, assumed: AssumedNormalization | None
) -> NormalizationResult:
    if assumed is None:
        sentence = f"The network normalizes by {network!r}, as asked; the file has no mean and std."
        return NormalizationResult(network, sentence)
    sentence = f"The file has no mean and std: {network!r} was assumed, because {assumed.reason}."
    if not assumed.is_guess:
        return NormalizationResult(network, sentence)
    question = (
        f"{sentence} By which was it trained? If not by {network!r}, import it again and name the "
        f"normalization, one of {', '.join(MEAN_AND_STD)}."
    )
    return NormalizationResult(network, sentence, [question])


def _remark(network: Normalization, key: str, tensor: Tensor, name: Normalization | None) -> str:
    advice = "another normalization" if name is None else f"normalization {name!r}, which it is"
    return (
        f"The file has its own normalization, {key} = {_rounded(_constants(tensor))}, which is not "
        f"that of {network!r}, {_rounded(_expected(network, key))}: if the accuracy is too low, "
        f"import it with {advice}."
    )


def _known(channels: int) -> list[Normalization]:
    """Return the normalizations for images of this number of channels."""
    return [
        name
        for name, constants in MEAN_AND_STD.items()
        if constants is None or len(constants[0]) == channels
    ]


def _agree(name: Normalization, buffers: dict[str, Tensor]) -> bool:
    return not _others(name, buffers)


def _others(name: Normalization, buffers: dict[str, Tensor]) -> list[tuple[str, Tensor]]:
    """Return the means and deviations that are not those of ``name``, with their keys."""
    return [
        (key, tensor)
        for key, tensor in buffers.items()
        if tensor.numel() not in (1, 3)
        or not torch.allclose(_constants(tensor), _expected(name, key), rtol=0, atol=TOLERANCE)
    ]


def _expected(name: Normalization, key: str) -> Tensor:
    mean, std = MEAN_AND_STD[name] or ((0.0,), (1.0,))
    return torch.tensor(mean if MEAN_KEY.search(key) else std)


def _constants(tensor: Tensor) -> Tensor:
    """Return the first three numbers, in units of pixels in [0, 1]."""
    values = tensor.flatten()[:3].float()
    return values / 255 if bool((values.abs() > MAX_UNIT_CONSTANT).any()) else values


def _without_duplicates(buffers: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the first of the buffers with the same numbers, and the same meaning."""
    distinct: dict[str, Tensor] = {}
    for key, tensor in buffers.items():
        is_mean = bool(MEAN_KEY.search(key))
        same = (
            torch.equal(other.flatten(), tensor.flatten())
            for other_key, other in distinct.items()
            if bool(MEAN_KEY.search(other_key)) == is_mean
        )
        if not any(same):
            distinct[key] = tensor
    return distinct


def _rounded(values: Tensor) -> str:
    return ", ".join(f"{value:.4f}" for value in values.tolist())
