"""/docs: Swagger UI, served without any other server and without inline scripts."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse

from core.errors import NotFound

STATIC_FOLDER = Path(__file__).parent / "static"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
# Relative addresses: the page may lie under a root path.
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>distill: REST interface</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/assets/docs.js"></script>
</body>
</html>
"""
router = APIRouter(prefix="/docs", include_in_schema=False)


def _find_assets() -> dict[str, tuple[Path, str]]:
    """Return path and media type of each asset by name.

    The package ``fastapi_offline`` is located, not imported: only its files are needed.
    """
    spec = find_spec("fastapi_offline")
    package_folder = STATIC_FOLDER
    if spec is not None and spec.origin:
        package_folder = Path(spec.origin).parent / "static"
    return {
        "docs.js": (STATIC_FOLDER / "docs.js", "text/javascript"),
        "swagger-ui-bundle.js": (package_folder / "swagger-ui-bundle.js", "text/javascript"),
        "swagger-ui.css": (package_folder / "swagger-ui.css", "text/css"),
    }


ASSETS = _find_assets()


@router.get("")
async def page() -> HTMLResponse:
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": "no-cache"}
    return HTMLResponse(PAGE, headers=headers)


@router.get("/assets/{name}")
async def asset(name: str) -> FileResponse:
    if name not in ASSETS or not ASSETS[name][0].is_file():
        raise NotFound("There is nothing at this address.")
    path, media_type = ASSETS[name]
    headers = {"Cache-Control": "public, max-age=3600"}
    return FileResponse(path, media_type=media_type, headers=headers)
