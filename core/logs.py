"""Logs of API and worker: structured, on standard error, without secrets.

Every text passes through ``redact``: those of structlog in the last processor, those of libraries
when their log record is made, with the traceback, so that it does not matter which handler they go
to.
"""

import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import structlog

from core.settings import Settings

REDACTED = "[redacted]"
MIN_SECRET_LENGTH = 6
"""Shorter texts are not treated as secrets: they would match ordinary words."""
_PATTERNS = (
    (re.compile(r"\b(dk[st]?_)[A-Za-z0-9_-]{6,}"), rf"\1{REDACTED}"),
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
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), REDACTED),
    (
        re.compile(
            r"(?i)\b(aws_?(?:secret_?access_?key|session_?token)[\"']?\s*[:=]\s*[\"']?)"
            r"[A-Za-z0-9/+=]{16,}"
        ),
        rf"\1{REDACTED}",
    ),
)
_HIDDEN_FIELDS = ("event", "level", "timestamp", "job", "attempt", "exception")
_SECRET_NAME = re.compile(r"(?i)secret|passw|token|api_?key|access_?key|bootstrap_?key|credential")
_secrets: set[str] = set()
"""The secrets of this process, in every form in which a log may contain them."""
_sinks: dict[tuple[Any, Any], Callable[[str], None]] = {}
"""By job and attempt, what gets the lines about it."""


def configure(settings: Settings) -> None:
    """Set up structlog, the logging module and the printing of uncaught exceptions."""
    _register_secrets(settings)
    renderer: structlog.typing.Processor
    if settings.log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _forward,
            renderer,
            _redact_rendered,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.setLogRecordFactory(_RedactedRecord)
    sys.excepthook = _print_exception
    threading.excepthook = lambda args: _print_exception(
        args.exc_type, args.exc_value, args.exc_traceback
    )


@contextmanager
def forwarding(job_id: str, attempt: int, sink: Callable[[str], None]) -> Iterator[None]:
    """Let ``sink`` have every line, too, that is bound to this job and attempt, as plain text.

    The text is redacted. A traceback makes it several lines.
    """
    _sinks[job_id, attempt] = sink
    try:
        yield
    finally:
        del _sinks[job_id, attempt]


def redact(text: str) -> str:
    """Replace API keys, passwords in URLs, signatures, Authorization headers, and every secret
    among the settings and environment variables of this process.
    """
    # Known secrets first: a pattern might replace a part of one and so hide it from this search.
    for secret in _secrets:
        text = text.replace(secret, REDACTED)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _forward(
    logger: object, name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Forward a line to the sink of its attempt: a structlog processor."""
    sink = _sinks.get((event.get("job"), event.get("attempt")))
    if sink is not None:
        sink(redact(_plain_text(event)))
    return event


def _plain_text(event: MutableMapping[str, Any]) -> str:
    level = "" if event.get("level") == "info" else f"{event.get('level')}: "
    fields = "".join(
        f"  {name}={value}" for name, value in event.items() if name not in _HIDDEN_FIELDS
    )
    trace = f"\n{event['exception']}" if event.get("exception") else ""
    return f"{level}{event.get('event')}{fields}{trace}"


def _redact_rendered(logger: object, name: str, rendered: Any) -> str:
    """Redact a rendered line: a structlog processor that follows the renderer."""
    return redact(rendered)


def _register_secrets(settings: Settings) -> None:
    environment = [value for name, value in os.environ.items() if _SECRET_NAME.search(name)]
    for value in (*settings.secrets, *environment):
        for secret in _secret_parts(value):
            _secrets.update(
                {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
            )


def _secret_parts(value: str) -> list[str]:
    """Return what is secret in a value: of a URL only the password, so that logs show the rest."""
    secrets = [value]
    if "://" in value:
        password = urlsplit(value).password or ""
        secrets = [password, unquote(password)]
    return [secret for secret in secrets if len(secret) >= MIN_SECRET_LENGTH]


class _RedactedRecord(logging.LogRecord):
    """A log record of a library, redacted before any handler gets it."""

    def getMessage(self) -> str:
        return redact(super().getMessage())

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        # A handler would format the exception itself; it gets the redacted text instead.
        if self.exc_info and self.exc_info[0] is not None:
            self.exc_text = redact("".join(traceback.format_exception(*self.exc_info)).rstrip())
            self.exc_info = None


def _print_exception(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    """Print an uncaught exception, redacted."""
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))
