"""Which service to use, and with which API key.

An argument comes first, then the environment variable, then the folder of the embedded service on
this machine.
"""

import ipaddress
import os
from pathlib import Path

from httpx2 import URL, InvalidURL

from distill_client.errors import ClientError

DEFAULT_URL = "http://127.0.0.1:8321"


def home() -> Path:
    """Return the embedded service's folder: DISTILL_HOME, or ``distill-data``."""
    return Path(os.environ.get("DISTILL_HOME") or "distill-data")


def default_url() -> str:
    """Return DISTILL_URL, or the address that the embedded service has written down."""
    return os.environ.get("DISTILL_URL") or _read_line(home() / "url") or DEFAULT_URL


def default_api_key(url: str) -> str | None:
    """Return DISTILL_API_KEY, or the embedded service's first key.

    The latter is never sent to another machine.
    """
    key = os.environ.get("DISTILL_API_KEY")
    if not key and is_local(url):
        key = _read_line(home() / "admin.key")
    return key or None


def validate_url(text: str) -> str:
    """Return the address without a trailing slash. Raises ClientError if it is not an address."""
    try:
        url = URL(text)
    except InvalidURL as error:
        raise ClientError(f"{text!r} is not an address: {error}.") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise ClientError(f"{text!r} is not an address such as {DEFAULT_URL}.")
    return text.rstrip("/")


def is_local(url: str) -> bool:
    """Return whether the address is on this machine."""
    host = URL(url).host
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read_line(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig").strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(f"{path} cannot be read: {error}.") from error
