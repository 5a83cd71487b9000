"""Faults inside a trainer: a real worker and real trainers, with one more statement in the loop."""

import stat
import sys
from pathlib import Path

from tests.worker.service import Service

INTERPRETER = """#!{python}
import os, sys

arguments = sys.argv[1:]
if arguments[:3] != ["-P", "-m", "core.distillation"]:
    os.execv({python!r}, [{python!r}, *arguments])

import runpy, signal, time
from pathlib import Path
import torch
from core.distillation.training.trainer import Trainer

original_train_step = Trainer.train_step


def train_step(self):
    if self.state.step == {step}:
        with open({log!r}, "a") as log:
            log.write("x")
        times = len(Path({log!r}).read_text())
        {fault}
    yield from original_train_step(self)


Trainer.train_step = train_step
sys.argv = arguments[2:]
runpy.run_module("core.distillation", run_name="__main__", alter_sys=True)
"""
WORKER = """
import sys, runpy
sys.executable = {path!r}
runpy.run_module("worker.polling", run_name="__main__", alter_sys=True)
"""


def worker_command(path: Path, script: str) -> tuple[str, ...]:
    """Return the command of a worker whose trainers' interpreter is ``script``, saved at ``path``.

    A worker starts its trainers with ``sys.executable``.
    """
    path.write_text(script)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return "-c", WORKER.format(path=str(path))


class TrainerFault:
    """A fault that happens in every trainer of a worker, right before one training step.

    ``fault`` is a Python statement. It may use ``times``: how often the fault has happened,
    including this time.
    """

    def __init__(self, folder: Path, fault: str, step: int = 6) -> None:
        self.log = folder / "faults"
        script = INTERPRETER.format(
            python=sys.executable, step=step, log=str(self.log), fault=fault
        )
        self.command = worker_command(folder / "python", script)

    def start_worker(self, environment: dict[str, str], log: Path) -> Service:
        return Service(environment, log, self.command)

    def count(self) -> int:
        """Return how often the fault has happened."""
        return len(self.log.read_text()) if self.log.exists() else 0
