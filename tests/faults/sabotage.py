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
from core.distillation.training.trainer import Trainer

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
WORKER = "import sys, runpy; sys.executable = {path!r}; runpy.run_module('worker.polling', run_name='__main__', alter_sys=True)"


def with_interpreter(path: Path, text: str) -> tuple[str, ...]:
    """The command of a worker whose trainers are run by the script ``text``, which lies at ``path``."""
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return "-c", WORKER.format(path=str(path))


class Sabotage:
    """``fault``: a Python statement, carried out before step ``step`` of every trainer; ``times`` counts how often it was met."""

    def __init__(self, folder: Path, fault: str, step: int = 6) -> None:
        self.log = folder / "faults"
        text = INTERPRETER.format(python=sys.executable, step=step, log=str(self.log), fault=fault)
        self.command = with_interpreter(folder / "python", text)

    def worker(self, settings: dict[str, str], log: Path) -> Service:
        return Service(settings, log, self.command)

    def count(self) -> int:
        return len(self.log.read_text()) if self.log.exists() else 0
