"""Comparison of a file's own normalization layer with the network's.

The network's normalization is not loaded from files, so the two had better be the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from core.distillation.models.checkpoint_files.key_names import ConstantKind, constant_kind
from core.distillation.models.normalization import MEAN_AND_STD
from core.jobspec.network import AssumedNormalization, Normalization

TOLERANCE = 0.001
"""Published constants are rounded to three digits."""
WHOLE_NUMBER_TOLERANCE = 0.5 / 255 + 1e-6
"""Those that are rounded to whole numbers of [0, 255], with the error of fp32."""
MAX_UNIT_CONSTANT = 2.0
"""Larger means and deviations are of pixels in [0, 255]."""
MAX_PIXEL = 255
CHANNELS = (1, 3)


@dataclass(frozen=True)
class NormalizationResult:
    """Which normalization a network has after an import, and why."""

    name: Normalization
    sentence: str
    remarks: list[str] = field(default_factory=list)
    """What a person should check."""


@dataclass(frozen=True)
class _Constant:
    """A mean, standard deviation or variance in the file, of pixels in [0, 1]."""

    key: str
    kind: ConstantKind
    values: Tensor
    """[C], one number a channel, or one for all; any other number agrees with nothing."""
    tolerance: float

    def __str__(self) -> str:
        return f"{self.key} = {_rounded(self.values)}"

    def agrees(self, name: Normalization) -> bool:
        return len(self.values) in CHANNELS and torch.allclose(
            self.values, self.expected(name), rtol=0, atol=self.tolerance
        )

    def expected(self, name: Normalization) -> Tensor:
        mean, std = MEAN_AND_STD[name] or ((0.0,), (1.0,))
        values = torch.tensor(mean if self.kind == "mean" else std)
        return values**2 if self.kind == "var" else values


def choose_normalization(
    network: Normalization,
    channels: int,
    buffers: Mapping[str, Tensor],
    assumed: AssumedNormalization | None,
) -> NormalizationResult:
    """Return the normalization to use: the network's, or the file's if the former was assumed.

    ``buffers``: the file's means and standard deviations, by key. ``assumed``: why the network has
    its normalization; None where a person chose it. The file's is used only where it is no other's:
    a mean alone may be that of two.
    """
    constants = _without_duplicates(_parse(key, tensor) for key, tensor in buffers.items())
    if not constants:
        return _without_constants(network, assumed)
    noun = _noun(constants)
    keys = ", ".join(map(str, constants))
    names = [n for n in _known(channels) if all(each.agrees(n) for each in constants)]
    if all(constant.agrees(network) for constant in constants):
        return NormalizationResult(
            network, f"The file has the {noun} of {network!r}, the network's: {keys}."
        )
    if len(names) == 1 and assumed is not None:
        sentence = (
            f"The file has the {noun} of {names[0]!r}, {keys}: the network normalizes by them, "
            f"and not by {network!r}, which nobody had asked for."
        )
        return NormalizationResult(names[0], sentence, [sentence])
    verb = "are others" if " " in noun else "is another"
    sentence = f"The network normalizes by {network!r}; the file's own {noun} {verb}."
    others = [constant for constant in constants if not constant.agrees(network)]
    return NormalizationResult(network, sentence, [_remark(network, o, names) for o in others])


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


def _remark(network: Normalization, constant: _Constant, names: list[Normalization]) -> str:
    """Return what to do about a constant. ``names``: whose all of the file's constants are."""
    advice = "another normalization"
    if names:
        verb = "it is" if len(names) == 1 else "it may be"
        advice = f"normalization {' or '.join(map(repr, names))}, which {verb}"
    return (
        f"The file has its own normalization, {constant}, which is not "
        f"that of {network!r}, {_rounded(constant.expected(network))}: if the accuracy is too low, "
        f"import it with {advice}."
    )


def _known(channels: int) -> list[Normalization]:
    """Return the normalizations for images of this number of channels."""
    return [
        name
        for name, constants in MEAN_AND_STD.items()
        if constants is None or len(constants[0]) == channels
    ]


def _noun(constants: list[_Constant]) -> str:
    """Return what the file has: "mean and std", or one of them."""
    kinds = {constant.kind for constant in constants}
    return " and ".join(kind for kind in ("mean", "std", "var") if kind in kinds)


def _parse(key: str, tensor: Tensor) -> _Constant:
    """Return a tensor of the file as the constant that its key names."""
    kind = constant_kind(key) or "mean"
    values = _reduce_to_channels(tensor).float()
    largest = MAX_UNIT_CONSTANT**2 if kind == "var" else MAX_UNIT_CONSTANT
    if not bool((values.abs() > largest).any()):
        return _Constant(key, kind, values, TOLERANCE)
    is_whole = bool((values == values.round()).all())
    scale = MAX_PIXEL**2 if kind == "var" else MAX_PIXEL
    return _Constant(key, kind, values / scale, WHOLE_NUMBER_TOLERANCE if is_whole else TOLERANCE)


def _reduce_to_channels(tensor: Tensor) -> Tensor:
    """Return one number a channel, where every pixel of an image has the same; else all numbers.

    The tensor is [C], [C, 1, 1], [C, H, W] or [H, W, C], with any dimensions of 1 before.
    """
    while tensor.ndim > 1 and tensor.shape[0] == 1:
        tensor = tensor[0]
    if tensor.ndim == 3 and tensor.numel() not in CHANNELS:
        for channels_last in (tensor.movedim(0, -1), tensor):
            pixels = channels_last.flatten(0, 1)
            if pixels.shape[1] in CHANNELS and len(pixels) and bool((pixels == pixels[0]).all()):
                return pixels[0]
    return tensor.flatten()


def _without_duplicates(constants: Iterable[_Constant]) -> list[_Constant]:
    """Return the first of the constants with the same numbers, and the same meaning."""
    distinct: list[_Constant] = []
    for constant in constants:
        same = (
            torch.equal(other.values, constant.values)
            for other in distinct
            if other.kind == constant.kind
        )
        if not any(same):
            distinct.append(constant)
    return distinct


def _rounded(values: Tensor) -> str:
    if not len(values):
        return "no numbers"
    numbers = ", ".join(f"{value:.4f}" for value in values[:3].tolist())
    return numbers if len(values) <= 3 else f"{numbers}, ... ({len(values)} numbers)"
