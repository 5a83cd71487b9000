"""Every random draw of a job is a function of its seed and of where the job stands, so that resuming needs no saved generator."""

import hashlib

import torch


def derive(seed: int, *where: str | int) -> int:
    """A seed of its own for every place: ``derive(seed, "augmentation", step)``. Below 2^63."""
    text = "/".join(map(str, (seed, *where)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(device: torch.device | str, seed: int, *where: str | int) -> torch.Generator:
    return torch.Generator(device).manual_seed(derive(seed, *where))
