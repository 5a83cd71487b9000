"""Random draws as a function of the job's seed, their purpose, and the step.

A resumed job repeats an undisturbed one without saved generators.
"""

import hashlib

import torch


def derive(seed: int, *purpose: str | int) -> int:
    """Return a seed below 2^63 for a purpose, such as ``derive(seed, "augmentation", step)``."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(device: torch.device | str, seed: int, *purpose: str | int) -> torch.Generator:
    """Return a generator on ``device`` with the seed of a purpose."""
    return torch.Generator(device).manual_seed(derive(seed, *purpose))
