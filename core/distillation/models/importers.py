"""Import of third-party checkpoints: inspected first, matched key by key, read last."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.distillation.models.checkpoint_files.formats import CheckpointFile, open_checkpoint
from core.distillation.models.checkpoint_files.key_mapping import (
    NORMALIZATION_KEY,
    KeyMatch,
    match_keys,
)
from core.distillation.models.checkpoint_files.normalization_layers import normalization_remarks
from core.distillation.models.network import Classifier
from core.errors import Refused

MAX_KEYS_IN_MESSAGE = 10
MAX_KEYS = 4000
MAX_KEY_CHARACTERS = 200


@dataclass(frozen=True)
class ImportReport:
    """What differs between a file and the network that it was loaded into."""

    renamed: dict[str, str]
    """The network's key, by the file's, where they differ."""
    dropped: list[str]
    """The file's keys that no network uses."""
    filled: list[str]
    """Batch norm counters that the file lacks: set to 0."""
    converted: dict[str, str]
    """The file's number format, by the network's key, where it was another."""
    remarks: list[str] = field(default_factory=list)
    """Sentences on what a person should check."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def load(network: Classifier, path: Path) -> ImportReport:
    """Load a third-party checkpoint into the network.

    It may be a safetensors file, or what torch.save wrote since PyTorch 1.6.
    Raises Refused, with the network unchanged and without running code of the file, with one of the
    codes unsafe_checkpoint, unreadable_checkpoint, missing_keys, unexpected_keys, misshaped_keys,
    non_finite_weights.
    """
    state = network.state_dict()
    file = open_checkpoint(path)
    _check_key_names([*file.declared, *file.other_keys])
    if not file.declared:
        raise Refused(
            "The file holds no state dict: no tensors by name.", code="unreadable_checkpoint"
        )
    match = match_keys(file.declared, state)
    _check_keys(match, network)
    _check_shapes(match, file, network)
    tensors = file.read()
    weights = {
        key: _to_network_format(tensors[file_key], state[key])
        for key, file_key in match.file_keys.items()
    }
    remarks = network.adapt(weights)
    _check_finite(weights)
    counters = {key: torch.zeros_like(state[key]) for key in match.filled}
    network.load_state_dict({**weights, **counters})
    buffers = {key: tensors[key] for key in match.dropped if NORMALIZATION_KEY.search(key)}
    return ImportReport(
        renamed=match.renamed,
        dropped=match.dropped + file.other_keys,
        filled=match.filled,
        converted=_converted(match, file, state),
        remarks=remarks + normalization_remarks(network.normalize.name, buffers),
    )


def _check_key_names(keys: list[str]) -> None:
    """Raise Refused where keys are too many, too long or not printable.

    They appear in messages and in reports.
    """
    plain = all(len(key) <= MAX_KEY_CHARACTERS and key.isprintable() for key in keys)
    if len(keys) > MAX_KEYS or not plain:
        raise Refused(
            f"The file has more than {MAX_KEYS} keys, or keys that are not short plain text.",
            code="unreadable_checkpoint",
        )


def _check_keys(match: KeyMatch, network: Classifier) -> None:
    if match.missing:
        sentences = f"The file lacks {_list(match.missing)}."
        if match.unexpected:
            unexpected = _list(match.unexpected)
            sentences += f" It has keys that the network does not know: {unexpected}."
        raise Refused(sentences, code="missing_keys")
    if match.unexpected:
        explanation = network.explain_unexpected_keys(match.unexpected)
        sentences = f"The network has no place for {_list(match.unexpected)}. {explanation}"
        raise Refused(sentences.rstrip(), code="unexpected_keys")


def _check_shapes(match: KeyMatch, file: CheckpointFile, network: Classifier) -> None:
    """Raise Refused for a shape that neither fits nor can be adapted, and for integer weights."""
    state = network.state_dict()
    misshaped = []
    for key, file_key in match.file_keys.items():
        shape = file.declared[file_key].shape
        needed = tuple(state[key].shape)
        if shape != needed and not network.can_adapt(key, shape):
            misshaped.append(f"{key} ({_format(shape)} in the file, {_format(needed)} needed)")
    if misshaped:
        raise Refused(
            f"These weights have other shapes than the network's: {_list(misshaped)}.",
            code="misshaped_keys",
        )
    for key, file_key in match.file_keys.items():
        dtype = file.declared[file_key].dtype
        if state[key].is_floating_point() and not dtype.is_floating_point:
            raise Refused(
                f"{key} is in {dtype}; weights are floating-point numbers.",
                code="unreadable_checkpoint",
            )


def _to_network_format(tensor: Tensor, target: Tensor) -> Tensor:
    """Return the tensor in the target's number format.

    A counter that overflowed in half precision becomes 0: nothing reads it.
    """
    if tensor.is_floating_point() and not target.is_floating_point():
        tensor = tensor.nan_to_num(nan=0, posinf=0, neginf=0)
    return tensor.to(target.dtype)


def _check_finite(weights: dict[str, Tensor]) -> None:
    keys = [key for key, tensor in weights.items() if not tensor.isfinite().all()]
    if keys:
        raise Refused(f"Not all numbers are finite in {_list(keys)}.", code="non_finite_weights")


def _converted(match: KeyMatch, file: CheckpointFile, state: dict[str, Tensor]) -> dict[str, str]:
    dtypes = {key: file.declared[file_key].dtype for key, file_key in match.file_keys.items()}
    return {
        key: str(dtype).removeprefix("torch.")
        for key, dtype in dtypes.items()
        if dtype != state[key].dtype
    }


def _list(keys: list[str]) -> str:
    """Return the keys for a message: the first few by name, and how many there are."""
    names = ", ".join(keys[:MAX_KEYS_IN_MESSAGE])
    more = len(keys) - MAX_KEYS_IN_MESSAGE
    return f"{names} and {more} more, {len(keys)} in all" if more > 0 else names


def _format(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single number"
