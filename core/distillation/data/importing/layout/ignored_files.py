"""The files of an upload that its import does not use: each with a reason, all of them counted."""

from collections import Counter
from typing import Any

from core.distillation.data.quoting import quote

MAX_NAMED = 20
"""Files that a report names; all are counted."""

HIDDEN = "hidden"
DESKTOP = "left behind by a desktop"
NOT_AN_IMAGE = "not an image"
UNREAD_FORMAT = "of an image format that is not read; save it as PNG or JPEG"
EMPTY_FOLDER = "an empty folder"
BROKEN_LINK = "a link that leads nowhere"
CIRCULAR_LINK = "a link that leads in a circle"
FOLDER_READ_BEFORE = "the same folder as one that is read elsewhere"
FILE_READ_BEFORE = "the same file as one that is read elsewhere"
SPECIAL_FILE = "neither a file nor a folder"
OUTSIDE_CLASSES = "outside of the class folders"
UNUSED_FOLDER = "in a folder that is not used"
OTHER_CLASS = "of a class that is not imported"


class IgnoredFiles:
    """How many files are ignored for each reason, and the names of the first.

    What it holds does not grow with their number.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, list[str]] = {}

    def __len__(self) -> int:
        return self._counts.total()

    def add(self, path: str, reason: str) -> None:
        self._counts[reason] += 1
        names = self._first.setdefault(reason, [])
        if len(names) < MAX_NAMED:
            names.append(quote(path)[1:-1])

    def as_json(self) -> list[dict[str, Any]]:
        """Return an entry for each reason: ``reason``, ``files`` and the ``first`` by name."""
        named = self._named()
        return [
            {"reason": reason, "files": count, "first": self._first[reason][: named[reason]]}
            for reason, count in self._counts.items()
        ]

    def summary(self) -> str:
        """Return a sentence for a refusal that may be due to ignored files; empty without any."""
        if not self._counts:
            return ""
        reasons = "; ".join(
            f"{count} {reason} (such as {quote(self._first[reason][0])})"
            for reason, count in self._counts.items()
        )
        return f" Ignored: {reasons}."

    def _named(self) -> Counter[str]:
        """Return how many files of each reason are named: no reason's crowd hides another's."""
        named: Counter[str] = Counter()
        for position in range(MAX_NAMED):
            for reason, names in self._first.items():
                if position < len(names) and named.total() < MAX_NAMED:
                    named[reason] += 1
        return named
