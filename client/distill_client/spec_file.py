"""Text files that a user writes: the YAML file of a job or a sweep, and what is changed in it.

A change is written ``schedule.epochs=5``.
"""

import codecs
import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from distill_client.errors import ClientError


def load(path: Path, changes: list[str]) -> dict[str, Any]:
    """Return the spec in a file, changed, as a request body.

    Raises ClientError if the file is not YAML, or not a mapping.
    """
    spec = parse_yaml(read_text(path), str(path))
    if not isinstance(spec, dict):
        raise ClientError(f"{path} does not hold a mapping of names to values, as a spec must.")
    for change in changes:
        apply_change(spec, change)
    try:
        json.dumps(spec, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ClientError(
            f"{path} holds a value that JSON does not have ({error}); write it in quotes."
        ) from error
    return spec


def read_text(path: Path) -> str:
    """Return the text of a file, without a byte order mark and with "\\n" between lines.

    Editors and shells of Windows write UTF-8 or UTF-16, with a mark that says which.
    Raises ClientError for a file that is neither.
    """
    data = path.read_bytes()
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ClientError(f"{path} is not a text file in UTF-8.") from error
    if "\0" in text:
        raise ClientError(
            f"{path} has characters of value zero, as UTF-16 without a byte order mark and UTF-32 "
            "have; save it in UTF-8."
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_yaml(text: str, source: str) -> Any:
    """Parse YAML 1.2, in which 1e-3 is a number and `no` is a word.

    ``source`` names the text in the error.
    """
    try:
        # Only the pure parser reads YAML 1.2; the C one reads 1.1.
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ClientError(f"{source} is not YAML: {error}") from error


def apply_change(spec: dict[str, Any], change: str) -> None:
    """Set the value at a path such as ``evaluation.attacks.0.steps``.

    Mappings that are missing on the way are created.
    """
    path, equals, text = change.partition("=")
    keys = path.split(".")
    if not equals or not all(keys):
        raise ClientError(f"{change!r} is not a change such as schedule.epochs=5.")
    container: Any = spec
    for number, key in enumerate(keys[:-1]):
        if isinstance(container, dict):
            container = container.setdefault(key, {})
        else:
            container = container[list_index(container, key, change)]
        if not isinstance(container, dict | list):
            parent = ".".join(keys[: number + 1])
            raise ClientError(
                f"{change!r} leads into {parent}, which is {container!r} and has no fields."
            )
    value = parse_yaml(text, f"The value in {change!r}")
    if isinstance(container, dict):
        container[keys[-1]] = value
    else:
        container[list_index(container, keys[-1], change)] = value


def list_index(items: list[Any], key: str, change: str) -> int:
    """Return the key as an index of the list. Raises ClientError if it is not one."""
    if not key.isdecimal() or int(key) >= len(items):
        raise ClientError(f"{change!r} needs an index below {len(items)} in place of {key!r}.")
    return int(key)
