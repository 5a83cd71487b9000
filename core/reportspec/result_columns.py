"""A result as a column of a list: what jobs and models are sorted and filtered by.

    autoattack@linf:8/255              of the network that stands for the job: the best student, or
                                       the model that an evaluation measured
    last:autoattack@linf:8/255         of the last epoch's student

A bound on a column is written as in a formula: ``>=0.5``, ``<0.9``, or two with a comma between.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from core.reportspec.measures import ACCURACIES, ATTACKS, NUMBERS, UNDER_ATTACK, describe
from core.reportspec.threat_model import parse_threat_model

Network = Literal["best", "last", "model"]
NETWORKS: tuple[Network, ...] = get_args(Network)
MAIN_NETWORKS = ("best", "model")
"""That stand for a job: the student of the best epoch, and the model that an evaluation measured.
"""
Comparison = Literal[">=", "<=", ">", "<"]
MAX_KEY_LENGTH = 200
WITH_STEPS = frozenset({"pgd", "cw", "held_out_pgd"})
WITH_THREAT_MODEL = frozenset({*ATTACKS, *UNDER_ATTACK, "held_out_pgd"})
_BOUND = re.compile(
    r"\s*(>=|<=|>|<)\s*"
    r"(-?(?:[0-9]{1,15}(?:\.[0-9]{0,25})?|\.[0-9]{1,25})(?:[eE]-?[0-9]{1,2})?)\s*"
)


@dataclass(frozen=True)
class ResultColumn:
    """A measure's key, on one network of each job."""

    key: str
    network: Network | None = None
    """None: the network that stands for the job."""

    @property
    def text(self) -> str:
        return self.key if self.network is None else f"{self.network}:{self.key}"


@dataclass(frozen=True)
class ResultBound:
    """A condition on a result, such as ``>= 0.5``. A result that is missing does not meet it."""

    column: ResultColumn
    comparison: Comparison
    value: float


def parse_column(text: str) -> ResultColumn:
    """Return the column that ``text`` names, its radius written as keys write it.

    Raises ValueError, with a sentence, for what can be no key of a result.
    """
    prefix, colon, rest = text.partition(":")
    network = next((name for name in NETWORKS if colon and name == prefix), None)
    # An unescaped + in an address is read as a space, and a key has none.
    return ResultColumn(_parse_key((text if network is None else rest).replace(" ", "+")), network)


def parse_bounds(column: ResultColumn, text: str) -> Iterator[ResultBound]:
    """Yield the bounds in ``text``. Raises ValueError, with a sentence."""
    for part in text.split(","):
        match = _BOUND.fullmatch(part)
        if match is None:
            raise ValueError(
                f"{part[:40]!r} is no bound on {column.text}: write >=0.5, <=0.9, or both with a "
                "comma between them."
            )
        comparison: Comparison = match[1]  # type: ignore[assignment]
        yield ResultBound(column, comparison, float(match[2]))


def _parse_key(text: str) -> str:
    measure = describe(text) if len(text) <= MAX_KEY_LENGTH else None
    if measure is None or measure.name not in {**ACCURACIES, **NUMBERS}:
        raise ValueError(
            f"{text[:60]!r} is no key of a result; write one such as clean, "
            "pgd-20@linf:8/255 or autoattack@linf:8/255."
        )
    if measure.name in WITH_STEPS and measure.steps is None:
        raise ValueError(f"{text[:60]!r} lacks its steps, as in {measure.name}-20@linf:8/255.")
    if measure.name not in WITH_THREAT_MODEL:
        return text
    threat_model = measure.threat_model
    if threat_model is None or not math.isfinite(threat_model.radius):
        raise ValueError(
            f"{text[:60]!r} lacks its threat model, as in {text.partition('@')[0][:40]}@linf:8/255."
        )
    attack, _, rest = text.partition("@")
    threat, hash_sign, run = rest.partition("#")
    canonical = parse_threat_model(threat)
    return f"{attack}@{canonical.key if canonical else threat}{hash_sign}{run}"
