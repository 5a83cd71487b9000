"""A small stand-in for what ``npm run build`` writes to dashboard/dist."""

import gzip
from pathlib import Path

SCRIPT = b"console.log('the dashboard');\n" * 100
PAGE = """<!doctype html>
<html lang="en">
  <head>
    <base href="/" />
    <meta name="distill-root" content="" />
    <script type="module" crossorigin src="./assets/app-1a2b.js"></script>
  </head>
</html>
"""


def build_dashboard(folder: Path, page: str = PAGE) -> None:
    """Write the page, a script, its compressed forms, and files without a hash in their names."""
    assets = folder / "assets"
    assets.mkdir(parents=True, exist_ok=True)
    (assets / "app-1a2b.js").write_bytes(SCRIPT)
    # Nothing here decodes brotli: the bytes only have to be told from the others.
    (assets / "app-1a2b.js.br").write_bytes(b"brotli")
    (assets / "app-1a2b.js.gz").write_bytes(gzip.compress(SCRIPT))
    (assets / "app-3c4d.css").write_text("body { margin: 0 }")
    (assets / "icon-5e6f.svg").write_text("<svg/>")
    (assets / ".hidden.js").write_text("hidden")
    (folder / "theme.js").write_text("theme()")
    (folder / "index.html").write_text(page)
