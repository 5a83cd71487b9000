"""A job's YAML file, and changes to it from the command line: ``schedule.epochs=5``."""

import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from client.errors import ClientError


def load(path: Path, changes: list[str]) -> dict[str, Any]:
    """The job as the service takes it. Raises ClientError for what is no YAML, or no mapping."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ClientError(f"{path} is no text in UTF-8.") from error
    spec = parse(text, str(path))
    if not isinstance(spec, dict):
        raise ClientError(f"{path} does not hold a mapping of names to values, as a job is.")
    for change in changes:
        apply(spec, change)
    try:
        json.dumps(spec, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ClientError(
            f"{path} holds a value that JSON does not have ({error}); write it in quotes."
        ) from error
    return spec


def parse(text: str, source: str) -> Any:
    """YAML 1.2, in which 1e-3 is a number and `no` is a word."""
    try:
        # The pure parser: the other one reads YAML 1.1.
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ClientError(f"{source} is not YAML: {error}") from error


def apply(spec: dict[str, Any], change: str) -> None:
    """Set the value at a path such as ``evaluation.attacks.0.steps``; what is missing on the way is made."""
    path, equals, text = change.partition("=")
    keys = path.split(".")
    if not equals or not all(keys):
        raise ClientError(f"{change!r} is no change such as schedule.epochs=5.")
    place: Any = spec
    for number, key in enumerate(keys[:-1]):
        place = place.setdefault(key, {}) if isinstance(place, dict) else item(place, key, change)
        if not isinstance(place, dict | list):
            raise ClientError(
                f"{change!r} leads into {'.'.join(keys[: number + 1])}, which is {place!r} and has no parts."
            )
    value = parse(text, f"The value in {change!r}")
    if isinstance(place, dict):
        place[keys[-1]] = value
    else:
        item(place, keys[-1], change)
        place[int(keys[-1])] = value


def item(places: list[Any], key: str, change: str) -> Any:
    if not key.isdecimal() or int(key) >= len(places):
        raise ClientError(
            f"{change!r} names {key!r} in a list of {len(places)}; a number below that is needed."
        )
    return places[int(key)]
