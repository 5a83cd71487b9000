"""The dashboard: the pages and files that are built into ``dashboard/dist``, beside this package.

Every page is the same index.html, whose script shows what the address names; it gets the root path
written into it. Only files that are listed in the folder are served, under the names that they are
listed by, so no address leads out of it.
"""

import hashlib
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

from fastapi import Request, Response
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from api.http.conditional import is_not_modified
from api.http.negotiation import preferred_encoding

FOLDER = Path(__file__).parents[1] / "dashboard" / "dist"
PAGES = frozenset(
    {"compare", "datasets", "jobs", "models", "operate", "sign-in", "submit", "sweeps"}
)
"""First part of the address of every page but the first: the dashboard's router has the same."""
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
NOT_BUILT = (
    "The dashboard has not been built: `./run up` builds it; "
    "the REST interface, described at docs, works without it.\n"
)
HASHED_FOLDER = "assets/"
"""What lies in it has a hash of its content in its name, and so never changes."""
_SUFFIXES = {"br": ".br", "gzip": ".gz"}
"""File names of the encodings that files are compressed in beforehand, the smallest first."""
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
"""Written out: Python's own table depends on the machine."""
_BASE = re.compile(r'<base href="[^"]*"\s*/?>')
_ROOT = re.compile(r'<meta name="distill-root" content="[^"]*"\s*/?>')


@dataclass(frozen=True)
class Build:
    """What was built last: the page, and the paths of all files by name and encoding."""

    stamp: tuple[int, ...]
    page: bytes
    files: dict[str, dict[str, Path]]


class DashboardRoute(BaseRoute):
    """The last route: matches the addresses of pages, and of files that there are."""

    path = "(dashboard)"

    def __init__(self, folder: Path, root_path: str) -> None:
        self.folder = folder
        self.root_path = root_path
        self._build: Build | None = None

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or not self._exists(scope["path"].removeprefix("/")):
            return Match.NONE, {}
        is_read = scope["method"] in {"GET", "HEAD"}
        return Match.FULL if is_read else Match.PARTIAL, {"route": self, "path_params": {}}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in {"GET", "HEAD"}:
            raise HTTPException(405)
        response = self.respond(Request(scope, receive))
        await response(scope, receive, send)

    def respond(self, request: Request) -> Response:
        """Return the page or the file at the request's path, which exists."""
        build = self.build()
        name = request.scope["path"].removeprefix("/")
        if build is None:
            return PlainTextResponse(NOT_BUILT, 503)
        if name in build.files:
            return _file(request, name, build.files[name])
        return _page(request, build.page)

    def build(self) -> Build | None:
        """Return what was built last, read again whenever it has changed; None where nothing was.

        A folder's time changes when files are added to it: compressed ones are added last.
        """
        try:
            folders = (self.folder, self.folder / HASHED_FOLDER, self.folder / "index.html")
            stamp = tuple(path.stat().st_mtime_ns for path in folders)
            if self._build is None or self._build.stamp != stamp:
                self._build = _read_build(self.folder, self.root_path, stamp)
        except FileNotFoundError:
            return None
        return self._build

    def _exists(self, name: str) -> bool:
        if not name or name.partition("/")[0] in PAGES:
            return True
        build = self.build()
        return build is not None and name in build.files


def _read_build(folder: Path, root_path: str, stamp: tuple[int, ...]) -> Build:
    files: dict[str, dict[str, Path]] = {}
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."]
    for path in paths:
        if path.suffix in _MEDIA_TYPES and path.name != "index.html":
            variants = {name: path.with_name(path.name + end) for name, end in _SUFFIXES.items()}
            files[path.relative_to(folder).as_posix()] = {
                **{name: variant for name, variant in variants.items() if variant.is_file()},
                "identity": path,
            }
    html = (folder / "index.html").read_text("utf-8")
    root = escape(root_path)
    html = _BASE.sub(f'<base href="{root}/">', html, count=1)
    html = _ROOT.sub(f'<meta name="distill-root" content="{root}">', html, count=1)
    return Build(stamp, html.encode(), files)


def _page(request: Request, page: bytes) -> Response:
    etag = f'"{hashlib.sha256(page).hexdigest()[:32]}"'
    headers = {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "ETag": etag,
    }
    if is_not_modified(request, etag):
        return Response(status_code=304, headers=headers)
    return HTMLResponse(page, headers=headers)


def _file(request: Request, name: str, variants: dict[str, Path]) -> Response:
    encoding = preferred_encoding(request, list(variants))
    path = variants[encoding]
    stat = path.stat()
    etag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}-{encoding}"'
    is_hashed = name.startswith(HASHED_FOLDER)
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable" if is_hashed else "no-cache",
        "ETag": etag,
        "Vary": "Accept-Encoding",
    }
    if is_not_modified(request, etag):
        return Response(status_code=304, headers=headers)
    if encoding != "identity":
        headers["Content-Encoding"] = encoding
    media_type = _MEDIA_TYPES[Path(name).suffix]
    return FileResponse(path, headers=headers, media_type=media_type, stat_result=stat)
