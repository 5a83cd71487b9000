"""A network's state dict as the bytes of a safetensors file.

The file has the family's own keys; tensors are contiguous, floating-point numbers are fp32.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from core.distillation.models.network import Classifier
from core.errors import CorruptObject

MAX_KEYS_IN_MESSAGE = 5


def serialize_weights(network: Classifier, metadata: dict[str, str] | None = None) -> bytes:
    """Return the state dict as a safetensors file, with ``metadata`` in its header."""
    tensors = {key: _canonical(tensor) for key, tensor in network.state_dict().items()}
    return save(tensors, metadata)


def load_weights(network: Classifier, path: Path) -> None:
    """Load a file that ``serialize_weights`` made into the network.

    Raises CorruptObject where the file does not have exactly this network's keys and shapes.
    """
    try:
        _load_all(network, load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise CorruptObject(
            f"{path.name} does not hold the weights of a {type(network).__name__}: {error}"
        ) from error


def load_backbone(network: Classifier, tensors: dict[str, Tensor]) -> list[str]:
    """Load weights of the same architecture, which may have a classifier for other classes.

    Such a classifier is not loaded: its keys are returned, and the network's own values remain.
    Raises CorruptObject, with the network unchanged, where keys or shapes differ elsewhere.
    """
    state = network.state_dict()
    prefix = f"{network.classifier_name}."
    differing = [key for key in state if key in tensors and tensors[key].shape != state[key].shape]
    retained: list[str] = []
    if any(key.startswith(prefix) for key in differing):
        retained = [key for key in state if key.startswith(prefix)]
    wrong = sorted(state.keys() ^ tensors.keys())
    wrong += [key for key in differing if key not in retained]
    if wrong:
        keys = ", ".join(wrong[:MAX_KEYS_IN_MESSAGE])
        raise CorruptObject(
            f"These are not weights of this {type(network).__name__}; "
            f"keys or shapes that differ: {keys}."
        )
    network.load_state_dict({**tensors, **{key: state[key] for key in retained}})
    return retained


def _load_all(network: Classifier, tensors: dict[str, Tensor]) -> None:
    # load_state_dict alone accepts a batch norm without its counter.
    missing = sorted(network.state_dict().keys() - tensors.keys())
    if missing:
        raise RuntimeError(f"it lacks {', '.join(missing)}")
    network.load_state_dict(tensors)


def _canonical(tensor: Tensor) -> Tensor:
    """Return the tensor on the CPU, contiguous, in fp32 if it is floating-point."""
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point():
        tensor = tensor.float()
    return tensor.contiguous(memory_format=torch.contiguous_format)
