"""A network's weights as bytes: safetensors, the family's own keys, contiguous, floats in fp32."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from core.distillation.models.network import Classifier
from core.errors import CorruptObject

MOST_NAMED = 5


def serialize_weights(network: Classifier, metadata: dict[str, str] | None = None) -> bytes:
    """The state dict as a safetensors file; ``metadata`` is kept in its header."""
    return save({key: _canonical(tensor) for key, tensor in network.state_dict().items()}, metadata)


def load_weights(network: Classifier, path: Path) -> None:
    """Put the weights of a file that ``to_bytes`` made into the network.

    Raises CorruptObject where the file does not hold exactly this network's keys and shapes.
    """
    try:
        _put(network, load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise CorruptObject(
            f"{path.name} does not hold the weights of a {type(network).__name__}: {error}"
        ) from error


def load_backbone(network: Classifier, tensors: dict[str, Tensor]) -> list[str]:
    """Put weights of the same architecture into the network, be it with a classifier for other classes.

    Such a classifier's keys are returned by name; the network's own values stay there.
    Raises CorruptObject, with the network as it was, where keys or shapes differ elsewhere.
    """
    own = network.state_dict()
    prefix = f"{network.classifier_name}."
    differing = [key for key in own if key in tensors and tensors[key].shape != own[key].shape]
    kept = (
        [key for key in own if key.startswith(prefix)]
        if any(key.startswith(prefix) for key in differing)
        else []
    )
    wrong = sorted(own.keys() ^ tensors.keys()) + [key for key in differing if key not in kept]
    if wrong:
        named = ", ".join(wrong[:MOST_NAMED])
        raise CorruptObject(
            f"These are not weights of this {type(network).__name__}; keys or shapes that differ: {named}."
        )
    network.load_state_dict({**tensors, **{key: own[key] for key in kept}})
    return kept


def _put(network: Classifier, tensors: dict[str, Tensor]) -> None:
    # load_state_dict alone forgives a batch norm that lacks its counter.
    lacking = sorted(network.state_dict().keys() - tensors.keys())
    if lacking:
        raise RuntimeError(f"it lacks {', '.join(lacking)}")
    network.load_state_dict(tensors)


def _canonical(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).contiguous(
        memory_format=torch.contiguous_format
    )
