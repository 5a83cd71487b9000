"""Cookies: their names, their attributes, and when that of a session counts.

Behind TLS a cookie is Secure and its name begins with ``__Host-`` or ``__Secure-``, so that no page
of another host name can set it. Without TLS its name ends with the port: browsers send cookies to
every port of a host, and several services may run on one machine.
"""

from dataclasses import dataclass
from typing import Literal

from fastapi import Request, Response

from api.http.problems import WrongOrigin

SAFE_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Cookie:
    """One cookie of the service, HttpOnly."""

    name: str
    same_site: Literal["strict", "lax"]

    def read(self, request: Request) -> str | None:
        """Return the value. Over TLS only the cookie with the protected name counts."""
        names = [_protected_name(self.name, request)]
        if request.scope["scheme"] != "https":
            names.append(_plain_name(self.name, request))
        return next((request.cookies[name] for name in names if name in request.cookies), None)

    def save(
        self, request: Request, response: Response, value: str, max_age_seconds: float
    ) -> None:
        """Set the cookie; with 0 seconds remove it."""
        is_secure = _is_secure(request)
        name = _protected_name(self.name, request) if is_secure else _plain_name(self.name, request)
        response.set_cookie(
            name,
            value,
            max_age=round(max_age_seconds),
            path=_path(request),
            secure=is_secure,
            httponly=True,
            samesite=self.same_site,
        )


SESSION = Cookie("distill-session", "strict")
SIGN_IN = Cookie("distill-sign-in", "lax")
"""What the browser keeps while a person is at the OIDC provider. Lax: the way back is a link from
another site."""


def read_session(request: Request) -> str | None:
    """Return the session's token; None where there is no such cookie.

    Raises WrongOrigin for a request that another site has made the browser send: a change must
    name the page that sends it, and that page must be an allowed one (``allowed_origins`` has
    checked that already); anything else must not come from another site.
    """
    token = SESSION.read(request)
    if token is None:
        return None
    site = request.headers.get("sec-fetch-site", "")
    if request.method in SAFE_METHODS:
        if site == "cross-site":
            raise WrongOrigin("Pages of another site may not use this session.")
    elif "origin" not in request.headers and site != "same-origin":
        raise WrongOrigin(
            "A change made with a session needs the Origin header of one of the service's pages."
        )
    return token


def _is_secure(request: Request) -> bool:
    """Return whether the browser has reached the service by TLS.

    A proxy that is not trusted to say so leaves the scheme at ``http``; the Origin of the service's
    own page says it as well.
    """
    origin = f"https://{request.headers.get('host', '')}"
    return request.scope["scheme"] == "https" or request.headers.get("origin") == origin


def _path(request: Request) -> str:
    """Return the path of the service as the browser sees it."""
    root_path: str = request.app.state.settings.root_path
    return root_path or "/"


def _protected_name(name: str, request: Request) -> str:
    """Return the name that browsers accept over TLS only; ``__Host-`` needs the path ``/``."""
    return f"__Host-{name}" if _path(request) == "/" else f"__Secure-{name}"


def _plain_name(name: str, request: Request) -> str:
    port = request.headers.get("host", "").rpartition(":")[2]
    return f"{name}-{port}" if port.isdigit() else name
