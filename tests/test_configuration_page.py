"""docs/configuration.md is what the settings say, and names every variable that the code reads."""

import re
import subprocess
from pathlib import Path

from core.settings import Settings
from tools.configuration_page import OTHER_VARIABLES, PAGE, page

ROOT = Path(__file__).parents[1]
SOURCES = ("*.py", "*.yml", "*.example", "run", "Dockerfile")
NOT_VARIABLES = frozenset({"DISTILL_", "DISTILL_X"})
"""The prefix, and a stand-in for any variable."""


def variables_in_sources() -> set[str]:
    """Every ``DISTILL_…`` that stands in the code, tests left out: these make some up."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *SOURCES]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = [name for name in listing.splitlines() if not name.startswith("tests/")]
    texts = [(ROOT / name).read_text() for name in names if (ROOT / name).exists()]
    return {match for text in texts for match in re.findall(r"\bDISTILL_[A-Z0-9_]*", text)}


def test_page_is_written_from_the_settings() -> None:
    assert PAGE.read_text() == page(), "run ./run docs"


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_every_variable_of_the_sources_is_on_the_page() -> None:
    settings = {f"DISTILL_{name.upper()}" for name in Settings.model_fields}
    others = {name for variables in OTHER_VARIABLES.values() for name in variables}
    assert variables_in_sources() - NOT_VARIABLES <= settings | others
