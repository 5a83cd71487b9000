"""``python -m tools.configuration_page``: write docs/configuration.md from ``core/settings.py``.

``tests/test_configuration_page.py`` fails when the page is older than the settings.
"""

import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from pydantic.fields import FieldInfo

from core.settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
INTRODUCTION = """\
# Configuration

Every setting of the service is an environment variable, read once by each process. The defaults
are those of one machine without servers. Give all processes of an installation the same values,
unless a variable belongs to one worker, such as its name or its device.

This page is written by `./run docs` from `core/settings.py`.
"""
OTHER_VARIABLES = {
    "Client and command": {
        "DISTILL_URL": "URL of the service. Default: that of this folder's embedded service.",
        "DISTILL_API_KEY": "API key. Default: the first key of this folder's embedded service.",
    },
    "docker-compose.yml": {
        "DISTILL_PUBLISH": "Address and port of the host that the API is published on. Default: "
        "`127.0.0.1:8321`.",
        "DISTILL_DATA": "Folder of the host that holds data sets. Default: `./datasets`.",
    },
    "Tests": {
        "DISTILL_SOAK": "`1`: the fault tests run at full length. `./run faults` sets it.",
    },
}
"""Variables that are not settings of the service, by who reads them."""


def page() -> str:
    """The whole page as Markdown."""
    sections = [INTRODUCTION]
    for title, fields in _groups().items():
        rows = [_setting_row(name, field) for name, field in fields.items()]
        sections.append(_table(title, ("variable", "default", "meaning"), rows))
    for title, variables in OTHER_VARIABLES.items():
        rows = [(f"`{name}`", meaning) for name, meaning in variables.items()]
        sections.append(_table(title, ("variable", "meaning"), rows))
    return "\n".join(sections)


def _groups() -> dict[str, dict[str, FieldInfo]]:
    """Settings under the comment that stands above them in the class: ``# Storage``."""
    groups: dict[str, dict[str, FieldInfo]] = {}
    for title, name in _titles_and_names(inspect.getsource(Settings)):
        groups.setdefault(title, {})[name] = Settings.model_fields[name]
    return groups


def _titles_and_names(source: str) -> Iterator[tuple[str, str]]:
    title = "Settings"
    for line in textwrap.dedent(source).splitlines():
        if heading := re.fullmatch(r"    # (.+)", line):
            title = heading[1].rstrip(".")
        elif (field := re.match(r"    (\w+):", line)) and field[1] in Settings.model_fields:
            yield title, field[1]


def _setting_row(name: str, field: FieldInfo) -> tuple[str, ...]:
    return f"`DISTILL_{name.upper()}`", _default(field.default), field.description or ""


def _default(value: object) -> str:
    if value is None or value in ("", {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [f"## {title}", "", _line(columns), "|" + "---|" * len(columns)]
    return "\n".join([*lines, *map(_line, rows), ""])


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page())
