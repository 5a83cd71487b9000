"""State dicts inside a checkpoint, and the constants that a script saved beside them.

A checkpoint may hold several state dicts: raw and averaged weights, those of the best and of the
last epoch, a student's and its teacher's.
"""

import math
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from core.distillation.models.checkpoint_files.declared_tensors import (
    DeclaredStateDict,
    DeclaredTensor,
)
from core.distillation.models.checkpoint_files.normalization_layers import NORMALIZATION_KEY

TOP_LEVEL = "."
"""Name of a state dict that is the file's outermost dict."""
MAX_CONTAINERS = 10_000
MAX_STATE_DICTS = 100
MAX_NAMES = 4
"""Most names under which one dict is listed: a pickled dict can contain itself."""
CONSTANTS = 3
"""Numbers of a mean or a standard deviation that is saved beside a state dict, one a channel."""
MAX_PIXEL = 255


def find_state_dicts(tree: Any) -> dict[str, dict[Any, Any]]:
    """Return the state dicts by name, outer ones first: dicts that hold a tensor named weight.

    Tensors are DeclaredTensors or tensors. A name is the path of keys, "model.state_dict_ema".
    """
    state_dicts: dict[str, dict[Any, Any]] = {}
    for path, node in _containers(tree):
        if isinstance(node, dict) and _holds_weights(node) and len(state_dicts) < MAX_STATE_DICTS:
            state_dicts.setdefault(".".join(path) or TOP_LEVEL, node)
    return state_dicts


def find_constants(tree: Any) -> dict[str, Any]:
    """Return means and standard deviations by path of keys: three numbers, or a tensor of three.

    Tensors of a state dict are left out: they are among its own.
    """
    constants: dict[str, Any] = {}
    for path, node in _containers(tree):
        if not isinstance(node, dict):
            continue
        in_state_dict = _holds_weights(node)
        for key, value in node.items():
            if not isinstance(key, str) or not NORMALIZATION_KEY.search(key):
                continue
            if _is_list_of_constants(value) or (not in_state_dict and _is_constant_tensor(value)):
                constants.setdefault(".".join((*path, key)), value)
    return constants


def declare(state_dict: dict[Any, Any], constants: dict[str, Any]) -> DeclaredStateDict:
    """Return what a state dict holds. ``constants`` count as its own."""
    entries = tensors_of(state_dict, constants)
    other_keys = sorted(str(key) for key in state_dict if key not in entries)
    return DeclaredStateDict({key: _declare(value) for key, value in entries.items()}, other_keys)


def tensors_of(state_dict: dict[Any, Any], constants: dict[str, Any]) -> dict[str, Any]:
    """Return tensors and constants by key; the state dict's own take precedence."""
    tensors = {
        key: value
        for key, value in state_dict.items()
        if isinstance(key, str) and isinstance(value, Tensor | DeclaredTensor)
    }
    return constants | tensors


def to_tensor(value: Any) -> Tensor:
    """Return a tensor as it is, and three numbers as a tensor."""
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float32)


def _declare(value: Any) -> DeclaredTensor:
    if isinstance(value, DeclaredTensor):
        return value
    if isinstance(value, Tensor):
        return DeclaredTensor(value.dtype, tuple(value.shape))
    return DeclaredTensor(torch.float32, (len(value),))


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
        children = node.items() if isinstance(node, dict) else enumerate(node)
        queue.extend(
            ((*path, str(key)), child)
            for key, child in children
            if isinstance(child, dict | list | tuple) and child
        )


def _holds_weights(node: dict[Any, Any]) -> bool:
    return any(
        isinstance(key, str)
        and isinstance(value, Tensor | DeclaredTensor)
        and "weight" in key.rpartition(".")[2]
        for key, value in node.items()
    )


def _is_list_of_constants(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == CONSTANTS
        and all(type(number) in (int, float) and abs(number) <= MAX_PIXEL for number in value)
    )


def _is_constant_tensor(value: Any) -> bool:
    is_tensor = isinstance(value, Tensor | DeclaredTensor)
    return is_tensor and math.prod(value.shape) == CONSTANTS
