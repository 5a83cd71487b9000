"""Other people's checkpoints into our networks: looked through first, matched key by key, read last."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.distillation.models.checkpoint_files import normalization_layers
from core.distillation.models.checkpoint_files.formats import CheckpointFile, open_checkpoint
from core.distillation.models.checkpoint_files.key_mapping import NORMALIZATION, KeyMatch, match_keys
from core.distillation.models.network import Classifier
from core.errors import Refused

MOST_NAMED = 10
MOST_KEYS = 4000
MOST_CHARACTERS = 200


@dataclass(frozen=True)
class ImportReport:
    """What was changed on the way from a file to a network."""

    renamed: dict[str, str]
    """The network's key, by the file's."""
    dropped: list[str]
    """The file's keys that no network uses."""
    filled: list[str]
    """Batch norm counters that the file lacks: set to 0."""
    converted: dict[str, str]
    """The file's number format, by the network's key, where it was another."""
    remarks: list[str] = field(default_factory=list)
    """Sentences on what a person should look at."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def load(network: Classifier, path: Path) -> ImportReport:
    """Put a foreign checkpoint's weights into the network: safetensors, or what torch.save wrote since PyTorch 1.6.

    Raises Refused, with the network as it was and nothing of the file run: unsafe_checkpoint, unreadable_checkpoint,
    missing_keys, unexpected_keys, misshaped_keys, non_finite_weights.
    """
    wanted = network.state_dict()
    file = open_checkpoint(path)
    _check_names([*file.declared, *file.others])
    if not file.declared:
        raise Refused(
            "The file holds no state dict: no tensors by name.", code="unreadable_checkpoint"
        )
    matched = match_keys(file.declared, wanted)
    _check_keys(matched, network)
    _check_shapes(matched, file, network)
    tensors = file.read()
    weights = {new: _canonical(tensors[old], wanted[new]) for new, old in matched.file_keys.items()}
    adapted = network.adapt(weights)
    _check_finite(weights)
    network.load_state_dict(
        {**weights, **{key: torch.zeros_like(wanted[key]) for key in matched.filled}}
    )
    theirs = {key: tensors[key] for key in matched.dropped if NORMALIZATION.search(key)}
    return ImportReport(
        renamed=matched.renamed,
        dropped=matched.dropped + file.others,
        filled=matched.filled,
        converted=_converted(matched, file, wanted),
        remarks=adapted + normalization_layers.normalization_remarks(network.normalize.name, theirs),
    )


def _check_names(keys: list[str]) -> None:
    """Keys end up in messages and reports."""
    if len(keys) > MOST_KEYS or not all(
        len(key) <= MOST_CHARACTERS and key.isprintable() for key in keys
    ):
        raise Refused(
            f"The file has more than {MOST_KEYS} keys, or keys that are not short plain text.",
            code="unreadable_checkpoint",
        )


def _check_keys(matched: KeyMatch, network: Classifier) -> None:
    if matched.missing:
        instead = (
            f" It has keys that the network does not know: {_named(matched.unexpected)}."
            if matched.unexpected
            else ""
        )
        raise Refused(f"The file lacks {_named(matched.missing)}.{instead}", code="missing_keys")
    if matched.unexpected:
        sentences = f"The network has no place for {_named(matched.unexpected)}. {network.explain_unexpected_keys(matched.unexpected)}"
        raise Refused(sentences.rstrip(), code="unexpected_keys")


def _check_shapes(matched: KeyMatch, file: CheckpointFile, network: Classifier) -> None:
    wanted = network.state_dict()
    misshaped = [
        f"{new} ({_shape(file.declared[old].shape)} in the file, {_shape(tuple(wanted[new].shape))} needed)"
        for new, old in matched.file_keys.items()
        if file.declared[old].shape != tuple(wanted[new].shape)
        and not network.can_adapt(new, file.declared[old].shape)
    ]
    if misshaped:
        raise Refused(
            f"These weights have other shapes than the network's: {_named(misshaped)}.",
            code="misshaped_keys",
        )
    for new, old in matched.file_keys.items():
        dtype = file.declared[old].dtype
        if wanted[new].is_floating_point() and not dtype.is_floating_point:
            raise Refused(
                f"{new} is in {dtype}; weights are floating-point numbers.",
                code="unreadable_checkpoint",
            )


def _canonical(tensor: Tensor, wanted: Tensor) -> Tensor:
    """In the network's number format. A counter that overflowed in half precision becomes 0: nothing reads it."""
    if tensor.is_floating_point() and not wanted.is_floating_point():
        tensor = tensor.nan_to_num(nan=0, posinf=0, neginf=0)
    return tensor.to(wanted.dtype)


def _check_finite(weights: dict[str, Tensor]) -> None:
    broken = [key for key, tensor in weights.items() if not tensor.isfinite().all()]
    if broken:
        raise Refused(f"Not all numbers are finite in {_named(broken)}.", code="non_finite_weights")


def _converted(matched: KeyMatch, file: CheckpointFile, wanted: dict[str, Tensor]) -> dict[str, str]:
    dtypes = {new: file.declared[old].dtype for new, old in matched.file_keys.items()}
    return {
        key: str(dtype).removeprefix("torch.")
        for key, dtype in dtypes.items()
        if dtype != wanted[key].dtype
    }


def _named(keys: list[str]) -> str:
    named = ", ".join(keys[:MOST_NAMED])
    return (
        named
        if len(keys) <= MOST_NAMED
        else f"{named} and {len(keys) - MOST_NAMED} more, {len(keys)} in all"
    )


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single number"
