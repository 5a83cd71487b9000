"""Lines as a log shows them: text of bounded length, without secrets, control characters and paths
of this machine.
"""

import re
import sys
from pathlib import Path

from core import logs
from core.errors import strip_paths
from worker.logs.line_splitter import MAX_RAW_LINE_BYTES

MAX_LINE_BYTES = 4096
PARTIAL_SECRET_CHARACTERS = MAX_RAW_LINE_BYTES - MAX_LINE_BYTES
"""At the end of a line that was cut: what may be the beginning of a secret."""
_TERMINAL_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")
"""Colors, cursor movements and window titles."""
_INVISIBLE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
"""Control characters but the tab, and those that hide or reorder the characters around them."""


class LineCleaner:
    """Cleans the lines of one attempt. ``job_folder``: its paths are shown relative to it."""

    def __init__(self, job_folder: Path) -> None:
        folders = {str(job_folder), str(job_folder.resolve()), *sys.path, sys.prefix}
        folders |= {sys.base_prefix, str(Path(sys.base_prefix).resolve())}
        prefixes = sorted((f"{folder}/" for folder in folders if len(folder) > 1), key=len)
        self._prefixes = re.compile("|".join(map(re.escape, reversed(prefixes))))

    def clean(self, line: bytes, dropped_bytes: int = 0) -> str:
        """Return the text of a line; ``dropped_bytes``: how many more it had."""
        size = len(line) + dropped_bytes
        is_complete = size == len(line) and size <= MAX_RAW_LINE_BYTES
        text = self._clean_text(line[:MAX_RAW_LINE_BYTES].decode(errors="replace"))
        if not is_complete:
            text = text[:-PARTIAL_SECRET_CHARACTERS]
        visible = text.encode()[:MAX_LINE_BYTES].decode(errors="ignore")
        if is_complete and visible == text:
            return text
        return f"{visible} … {size - len(visible.encode()):,} bytes cut"

    def _clean_text(self, text: str) -> str:
        text = logs.redact(_TERMINAL_SEQUENCE.sub("", text))
        text = strip_paths(self._prefixes.sub("", text))
        return _INVISIBLE.sub(_make_visible, text)


def _make_visible(match: re.Match[str]) -> str:
    """Return ␛ for an escape, and a code such as \\u202e for a character without a picture."""
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"\\u{code:04x}"
