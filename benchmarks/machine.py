"""What every result carries: machine, versions and date; and how it is written."""

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any


def stamp() -> dict[str, Any]:
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
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def write(folder: Path, name: str, data: dict[str, Any], text: str) -> None:
    """NAME.json and NAME.md in the folder, and the text on standard output."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")
    machine = data["machine"]
    foot = (
        f"\n{data['date']}; {machine['processor']}, {machine['cores']} cores, {machine['device']}; "
    )
    foot += ", ".join(f"{key} {value}" for key, value in data["versions"].items()) + "."
    (folder / f"{name}.md").write_text(text + foot + "\n")
    print(text + foot)
