"""Which host names the service answers to, and which web pages may call it.

Checked before anything else about a request. The Host check stops DNS rebinding: a stranger's page
whose name resolves to this machine for a moment would be of the service's own origin, but the
browser still sends that name as Host. An IP address as Host cannot be rebound, so where the service
listens on all addresses, every IP address is accepted.
"""

import ipaddress
import re
import socket

from fastapi import Request

from api.http.problems import WrongOrigin
from core.settings import Settings, split_commas

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
WILDCARD_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104
_HOST = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_.-]+))(?::[0-9]{1,5})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class AllowedOrigins:
    """The host names and page origins of one installation, from its settings."""

    def __init__(self, settings: Settings) -> None:
        self.listens_everywhere = settings.host in WILDCARD_ADDRESSES
        own_name = socket.gethostname() if self.listens_everywhere else settings.host
        self.host_names = {
            *LOOPBACK_NAMES,
            own_name.lower(),
            *(name.lower().strip("[]") for name in split_commas(settings.allowed_hosts)),
        }
        self.pages = {page.lower().rstrip("/") for page in split_commas(settings.allowed_origins)}

    def rejection(self, request: Request) -> WrongOrigin | None:
        """Return the error to answer with; None for a request that may go on."""
        hosts = request.headers.getlist("host")
        host = hosts[0].lower() if len(hosts) == 1 else ""
        if not self._is_own_host(host):
            return WrongOrigin(
                "The Host header names a host that this service does not answer to.",
                code="wrong_host",
            )
        origins = request.headers.getlist("origin")
        if origins and not self._may_call(origins, request.scope["scheme"], host):
            return WrongOrigin("Pages of this origin may not call this service.")
        return None

    def _is_own_host(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match["address"] or match["name"]
        return name in self.host_names or (self.listens_everywhere and _is_ip_address(name))

    def _may_call(self, origins: list[str], scheme: str, host: str) -> bool:
        """Whether the page is the service's own or an allowed one.

        Behind a proxy that ends TLS the service itself sees ``http``, so an ``https`` page of the
        same host counts as its own; an ``http`` page never counts as that of an ``https`` service.
        """
        origin = origins[0].lower()
        page_scheme, _, page_host = origin.partition("://")
        default_port = _DEFAULT_PORTS.get(page_scheme)
        if len(origins) > 1 or default_port is None:
            return False
        same_host = page_host.removesuffix(default_port) == host.removesuffix(default_port)
        is_own_page = same_host and (page_scheme == "https" or scheme == "http")
        return is_own_page or origin in self.pages


def _is_ip_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
