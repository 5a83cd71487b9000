"""Which service, and with which key: arguments first, then the environment, then the embedded service's own folder."""

import ipaddress
import os
from pathlib import Path

from httpx2 import URL, InvalidURL

from client.errors import ClientError

DEFAULT_URL = "http://127.0.0.1:8321"


def home() -> Path:
    """The embedded service's folder."""
    return Path(os.environ.get("DISTILL_HOME") or "distill-data")


def find_url() -> str:
    """DISTILL_URL, or where the embedded service says that it is."""
    return os.environ.get("DISTILL_URL") or _line_of(home() / "url") or DEFAULT_URL


def find_api_key(url: str) -> str | None:
    """DISTILL_API_KEY, or the embedded service's first key, which is never sent to another machine."""
    return os.environ.get("DISTILL_API_KEY") or (
        _line_of(home() / "admin.key") if is_local(url) else None
    )


def checked_url(text: str) -> str:
    """Without a slash at its end. Raises ClientError for what is no address."""
    try:
        url = URL(text)
    except InvalidURL as error:
        raise ClientError(f"{text!r} is not an address: {error}.") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise ClientError(f"{text!r} is not an address such as {DEFAULT_URL}.")
    return text.rstrip("/")


def is_local(url: str) -> bool:
    host = URL(url).host
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _line_of(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(f"{path} cannot be read: {error}.") from error
