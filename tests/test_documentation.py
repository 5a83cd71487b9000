"""Every page of the documentation is found from its index, and every link leads somewhere."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INDEX = ROOT / "docs" / "README.md"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "client" / "README.md"])
LINK = re.compile(r"\]\(([^)\s]+)\)")


def links(page: Path) -> Iterator[Path]:
    """Files that the page links to; code blocks and other sites are left out."""
    text = re.sub(r"(?m)^( {4}|```).*$", "", page.read_text())
    for target in LINK.findall(text):
        if not target.startswith(("https:", "http:", "#", "mailto:")):
            yield (page.parent / target.partition("#")[0]).resolve()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page: Path) -> None:
    assert [link for link in links(page) if not link.exists()] == []


def test_every_page_is_found_from_the_index() -> None:
    reached = {INDEX}
    waiting = [INDEX]
    while waiting:
        for link in links(waiting.pop()):
            if link.suffix == ".md" and link.is_relative_to(ROOT / "docs") and link not in reached:
                reached.add(link)
                waiting.append(link)
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - reached == set()


@pytest.mark.parametrize("part", ["API", "store", "trainer"])
def test_architecture_shows_the_layers_of_the_import_contracts(part: str) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(
        contract["layers"]
        for contract in contracts["contracts"]
        if contract["name"] == f"Inside the {part}"
    )
    expected = " > ".join(layer for layer in layers if layer != "__main__")
    page = " ".join((ROOT / "docs" / "architecture.md").read_text().split())
    assert f"inside the {part}: {expected}" in page


def test_decisions_are_numbered_and_complete() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    numbers = [int(record.name[:4]) for record in records]
    assert numbers == list(range(1, len(records) + 1))
    for record in records:
        text = record.read_text()
        assert all(f"**{part}.**" in text for part in ("Context", "Decision", "Consequence"))
