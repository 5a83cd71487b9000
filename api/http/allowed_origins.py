"""Where a request comes from: the name that it was sent to and the web page that sent it, before anything else is looked at.

DNS rebinding: a stranger's page whose name resolves to this machine for a moment would be of the service's own origin; but
its browser sends that name as Host. An address as Host cannot be made to lead elsewhere: where the service listens at
every address, each is one of its own.
"""

import ipaddress
import re
import socket

from fastapi import Request

from api.http.problems import WrongOrigin
from core.settings import Settings, split_commas

OWN_NAMES = ("localhost", "127.0.0.1", "::1")
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104
_HOST = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_.-]+))(?::[0-9]{1,5})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class AllowedOrigins:
    def __init__(self, settings: Settings) -> None:
        self.everywhere = settings.host in EVERY_ADDRESS
        self.names = {
            *OWN_NAMES,
            *(name.lower().strip("[]") for name in split_commas(settings.allowed_hosts)),
        }
        self.names |= {socket.gethostname().lower()} if self.everywhere else {settings.host.lower()}
        self.pages = {page.lower().rstrip("/") for page in split_commas(settings.allowed_origins)}

    def rejection(self, request: Request) -> WrongOrigin | None:
        hosts = request.headers.getlist("host")
        host = hosts[0].lower() if len(hosts) == 1 else ""
        if not self._is_ours(host):
            return WrongOrigin(
                "This service is not known by the name that the request was sent to.",
                code="wrong_host",
            )
        origins = request.headers.getlist("origin")
        if origins and not self._may_call(origins, request.scope["scheme"], host):
            return WrongOrigin("Pages of this origin may not call this service.", code="wrong_origin")
        return None

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found["address"] or found["name"]
        return name in self.names or (self.everywhere and _is_address(name))

    def _may_call(self, origins: list[str], scheme: str, host: str) -> bool:
        """A page's own scheme may be safer than the service's, which may stand behind a proxy; never the other way round."""
        origin = origins[0].lower()
        theirs, _, place = origin.partition("://")
        default = _DEFAULT_PORTS.get(theirs)
        if len(origins) > 1 or default is None:
            return False
        same = place.removesuffix(default) == host.removesuffix(default) and (
            theirs == "https" or scheme == "http"
        )
        return same or origin in self.pages


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
