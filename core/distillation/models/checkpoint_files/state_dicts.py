"""State dicts inside a checkpoint, and the constants that a script saved beside them.

A checkpoint may hold several state dicts: raw and averaged weights, those of the best and of the
last epoch, a student's and its teacher's.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from core.distillation.models.checkpoint_files.declared_tensors import (
    DeclaredStateDict,
    DeclaredTensor,
)
from core.distillation.models.checkpoint_files.key_names import (
    MAX_KEY_CHARACTERS,
    ConstantKind,
    split_constant,
    split_words,
)
from core.distillation.models.normalization import MEAN_AND_STD

TOP_LEVEL = "."
"""Name of a state dict that is the file's outermost dict."""
MAX_CONTAINERS = 10_000
MAX_STATE_DICTS = 100
MAX_NAMES = 4
"""Most names under which one dict is listed: a pickled dict can contain itself."""
MAX_CHANNELS = 3
MAX_NESTED_LISTS = 4
MAX_PIXEL = 255
METRIC_WORDS = frozenset(
    {
        *("loss", "losses", "acc", "accuracy", "error", "err", "nll", "ece", "lr", "grad", "time"),
        *("metric", "metrics", "history", "log", "logs", "result", "results", "score", "scores"),
    }
)
"""Words of names under which a mean and std are those of a result, not of images."""


def find_state_dicts(tree: Any) -> dict[str, dict[Any, Any]]:
    """Return the state dicts by name, outer ones first: dicts that hold a tensor named weight.

    Tensors are DeclaredTensors or tensors. A name is the path of keys, "model.state_dict_ema".
    There is at most one more than MAX_STATE_DICTS, which tells that not all are read.
    """
    state_dicts: dict[str, dict[Any, Any]] = {}
    for path, node in _containers(tree):
        if isinstance(node, dict) and _holds_weights(node) and len(state_dicts) <= MAX_STATE_DICTS:
            state_dicts.setdefault(".".join(path) or TOP_LEVEL, node)
    return state_dicts


def find_constants(tree: Any) -> dict[str, Any]:
    """Return means and standard deviations by path of keys: numbers, one a channel, or tensors.

    They count in pairs, a mean and a std or variance in one dict. Tensors of a state dict are left
    out: they are among its own.
    """
    constants: dict[str, Any] = {}
    for path, node in _containers(tree):
        name = ".".join(path)
        if not isinstance(node, dict) or METRIC_WORDS & set(split_words(name)):
            continue
        for key, value in _find_pairs(node, path).items():
            constants.setdefault(f"{name}.{key}" if name else key, value)
    return constants


def _find_pairs(node: dict[Any, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """Return a dict's constants: those with a partner whose name has the same other words."""
    pairs: dict[tuple[str, ...], dict[ConstantKind, str]] = {}
    for key, value in node.items():
        constant = split_constant(key) if isinstance(key, str) and _is_constant(value) else None
        if constant is not None and "." not in key and not METRIC_WORDS & set(constant[1]):
            pairs.setdefault(constant[1], {})[constant[0]] = key
    in_state_dict = _holds_weights(node)
    return {
        key: node[key]
        for words, keys in pairs.items()
        if "mean" in keys and len(keys) > 1 and _are_of_images(node, keys, (*path, *words))
        for key in keys.values()
        if not (in_state_dict and _is_tensor(node[key]))
    }


def _are_of_images(
    node: dict[Any, Any], keys: Mapping[ConstantKind, str], names: tuple[str, ...]
) -> bool:
    """Return whether a pair is of images: two single numbers may be those of a result.

    They are of images where a name says normalization, or they are those of a known one.
    """
    values = {kind: node[key] for kind, key in keys.items()}
    if not all(type(value) in (int, float) for value in values.values()):
        return True
    says_so = any(word.startswith("norm") for word in split_words(".".join(names)))
    known = ((mean, std) for mean, std in filter(None, MEAN_AND_STD.values()))
    return says_so or (values.get("mean"), values.get("std")) in [
        (mean[0], std[0]) for mean, std in known if len({*mean}) == len({*std}) == 1
    ]


def numbers_of(value: Any, depth: int = MAX_NESTED_LISTS) -> list[float]:
    """Return the numbers of a list like [0.5, 0.5, 0.5] or [[[0.5]], [[0.5]], [[0.5]]].

    It is empty for other values, and for more numbers than an image has channels.
    """
    if type(value) in (int, float):
        return [value] if abs(value) <= MAX_PIXEL**2 else []
    # torch.Size and other tuples with names are no lists of numbers.
    if type(value) not in (list, tuple) or len(value) > MAX_CHANNELS or not depth:
        return []
    parts = [numbers_of(part, depth - 1) for part in value]
    numbers = [number for part in parts for number in part]
    return numbers if all(parts) and len(numbers) in (1, MAX_CHANNELS) else []


def declare(state_dict: dict[Any, Any], constants: dict[str, Any]) -> DeclaredStateDict:
    """Return what a state dict holds. ``constants`` were found beside it."""
    entries = tensors_of(state_dict, constants)
    own = tensors_of(state_dict, {})
    other_keys = sorted(str(key) for key in state_dict if key not in entries)
    return DeclaredStateDict(
        {key: _declare(value) for key, value in entries.items()},
        other_keys,
        frozenset(constants.keys() - own.keys()),
    )


def tensors_of(state_dict: dict[Any, Any], constants: dict[str, Any]) -> dict[str, Any]:
    """Return tensors and constants by key; the state dict's own take precedence."""
    tensors = {
        key: value
        for key, value in state_dict.items()
        if isinstance(key, str) and _is_tensor(value)
    }
    return constants | tensors


def to_tensor(value: Any) -> Tensor:
    """Return a tensor as it is, and numbers as a tensor."""
    if isinstance(value, Tensor):
        return value
    return torch.tensor(numbers_of(value), dtype=torch.float32)


def _declare(value: Any) -> DeclaredTensor:
    if isinstance(value, DeclaredTensor):
        return value
    if isinstance(value, Tensor):
        return DeclaredTensor(value.dtype, tuple(value.shape))
    return DeclaredTensor(torch.float32, (len(numbers_of(value)),))


def _containers(tree: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield dicts, lists and tuples with their paths, outer ones first."""
    queue: deque[tuple[tuple[str, ...], Any]] = deque([((), tree)])
    visits: Counter[int] = Counter()
    for _ in range(MAX_CONTAINERS):
        if not queue:
            return
        path, node = queue.popleft()
        visits[id(node)] += 1
        if not isinstance(node, dict | list | tuple) or visits[id(node)] > MAX_NAMES:
            continue
        yield path, node
        if sum(map(len, path)) > MAX_KEY_CHARACTERS:
            continue  # a state dict of this name is refused, and its children's are longer
        children = node.items() if isinstance(node, dict) else enumerate(node)
        queue.extend(
            ((*path, str(key)[: MAX_KEY_CHARACTERS + 1]), child)
            for key, child in children
            if isinstance(child, dict | list | tuple) and child
        )


def _holds_weights(node: dict[Any, Any]) -> bool:
    return any(
        isinstance(key, str) and _is_tensor(value) and "weight" in key.rpartition(".")[2]
        for key, value in node.items()
    )


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor | DeclaredTensor)


def _is_constant(value: Any) -> bool:
    """Return whether it has one number a channel, or one for all, or a tensor for every pixel."""
    if not _is_tensor(value):
        return bool(numbers_of(value))
    shape = tuple(value.shape)
    sizes = [size for size in shape if size != 1]
    return sizes in ([], [MAX_CHANNELS]) or (len(sizes) == 3 and MAX_CHANNELS in sizes)
