"""Seeds are functions of the job's seed and their purpose, the same in every version."""

import hashlib

import torch

from core.distillation import seeds


def test_seed_is_half_of_the_first_eight_bytes_of_a_digest() -> None:
    """A stored job that resumes relies on it."""
    for seed, purpose, text in (
        (0, ("split",), "0/split"),
        (7, ("augmentation", 12), "7/augmentation/12"),
        (3, ("autoattack", "square", 0), "3/autoattack/square/0"),
    ):
        digest = hashlib.sha256(text.encode()).hexdigest()
        assert seeds.derive(seed, *purpose) == int(digest[:16], 16) // 2


def test_seeds_are_below_2_to_the_63() -> None:
    drawn = [seeds.derive(0, "order", epoch) for epoch in range(200)]
    assert all(0 <= seed < 2**63 for seed in drawn)
    assert len(set(drawn)) == 200
    assert max(drawn) > 2**62


def test_generator_has_the_seed_of_its_purpose() -> None:
    generator = seeds.generator("cpu", 5, "extra", 2)
    assert generator.initial_seed() == seeds.derive(5, "extra", 2)
    assert generator.device == torch.device("cpu")
