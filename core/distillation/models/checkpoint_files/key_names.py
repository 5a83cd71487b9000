"""Words in the names of keys, and which keys are a mean, a standard deviation or a variance."""

import re
from typing import Literal

ConstantKind = Literal["mean", "std", "var"]

MAX_KEY_CHARACTERS = 200
CONSTANT_WORDS: dict[ConstantKind, frozenset[str]] = {
    "mean": frozenset({"mean", "means", "mu", "mus"}),
    "std": frozenset(
        {
            *("std", "stds", "sigma", "sigmas", "stdev", "stdevs", "stddev", "stddevs"),
            *("sd", "sds", "deviation", "deviations"),
        }
    ),
    "var": frozenset({"var", "vars", "variance", "variances"}),
}
SUFFIXES = frozenset(
    {
        *("rgb", "bgr", "vec", "vector", "tensor", "list", "value", "values", "buffer"),
        *("per", "channel", "channels", "dev", "255", "1"),
    }
)
"""Words that may follow: mean_rgb, std_dev, mean_per_channel."""
OTHER_STATISTICS = frozenset({"running", "moving", "weight", "bias"})
"""Words of a batch norm's statistics, and of distributions of weights."""
WORD_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+")


def split_words(name: str) -> list[str]:
    """Return the words of a name in lower case: modelEMA and model_ema are model and ema."""
    return [word.lower() for word in WORD_BOUNDARY.split(name) if word]


def split_constant(key: str) -> tuple[ConstantKind, tuple[str, ...]] | None:
    """Return which constant a key is by its last part, and the words before; None for others.

    mean, mu, new_std, pixel_mean, _std, MEAN, normMean, mean_rgb, ...
    """
    if len(key) > MAX_KEY_CHARACTERS:
        return None
    words = split_words(key.rpartition(".")[2])
    while len(words) > 1 and words[-1] in SUFFIXES:
        words.pop()
    if not words or OTHER_STATISTICS & set(words):
        return None
    for kind, names in CONSTANT_WORDS.items():
        if words[-1] in names:
            return kind, tuple(words[:-1])
    return None


def constant_kind(key: str) -> ConstantKind | None:
    """Return which constant of a normalization a key is by its name; None for other keys."""
    constant = split_constant(key)
    return None if constant is None else constant[0]
