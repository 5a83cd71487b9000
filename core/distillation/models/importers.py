"""Import of third-party checkpoints: inspected first, matched key by key, read last."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.distillation.models.checkpoint_files.candidates import (
    Candidate,
    choose,
    list_candidates,
    list_names,
)
from core.distillation.models.checkpoint_files.declared_tensors import DeclaredTensor
from core.distillation.models.checkpoint_files.formats import CheckpointFile, open_checkpoint
from core.distillation.models.checkpoint_files.key_differences import (
    explain_renaming,
    explain_reparametrization,
)
from core.distillation.models.checkpoint_files.key_mapping import (
    BATCH_NORM_COUNTER,
    KeyMatch,
    mixed_prefixes,
)
from core.distillation.models.checkpoint_files.key_names import MAX_KEY_CHARACTERS, constant_kind
from core.distillation.models.checkpoint_files.normalization_layers import (
    NormalizationResult,
    choose_normalization,
)
from core.distillation.models.checkpoint_files.recognition import explain
from core.distillation.models.checkpoint_files.state_dicts import MAX_STATE_DICTS, TOP_LEVEL
from core.distillation.models.network import Classifier
from core.distillation.models.normalization import InputNormalization
from core.errors import Refused
from core.jobspec.network import AssumedNormalization

MAX_KEYS_IN_MESSAGE = 10
MAX_KEYS = 4000
MAX_COUNT = 2**63
"""Batch norm counters are smaller: 64-bit integers."""

Declared = Mapping[str, DeclaredTensor]


@dataclass(frozen=True)
class ImportReport:
    """What differs between a file and the network that it was loaded into."""

    renamed: dict[str, str]
    """The network's key, by the file's, where they differ."""
    dropped: list[str]
    """The file's keys that no network uses, and those of a second copy of the network."""
    filled: list[str]
    """Batch norm counters that the file lacks: set to 0."""
    converted: dict[str, str]
    """The file's number format, by the network's key, where it was another."""
    remarks: list[str] = field(default_factory=list)
    """Sentences on what a person should check."""
    state_dict: str | None = None
    """Which of the file's state dicts was loaded; None where the file is one."""
    other_state_dicts: list[str] = field(default_factory=list)
    """Those that were not loaded."""
    normalization: str = ""
    """A sentence: which normalization the network has, and why."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def load(
    network: Classifier,
    path: Path,
    *,
    state_dict: str | None = None,
    normalization_assumed: AssumedNormalization | None = None,
) -> ImportReport:
    """Load a third-party checkpoint into the network.

    It may be a safetensors file, or what torch.save wrote since PyTorch 1.6.
    ``state_dict``: which of several to load; by default one that fits, raw weights before averages.
    ``normalization_assumed``: why the network has its normalization, where nobody chose it; then
    the file's own mean and std decide. Without it they are compared with the network's.
    Raises Refused, with the network unchanged and without running code of the file, with one of the
    codes unsafe_checkpoint, unreadable_checkpoint, unknown_state_dict, missing_keys,
    unexpected_keys, misshaped_keys, non_finite_weights, negative_variance.
    """
    state = network.state_dict()
    file = open_checkpoint(path)
    candidates = _list_candidates(file, state)
    candidate = _choose(candidates, state_dict, file, network)
    try:
        tensors, weights, adaptations = _read_weights(candidate, file, network)
    except Refused as error:
        raise _name_candidate(error, candidate, candidates) from error
    network.load_state_dict(
        {**weights, **{key: torch.zeros_like(state[key]) for key in candidate.match.filled}}
    )
    constants = file.state_dicts[candidate.entry].constants
    keys = _normalization_keys(candidate, candidates, constants)
    buffers = {key: tensors[key] for key in keys}
    normalization = _normalize(network, buffers, normalization_assumed)
    report = _describe(candidate, candidates, file, tensors, state)
    return replace(
        report,
        remarks=[*adaptations, *report.remarks, *normalization.remarks],
        normalization=normalization.sentence,
    )


def _read_weights(
    candidate: Candidate, file: CheckpointFile, network: Classifier
) -> tuple[dict[str, Tensor], dict[str, Tensor], list[str]]:
    """Return all tensors of the state dict, the network's weights, and how they were adapted.

    Raises Refused where they do not fit, or are not numbers that a network computes with.
    """
    state = network.state_dict()
    _check_match(candidate.match, file.state_dicts[candidate.entry].tensors, network)
    tensors = file.read(candidate.entry)
    weights = {
        key: _to_network_format(tensors[file_key], state[key])
        for key, file_key in candidate.match.file_keys.items()
    }
    adaptations = network.adapt(weights)
    _check_numbers(weights)
    return tensors, weights, adaptations


def _choose(
    candidates: list[Candidate], name: str | None, file: CheckpointFile, network: Classifier
) -> Candidate:
    """Return the candidate to load. Raises Refused (unknown_state_dict)."""
    try:
        return choose(candidates, name, lambda each: _fits(each, file, network))
    except Refused as error:
        sentences = [error.message, *_remark_on_limit(file)]
        raise Refused(" ".join(sentences), code=error.code) from error


def _name_candidate(error: Refused, candidate: Candidate, candidates: list[Candidate]) -> Refused:
    """Return the error with the state dict that it is about, where the file has several."""
    others = [other for other in candidates if other is not candidate]
    if not others:
        return error
    return Refused(
        f"{error.message} This is about the state dict {candidate.name!r}; the setting state_dict "
        f"chooses another: {list_names(others)}.",
        code=error.code,
    )


def _normalization_keys(
    candidate: Candidate, candidates: list[Candidate], constants: frozenset[str]
) -> list[str]:
    """Return the keys of the means and deviations that are the chosen network's.

    They are those whose path in the file has most of its first parts in common with the network's.
    Inside of what holds only another network they are that one's.
    """
    entry = [] if candidate.entry == TOP_LEVEL else candidate.entry.split(".")
    others = {
        other.location[: depth + 1] for other in candidates for depth in range(len(other.location))
    }
    shared_parts = {}
    for key in filter(constant_kind, candidate.match.dropped):
        path = (*([] if key in constants else entry), *key.split("."))
        shared = _count_shared(path, candidate.location)
        container = path[: shared + 1]
        if len(container) == len(path) or container not in others:
            shared_parts[key] = shared
    most = max(shared_parts.values(), default=0)
    return [key for key, shared in shared_parts.items() if shared == most]


def _count_shared(first: Sequence[str], second: Sequence[str]) -> int:
    """Return how many parts two paths have in common, from the beginning."""
    pairs = zip(first, second, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _normalize(
    network: Classifier, buffers: dict[str, Tensor], assumed: AssumedNormalization | None
) -> NormalizationResult:
    """Compare the file's mean and std with the network's; change the network's if assumed."""
    layer = network.normalize
    result = choose_normalization(layer.name, layer.channels, buffers, assumed)
    if result.name != layer.name:
        network.normalize = InputNormalization(result.name, layer.channels)
    return result


def _describe(
    candidate: Candidate,
    candidates: list[Candidate],
    file: CheckpointFile,
    tensors: dict[str, Tensor],
    state: dict[str, Tensor],
) -> ImportReport:
    """Return the report of what was loaded and what was not."""
    match = candidate.match
    declared = file.state_dicts[candidate.entry]
    others = [other for other in candidates if other is not candidate]
    remarks = [
        *_remark_on_others(candidate, others),
        *_remark_on_limit(file),
        *_remark_on_copies(match, tensors),
        *_remark_on_single_numbers(match),
    ]
    return ImportReport(
        renamed=match.renamed,
        dropped=match.dropped + declared.other_keys,
        filled=match.filled,
        converted=_converted(match, declared.tensors, state),
        remarks=remarks,
        state_dict=None if candidate.name == TOP_LEVEL else candidate.name,
        other_state_dicts=[other.name for other in others],
    )


def _list_candidates(file: CheckpointFile, state: dict[str, Tensor]) -> list[Candidate]:
    """Return the sets of weights in the file. Raises Refused where there is none."""
    _check_key_names(list(file.state_dicts))
    for state_dict in file.state_dicts.values():
        _check_key_names([*state_dict.tensors, *state_dict.other_keys])
    if not file.state_dicts:
        raise Refused(
            "The file holds no state dict: no weights by name.", code="unreadable_checkpoint"
        )
    return list_candidates(file.state_dicts, state.keys())


def _fits(candidate: Candidate, file: CheckpointFile, network: Classifier) -> bool:
    """Return whether the network could load the candidate, as far as the declaration tells."""
    declared = file.state_dicts[candidate.entry].tensors
    match = candidate.match
    return (
        match.is_complete
        and not _misshaped(match, declared, network)
        and not _integers(match, declared, network)
    )


def _remark_on_others(candidate: Candidate, others: list[Candidate]) -> list[str]:
    """Return a sentence on the state dicts that were not loaded."""
    names = [repr(other.name) for other in others if other.entry != candidate.entry]
    if not names:
        return []
    return [
        f"The file holds other state dicts than {candidate.name!r}, which was loaded: "
        f"{_list(names)}. The setting state_dict chooses another."
    ]


def _remark_on_limit(file: CheckpointFile) -> list[str]:
    """Return a sentence where not all state dicts of the file were read."""
    if not file.has_more:
        return []
    return [f"Only the first {MAX_STATE_DICTS} state dicts of the file are read; it has more."]


def _remark_on_single_numbers(match: KeyMatch) -> list[str]:
    """Return a sentence on the wrapper's single numbers, which were dropped."""
    if not match.single_numbers:
        return []
    numbers = _list(match.single_numbers)
    return [f"These single numbers are not the network's and were dropped: {numbers}."]


def _remark_on_copies(match: KeyMatch, tensors: dict[str, Tensor]) -> list[str]:
    """Return a sentence on each copy of the network in the same state dict, which was dropped."""
    remarks = []
    for prefix in match.copies[:MAX_KEYS_IN_MESSAGE]:
        differing = [
            key
            for key, file_key in match.file_keys.items()
            if prefix + key in tensors and not _equal(tensors[prefix + key], tensors[file_key])
        ]
        sentence = f"The copy of the network with the prefix {prefix!r} was dropped: it "
        if differing:
            sentence += (
                f"differs from the weights loaded, in {_list(differing)}. "
                "The setting state_dict chooses another."
            )
        else:
            sentence += "equals the weights loaded."
        remarks.append(sentence)
    more = len(match.copies) - len(remarks)
    if more:
        remarks.append(f"{more} more copies of the network were dropped.")
    return remarks


def _equal(first: Tensor, second: Tensor) -> bool:
    return first.dtype == second.dtype and torch.equal(first, second)


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


def _check_match(match: KeyMatch, declared: Declared, network: Classifier) -> None:
    _check_keys(match, declared, network)
    _check_shapes(match, declared, network)


def _check_keys(match: KeyMatch, declared: Declared, network: Classifier) -> None:
    """Raise Refused for missing and unexpected keys, with what the file looks like if known."""
    if match.is_complete:
        return
    code = "missing_keys" if match.missing else "unexpected_keys"
    prefixes = mixed_prefixes(match)
    if prefixes:
        examples = [f"{prefix!r} ({key})" if prefix else key for prefix, key in prefixes.items()]
        raise Refused(
            "The keys have different prefixes, and a wrapper puts the same before all of them: "
            f"{_list(examples)}.",
            code=code,
        )
    explanation = network.explain_unexpected_keys(match.unexpected)
    sentence = _explain_keys(match, declared, network) or explain(
        _shapes(declared), _shapes(network.state_dict())
    )
    if sentence and not explanation:
        raise Refused(sentence, code=code)
    if match.missing:
        sentences = f"The file lacks {_list(match.missing)}."
        if match.unexpected:
            unexpected = _list(match.unexpected)
            sentences += f" It has keys that the network does not know: {unexpected}."
    else:
        sentences = f"The network has no place for {_list(match.unexpected)}."
    raise Refused(f"{sentences} {explanation}".rstrip(), code=code)


def _explain_keys(match: KeyMatch, declared: Declared, network: Classifier) -> str:
    """Return a sentence where the keys alone tell what is wrong; else empty."""
    sentence = explain_reparametrization(match.unexpected)
    if sentence or _misshaped(match, declared, network):
        return sentence
    state = _shapes(network.state_dict())
    missing = {key: state[key] for key in match.missing}
    # A batch norm may have mean and var, which is also what a normalization has.
    for keys in (match.unexpected, [*match.unexpected, *filter(constant_kind, match.dropped)]):
        unexpected = {
            key.removeprefix(match.prefix): declared[key].shape
            for key in keys
            if not key.endswith(BATCH_NORM_COUNTER)
        }
        sentence = sentence or explain_renaming(unexpected, missing)
    return sentence


def _check_shapes(match: KeyMatch, declared: Declared, network: Classifier) -> None:
    """Raise Refused for a shape that neither fits nor can be adapted, and for integer weights."""
    misshaped = _misshaped(match, declared, network)
    if misshaped:
        sentence = explain(_shapes(declared), _shapes(network.state_dict()))
        weights = f"these weights have other shapes than the network's: {_list(misshaped)}"
        if sentence:
            weights = f"for example, {misshaped[0]}"
        raise Refused(
            f"{sentence} {weights[0].upper()}{weights[1:]}.".strip(), code="misshaped_keys"
        )
    for key in _integers(match, declared, network):
        dtype = declared[match.file_keys[key]].dtype
        raise Refused(
            f"{key} is in {dtype}; weights are floating-point numbers.",
            code="unreadable_checkpoint",
        )


def _misshaped(match: KeyMatch, declared: Declared, network: Classifier) -> list[str]:
    """Return the keys whose shapes neither fit nor can be adapted, with both shapes."""
    state = network.state_dict()
    misshaped = []
    for key, file_key in match.file_keys.items():
        shape = declared[file_key].shape
        needed = tuple(state[key].shape)
        if shape != needed and not network.can_adapt(key, shape):
            misshaped.append(f"{key} ({_format(shape)} in the file, {_format(needed)} needed)")
    return misshaped


def _integers(match: KeyMatch, declared: Declared, network: Classifier) -> list[str]:
    """Return the keys that have integers where the network has floating-point numbers."""
    state = network.state_dict()
    return [
        key
        for key, file_key in match.file_keys.items()
        if state[key].is_floating_point() and not declared[file_key].dtype.is_floating_point
    ]


def _shapes(tensors: Mapping[str, DeclaredTensor | Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}


def _to_network_format(tensor: Tensor, target: Tensor) -> Tensor:
    """Return the tensor in the target's number format.

    A counter that overflowed becomes 0: nothing reads it.
    """
    if tensor.is_floating_point() and not target.is_floating_point():
        # Also of infinity and NaN.
        is_countable = tensor.double().abs() < MAX_COUNT
        tensor = tensor.where(is_countable, torch.zeros_like(tensor))
    return tensor.to(target.dtype)


def _check_numbers(weights: dict[str, Tensor]) -> None:
    """Raise Refused for numbers with which the network computes nothing."""
    keys = [key for key, tensor in weights.items() if not tensor.isfinite().all()]
    if keys:
        raise Refused(f"Not all numbers are finite in {_list(keys)}.", code="non_finite_weights")
    for key, tensor in weights.items():
        is_never_negative = key.endswith(("running_var", BATCH_NORM_COUNTER))
        if is_never_negative and bool((tensor < 0).any()):
            raise Refused(
                f"{key} has a negative number, {tensor.min().item():g}: the variances and counters "
                "of a batch norm are 0 or more.",
                code="negative_variance",
            )


def _converted(match: KeyMatch, declared: Declared, state: dict[str, Tensor]) -> dict[str, str]:
    dtypes = {key: declared[file_key].dtype for key, file_key in match.file_keys.items()}
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
