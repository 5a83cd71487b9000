"""What a browser has to load before the first page is of use."""

from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page

from tests.dashboard.browsing import open_page

MAX_GZIPPED_BYTES = 250_000


def test_first_script_has_at_most_250_kb(page: Page, built_dashboard: Path) -> None:
    """All scripts that the overview loads, as they are compressed with gzip."""
    paths: set[str] = set()
    page.on(
        "request",
        lambda request: (
            paths.add(urlsplit(request.url).path) if request.resource_type == "script" else None
        ),
    )
    open_page(page, "/")
    sizes = {path: gzipped_size(built_dashboard / path.lstrip("/")) for path in paths}
    assert sizes
    assert sum(sizes.values()) <= MAX_GZIPPED_BYTES, sizes


def gzipped_size(file: Path) -> int:
    """Of a small file, which is not compressed, the size itself."""
    compressed = file.with_name(f"{file.name}.gz")
    return (compressed if compressed.exists() else file).stat().st_size
