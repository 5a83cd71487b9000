"""Logs of the serving processes: structured, on standard error, and without secrets.

Every text passes ``redacted`` on its way out: structlog's as the last thing, those of the libraries when they are made,
with their tracebacks, whatever handler they go to.
"""

import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import structlog

from core.settings import Settings

REDACTED = "[redacted]"
MIN_SECRET_LENGTH = 6
"""What is shorter cannot be told from ordinary text."""
_PATTERNS = (
    (re.compile(r"\bdk_[A-Za-z0-9_-]{6,}"), f"dk_{REDACTED}"),
    (re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{6,}"), rf"\1{REDACTED}"),
    (
        re.compile(
            r"(?i)(authorization\W{1,8}(?:b[\"'])?(?:basic|digest|token|negotiate)\s+)[^\"'\r\n]+"
        ),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"(://[^\s/:@]*):[^\s/]+@"), rf"\1:{REDACTED}@"),
    (
        re.compile(
            r"(?i)\b(x-amz-(?:signature|credential|security-token)|signature|sig)=[^&\s\"']+"
        ),
        rf"\1={REDACTED}",
    ),
)
_SECRET_NAME = re.compile(r"(?i)secret|passw|token|api_?key|access_?key|bootstrap_?key|credential")
_known: set[str] = set()
"""Secrets of this process, in every form in which a log may hold them."""


def configure(settings: Settings) -> None:
    _remember(settings)
    renderer = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
            _redact,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.setLogRecordFactory(_record)
    sys.excepthook = _last_words
    threading.excepthook = lambda it: _last_words(it.exc_type, it.exc_value, it.exc_traceback)


def redact(text: str) -> str:
    """Without API keys, passwords in URLs, signatures, Authorization headers, and the secrets of this process's own setup."""
    for secret in _known:
        text = text.replace(secret, REDACTED)
    for pattern, shown in _PATTERNS:
        text = pattern.sub(shown, text)
    return text


def _redact(logger: object, name: str, rendered: Any) -> str:
    """A processor, behind the one that makes the text."""
    return redact(rendered)


def _remember(settings: Settings) -> None:
    environment = (value for name, value in os.environ.items() if _SECRET_NAME.search(name))
    for secret in {part for value in (*settings.secrets, *environment) for part in _parts(value)}:
        _known.update(
            {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
        )


def _parts(secret: str) -> Iterable[str]:
    """Of a URL its password alone: the rest of it is worth reading."""
    parts = urlsplit(secret) if "://" in secret else None
    found = [secret] if parts is None else [parts.password or "", unquote(parts.password or "")]
    return [part for part in found if len(part) >= MIN_SECRET_LENGTH]


class _record(logging.LogRecord):  # noqa: N801 - called as a function
    """A library's record, made of redacted text before any handler sees it."""

    def getMessage(self) -> str:
        return redact(super().getMessage())

    def __init__(self, *arguments: object, **more: object) -> None:
        super().__init__(*arguments, **more)  # type: ignore[arg-type]
        if self.exc_info and self.exc_info[0] is not None:
            self.exc_text = redact("".join(traceback.format_exception(*self.exc_info)).rstrip())
            self.exc_info = None


def _last_words(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))
