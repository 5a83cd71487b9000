"""/docs: Swagger UI without the internet and without a line of inline script."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse

from core.errors import NotFound

HERE = Path(__file__).parent / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>distill: REST interface</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/assets/docs.js"></script>
</body>
</html>
"""
router = APIRouter(prefix="/docs", include_in_schema=False)


def _assets() -> dict[str, tuple[Path, str]]:
    """The package is looked up, not imported: only its files are wanted."""
    spec = find_spec("fastapi_offline")
    package = Path(spec.origin).parent / "static" if spec is not None and spec.origin else HERE
    return {
        "docs.js": (HERE / "docs.js", "text/javascript"),
        "swagger-ui-bundle.js": (package / "swagger-ui-bundle.js", "text/javascript"),
        "swagger-ui.css": (package / "swagger-ui.css", "text/css"),
    }


ASSETS = _assets()


@router.get("")
async def page() -> HTMLResponse:
    return HTMLResponse(
        PAGE, headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    )


@router.get("/assets/{name}")
async def asset(name: str) -> FileResponse:
    if name not in ASSETS or not ASSETS[name][0].is_file():
        raise NotFound("There is nothing at this address.")
    path, media_type = ASSETS[name]
    return FileResponse(
        path, media_type=media_type, headers={"Cache-Control": "public, max-age=3600"}
    )
