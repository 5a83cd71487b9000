"""The API, the supervisor and the commands run without the packages of the extra ``trainer``."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMPORT_NAMES = {"pillow": "PIL", "scikit-learn": "sklearn"}
"""Distributions whose packages have another name."""
MODULES = (
    "api.app",
    "worker.polling",
    "worker.wakeups",
    "embedded.__main__",
    "core.store.commands.setup",
    "core.store.commands.storage",
)
SCRIPT = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocked())
for module in {modules!r}:
    __import__(module)
"""


def trainer_packages() -> set[str]:
    """Import names of the distributions that only the extra brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [line.partition(">")[0] for line in project["optional-dependencies"]["trainer"]]
    return {IMPORT_NAMES.get(name, name) for name in names}


def test_service_needs_no_package_of_the_trainer_extra() -> None:
    assert {"torch", "sklearn", "PIL"} <= trainer_packages()
    script = SCRIPT.format(blocked=trainer_packages(), modules=MODULES)
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
