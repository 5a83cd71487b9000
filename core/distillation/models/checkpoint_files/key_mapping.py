"""From the keys of other people's checkpoints to a family's own: wrappers' prefixes off, what belongs to no network out."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

PREFIXES = ("module.", "model.", "_orig_mod.", "0.", "1.")
"""What DataParallel and weight averaging, RobustBench, torch.compile and Sequential(normalize, network) put before every key."""
MOST_WRAPPERS = 16
NORMALIZATION = re.compile(r"(^|\.)(mean|std|mu|sigma)$")
UNUSED_KEY = re.compile(r"(^|\.)(sub_block1\..*|n_averaged)$")
"""A copy of the first block that TRADES' networks carry and never use, and the counter of averaged models."""
BATCH_NORM_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class KeyMatch:
    """How a file's keys answer to a network's."""

    file_keys: dict[str, str]
    """The file's key, by the network's."""
    dropped: list[str]
    """The file's keys that no network uses."""
    filled: list[str]
    """The network's batch norm counters that the file lacks; older files do not have them."""
    missing: list[str]
    """The network's keys without an answer."""
    unexpected: list[str]
    """The file's keys that the network does not know."""

    @property
    def renamed(self) -> dict[str, str]:
        return {old: new for new, old in self.file_keys.items() if old != new}


def match_keys(found: Iterable[str], wanted: Collection[str]) -> KeyMatch:
    found = sorted(found)
    dropped = [
        key
        for key in found
        if key not in wanted and (NORMALIZATION.search(key) or UNUSED_KEY.search(key))
    ]
    kept = [key for key in found if key not in set(dropped)]
    prefix = _common_wrapping(kept, wanted)
    old = {key.removeprefix(prefix): key for key in kept}
    absent = [key for key in wanted if key not in old]
    return KeyMatch(
        file_keys={new: old[new] for new in wanted if new in old},
        dropped=dropped,
        filled=[key for key in absent if key.endswith(BATCH_NORM_COUNTER)],
        missing=[key for key in absent if not key.endswith(BATCH_NORM_COUNTER)],
        unexpected=[key for new, key in old.items() if new not in wanted],
    )


def _common_wrapping(keys: list[str], wanted: Collection[str]) -> str:
    """The longest run of PREFIXES that every key begins with; none where the keys are the network's already."""
    wrapping = ""
    for _ in range(MOST_WRAPPERS):
        if any(key.removeprefix(wrapping) in wanted for key in keys):
            break
        wrapping += next(
            (
                prefix
                for prefix in PREFIXES
                if all(key.startswith(wrapping + prefix) for key in keys)
            ),
            "",
        )
    return wrapping
