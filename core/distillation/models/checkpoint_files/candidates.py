"""Which of the weights in a file are loaded: a file may hold several copies of a network."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from core.distillation.models.checkpoint_files.declared_tensors import DeclaredStateDict
from core.distillation.models.checkpoint_files.key_mapping import (
    KeyMatch,
    closest_prefix,
    find_copies,
    match_keys,
)
from core.distillation.models.checkpoint_files.key_names import split_words
from core.distillation.models.checkpoint_files.state_dicts import TOP_LEVEL
from core.errors import Refused

USUAL_NAMES = (
    *("state_dict", "model_state_dict", "net", "model", "network", "best", "final", "student"),
)
"""Names under which training scripts save the weights that they evaluate, most usual first."""
SECONDARY_NAMES = frozenset(
    {
        *("ema", "swa", "avg", "average", "averaged", "shadow", "momentum", "target"),
        *("polyak", "ma", "slow", "last", "latest", "old", "prev", "previous", "init", "initial"),
        *("teacher", "attacker", "optimizer"),
    }
)
"""Words in the names of weights that are saved beside those."""
MAX_NAMES_IN_MESSAGE = 10
MAX_COPIES = 100
"""Most copies of the network within state dicts that can be chosen; any more are dropped unread."""


@dataclass(frozen=True)
class Candidate:
    """One copy of a network's weights in a file."""

    name: str
    """For people: the state dict's name and, where it holds several copies, the copy's prefix."""
    entry: str
    """Name of the state dict that holds it."""
    match: KeyMatch

    @property
    def location(self) -> tuple[str, ...]:
        """Where in the file the network's keys are: the parts of the entry and of the prefix."""
        entry = [] if self.entry == TOP_LEVEL else self.entry.split(".")
        return (*entry, *self.match.prefix.split(".")[:-1])


def list_candidates(
    state_dicts: Mapping[str, DeclaredStateDict], network_keys: Collection[str]
) -> list[Candidate]:
    """Return every copy that could be loaded, the preferred one first."""
    candidates: list[Candidate] = []
    for entry, state_dict in state_dicts.items():
        tensors = state_dict.tensors
        singles = [key for key, tensor in tensors.items() if tensor.shape == ()]
        copies = find_copies(tensors, network_keys)
        # Every state dict can be chosen, if not all of the copies in it.
        prefixes = copies[: max(1, MAX_COPIES - len(candidates))]
        for prefix in prefixes or [closest_prefix(tensors, network_keys)]:
            match = match_keys(tensors, network_keys, prefix, copies, singles)
            name = entry if len(copies) < 2 else _join(entry, match.prefix)
            candidates.append(Candidate(name, entry, match))
    return sorted(candidates, key=_rank)


def choose(
    candidates: list[Candidate], name: str | None, fits: Callable[[Candidate], bool]
) -> Candidate:
    """Return the candidate of this name or, without one, the first that fits.

    Where none fits, it is the one with most keys of the network, and of those the one with most
    keys: a loss function may have weights, too. A name may be a part: "best" is also
    "best.state_dict". Raises Refused (unknown_state_dict) where no candidate, or more than one, has
    the name.
    """
    if name is not None:
        candidates = _named(candidates, name)
    fitting = next(filter(fits, candidates), None)
    return fitting or max(candidates, key=_matched_keys)


def _matched_keys(candidate: Candidate) -> tuple[int, int]:
    match = candidate.match
    return len(match.file_keys), len(match.unexpected)


def list_names(candidates: Iterable[Candidate]) -> str:
    """Return the candidates' names for a message: the first few, and how many more."""
    known = [repr(candidate.name) for candidate in candidates]
    listing = ", ".join(known[:MAX_NAMES_IN_MESSAGE])
    if len(known) > MAX_NAMES_IN_MESSAGE:
        listing += f" and {len(known) - MAX_NAMES_IN_MESSAGE} more"
    return listing


def _named(candidates: list[Candidate], name: str) -> list[Candidate]:
    exact = [candidate for candidate in candidates if name in (candidate.name, candidate.entry)]
    if exact:
        return exact
    partial = [candidate for candidate in candidates if f".{name}." in f".{candidate.name}."]
    if len(partial) == 1:
        return partial
    listing = list_names(candidates)
    if any(candidate.name == TOP_LEVEL for candidate in candidates):
        listing += f"; {TOP_LEVEL!r} is the outermost"
    problem = "has no state dict" if not partial else "has more than one state dict"
    raise Refused(f"The file {problem} {name!r}; it has {listing}.", code="unknown_state_dict")


def _rank(candidate: Candidate) -> tuple[bool, int, int]:
    """Return the sort key: averages and teachers last, then by usual names, then outer ones."""
    parts = [] if candidate.name == TOP_LEVEL else candidate.name.split(".")
    words = {word for part in parts for word in split_words(part)}
    usual = [USUAL_NAMES.index(part) for part in parts[-1:] if part in USUAL_NAMES]
    position = 0 if not parts else next(iter(usual), len(USUAL_NAMES))
    return bool(words & SECONDARY_NAMES), position, len(parts)


def _join(entry: str, prefix: str) -> str:
    parts = [part for part in (entry, prefix.rstrip(".")) if part and part != TOP_LEVEL]
    return ".".join(parts) or TOP_LEVEL
