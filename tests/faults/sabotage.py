"""A worker whose trainers meet a fault at a chosen step: real processes, with one line of their own in the training loop."""

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
from core.distillation.trainer import Trainer

undisturbed = Trainer.train_step


def train_step(self):
    if self.state.step == {step}:
        with open({log!r}, "a") as log:
            log.write("x")
        times = len(Path({log!r}).read_text())
        {fault}
    yield from undisturbed(self)


Trainer.train_step = train_step
sys.argv = arguments[2:]
runpy.run_module("core.distillation", run_name="__main__", alter_sys=True)
"""
WORKER = "import sys, runpy; sys.executable = {path!r}; runpy.run_module('worker.local', run_name='__main__', alter_sys=True)"


class Sabotage:
    """``fault``: a Python statement, carried out before step ``step`` of every trainer; ``times`` counts how often it was met."""

    def __init__(self, folder: Path, fault: str, step: int = 6) -> None:
        self.log, self.path = folder / "faults", folder / "python"
        text = INTERPRETER.format(python=sys.executable, step=step, log=str(self.log), fault=fault)
        self.path.write_text(text)
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)

    def worker(self, settings: dict[str, str], log: Path) -> Service:
        return Service(settings, log, ("-c", WORKER.format(path=str(self.path))))

    def count(self) -> int:
        return len(self.log.read_text()) if self.log.exists() else 0
