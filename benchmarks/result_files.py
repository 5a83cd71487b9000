"""Machine, versions and date of a benchmark's result, and writing it as JSON and Markdown."""

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any


def stamp() -> dict[str, Any]:
    """Date, machine and versions, as every result carries them."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
            "device": device(),
        },
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "numpy", "sqlalchemy")},
    }


def processor() -> str:
    """The processor's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def device() -> str:
    """The GPU's name, or cpu."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def write(folder: Path, name: str, data: dict[str, Any], text: str) -> None:
    """Write NAME.json and NAME.md into the folder, and print the text."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")
    machine = data["machine"]
    footer = (
        f"\n{data['date']}; {machine['processor']}, {machine['cores']} cores, {machine['device']}; "
    )
    footer += ", ".join(f"{key} {value}" for key, value in data["versions"].items()) + "."
    (folder / f"{name}.md").write_text(text + footer + "\n")
    print(text + footer)
