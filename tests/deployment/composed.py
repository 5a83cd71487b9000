"""The services of docker-compose.yml, for tests that start the same processes without Docker."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())[
    "services"
]


def service_environment(name: str, overrides: dict[str, str]) -> dict[str, str]:
    """Return the environment of a service. ``overrides``: this machine's addresses and folders."""
    environment = {key: str(value) for key, value in SERVICES[name]["environment"].items()}
    return {key: overrides.get(key, value) for key, value in environment.items()}


def service_command(name: str) -> tuple[str, ...]:
    """Return the command of a service, as arguments of this interpreter."""
    program, *arguments = SERVICES[name]["command"]
    return tuple(arguments) if program == "python" else ("-m", program, *arguments)
