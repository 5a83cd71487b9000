"""Matching the keys of a third-party checkpoint with a network's own.

Prefixes of wrappers are removed, and keys that belong to no network here are dropped.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

PREFIXES = ("module.", "model.", "_orig_mod.", "0.", "1.")
"""Prefixes that a wrapper puts before every key: DataParallel and weight averaging, RobustBench,
torch.compile, Sequential(normalize, network)."""
MAX_WRAPPERS = 16
NORMALIZATION_KEY = re.compile(r"(^|\.)(mean|std|mu|sigma)$")
UNUSED_KEY = re.compile(r"(^|\.)(sub_block1\..*|n_averaged)$")
"""A copy of the first block, which TRADES' networks have and never use, and the counter of averaged
models."""
BATCH_NORM_COUNTER = "num_batches_tracked"


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

    @property
    def renamed(self) -> dict[str, str]:
        """The network's key, by the file's, where they differ."""
        return {file_key: key for key, file_key in self.file_keys.items() if file_key != key}


def match_keys(file_keys: Iterable[str], network_keys: Collection[str]) -> KeyMatch:
    """Return how a file's keys match a network's."""
    file_keys = sorted(file_keys)
    dropped = [key for key in file_keys if key not in network_keys and _is_ignored(key)]
    remaining = [key for key in file_keys if key not in set(dropped)]
    prefix = _common_prefix(remaining, network_keys)
    by_network_key = {key.removeprefix(prefix): key for key in remaining}
    absent = [key for key in network_keys if key not in by_network_key]
    return KeyMatch(
        file_keys={key: by_network_key[key] for key in network_keys if key in by_network_key},
        dropped=dropped,
        filled=[key for key in absent if key.endswith(BATCH_NORM_COUNTER)],
        missing=[key for key in absent if not key.endswith(BATCH_NORM_COUNTER)],
        unexpected=[
            file_key for key, file_key in by_network_key.items() if key not in network_keys
        ],
    )


def _is_ignored(key: str) -> bool:
    return bool(NORMALIZATION_KEY.search(key) or UNUSED_KEY.search(key))


def _common_prefix(keys: list[str], network_keys: Collection[str]) -> str:
    """Return the longest run of PREFIXES that every key begins with.

    It is empty where the keys are the network's already.
    """
    common = ""
    for _ in range(MAX_WRAPPERS):
        if any(key.removeprefix(common) in network_keys for key in keys):
            break
        candidates = (
            prefix for prefix in PREFIXES if all(key.startswith(common + prefix) for key in keys)
        )
        common += next(candidates, "")
    return common
