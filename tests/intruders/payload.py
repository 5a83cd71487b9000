"""A pickle payload that leaves a trace if anything ever executes it."""

import os
from pathlib import Path
from typing import Any


class Payload:
    """Appends a line to the canary file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.system, (f"echo ran >> {self.canary}",)
