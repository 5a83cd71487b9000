"""What docker-compose.yml says of each service, for tests that start the same processes by hand."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())[
    "services"
]


def settings(name: str, here: dict[str, str]) -> dict[str, str]:
    """The service's environment; whatever names another container is put where it is on this machine."""
    found = {key: str(value) for key, value in SERVICES[name]["environment"].items()}
    return {key: here.get(key, value) for key, value in found.items()}


def command(name: str) -> tuple[str, ...]:
    """The service's command, as arguments of this interpreter."""
    program, *arguments = SERVICES[name]["command"]
    return tuple(arguments) if program == "python" else ("-m", program, *arguments)
