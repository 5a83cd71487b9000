"""Matching the keys of a third-party checkpoint with a network's own.

A wrapper's prefix is removed, whatever its name, and keys that belong to no network are dropped.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from core.distillation.models.checkpoint_files.key_names import constant_kind, split_words

UNUSED_KEY = re.compile(r"(^|\.)(sub_block1\..*|n_averaged)$")
"""A copy of the first block, which TRADES' networks have and never use, and the counter of averaged
models."""
BATCH_NORM_COUNTER = "num_batches_tracked"
PARAMETER_WORDS = frozenset(
    {
        *("weight", "bias", "scale", "temperature", "tau", "alpha", "beta", "gamma", "factor"),
        *("slope", "t"),
    }
)
"""Words in the names of single numbers that a network may compute with."""


@dataclass(frozen=True)
class KeyMatch:
    """How a file's keys match a network's."""

    file_keys: dict[str, str]
    """The file's key, by the network's."""
    dropped: list[str]
    """The file's keys that no network uses."""
    filled: list[str]
    """The network's batch norm counters that the file lacks, as older files do."""
    missing: list[str]
    """The network's keys without a match."""
    unexpected: list[str]
    """The file's keys without a match."""
    prefix: str
    """What a wrapper has put before the network's keys; empty for none."""
    copies: list[str]
    """Prefixes of further copies of the network, all of whose keys are dropped."""
    single_numbers: list[str]
    """Those dropped that are single numbers of a wrapper: num_updates, decay, step, ..."""

    @property
    def renamed(self) -> dict[str, str]:
        """The network's key, by the file's, where they differ."""
        return {file_key: key for key, file_key in self.file_keys.items() if file_key != key}

    @property
    def is_complete(self) -> bool:
        return not self.missing and not self.unexpected


def match_keys(
    file_keys: Iterable[str],
    network_keys: Collection[str],
    prefix: str,
    copies: Collection[str] = (),
    single_numbers: Collection[str] = (),
) -> KeyMatch:
    """Return how a file's keys match a network's.

    ``prefix``: what stands before the network's keys in the file. ``copies``: all prefixes under
    which the file has a whole copy of the network. ``single_numbers``: which of the keys are those
    of tensors without dimensions.
    """
    file_keys = sorted(file_keys)
    prefixes = {prefix, *copies}
    ignored = {key for key in file_keys if key not in network_keys and is_ignored(key)}
    numbers = set(single_numbers) - ignored
    counters = {key for key in numbers if _is_wrappers_number(key, prefixes, network_keys)}
    others = [copy for copy in copies if copy != prefix]
    copied = {copy + key for copy in others for key in network_keys}
    by_network_key = {
        key.removeprefix(prefix): key
        for key in file_keys
        if key.startswith(prefix) and key not in ignored
    }
    absent = [key for key in network_keys if key not in by_network_key]
    matched = {key: by_network_key[key] for key in network_keys if key in by_network_key}
    dropped = [key for key in file_keys if key in ignored or key in copied or key in counters]
    known = {*matched.values(), *dropped}
    return KeyMatch(
        file_keys=matched,
        dropped=dropped,
        filled=[key for key in absent if _is_counter(key)],
        missing=[key for key in absent if not _is_counter(key)],
        unexpected=[key for key in file_keys if key not in known],
        prefix=prefix,
        copies=others,
        single_numbers=sorted(counters),
    )


def _is_wrappers_number(key: str, prefixes: Collection[str], network_keys: Collection[str]) -> bool:
    """Return whether a single number is a counter or a decay of what holds a network.

    It stands before one of the network's prefixes, not inside of the network.
    """
    parent, _, name = key.rpartition(".")
    is_outside = not parent or any(prefix.startswith(f"{parent}.") for prefix in prefixes)
    is_networks = any(key.removeprefix(prefix) in network_keys for prefix in prefixes)
    is_parameter = _is_counter(key) or bool(PARAMETER_WORDS & set(split_words(name)))
    return is_outside and not is_networks and not is_parameter


def find_copies(file_keys: Collection[str], network_keys: Collection[str]) -> list[str]:
    """Return the prefixes under which the file has every key of the network, shortest first.

    Batch norm counters may be missing.
    """
    needed = [key for key in network_keys if not _is_counter(key)]
    anchor = needed[0]
    prefixes = {key.removesuffix(anchor) for key in file_keys if key.endswith(anchor)}
    copies = [
        prefix
        for prefix in prefixes
        if _is_prefix(prefix) and all(prefix + key in file_keys for key in needed)
    ]
    return sorted(copies, key=lambda prefix: (prefix.count("."), prefix))


def mixed_prefixes(match: KeyMatch) -> dict[str, str]:
    """Return one of the file's keys for each prefix, where different keys have different ones.

    It is empty unless the file has every key of the network under some prefix, and no other key.
    """
    examples: dict[str, str] = {}
    for file_key in match.file_keys.values():
        examples.setdefault(match.prefix, file_key)
    remaining = {key for key in match.unexpected if not _is_counter(key)}
    for key in match.missing:
        matches = sorted(name for name in remaining if f".{name}".endswith(f".{key}"))
        if not matches:
            return {}
        shortest = min(matches, key=len)
        remaining.discard(shortest)
        examples.setdefault(shortest.removesuffix(key), shortest)
    return {} if remaining else examples


@lru_cache(maxsize=10_000)  # each copy of a network in a file asks for all of the file's keys
def is_ignored(key: str) -> bool:
    """Return whether no network uses a key of this name."""
    return constant_kind(key) is not None or UNUSED_KEY.search(key) is not None


def closest_prefix(file_keys: Iterable[str], network_keys: Collection[str]) -> str:
    """Return the prefix that makes most of the file's keys the network's.

    Where it makes fewer than half of the network's, it is what all of the file's keys have in
    common.
    """
    keys = [key for key in file_keys if not is_ignored(key)]
    counts = Counter(
        prefix
        for key in keys
        for prefix in _prefixes(key)
        if key.removeprefix(prefix) in network_keys
    )
    if counts:
        # Of equals the shortest: a block may have keys that are also the network's.
        prefix, count = min(counts.items(), key=lambda item: (-item[1], len(item[0])))
        if 2 * count >= len(network_keys):
            return prefix
    common = set.intersection(*(set(_prefixes(key)) for key in keys)) if keys else set()
    return max(common, key=len, default="")


def _prefixes(key: str) -> Iterator[str]:
    """Yield the beginnings of a key that end with a dot, and the empty one."""
    yield ""
    for match in re.finditer(r"\.", key):
        yield key[: match.end()]


def _is_prefix(text: str) -> bool:
    return not text or text.endswith(".")


def _is_counter(key: str) -> bool:
    return key.endswith(BATCH_NORM_COUNTER)
