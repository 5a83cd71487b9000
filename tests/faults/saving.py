"""Forks one process after another that saves all the time, and is killed: what is slow to import is imported once.
Commands on standard input:

job FOLDER      the trainer, on a job folder
plain FILE      torch.save over one file, again and again
"""

import os
import sys
import threading
from pathlib import Path

import sklearn.datasets  # noqa: F401 - the digits'
import torch

from core.distillation.__main__ import run
from core.job_folder import JobFolder


def save_plainly(path: Path) -> None:
    state = {str(number): torch.zeros(256, 1024) for number in range(10)}
    step = 0
    while True:
        step += 1
        torch.save({**state, "step": torch.tensor(step)}, path)


def main() -> None:
    torch.set_num_threads(1)
    for line in sys.stdin:
        what, path = line.split()
        child = os.fork()
        if child == 0:
            if what == "plain":
                save_plainly(Path(path))
            ended = run(JobFolder(Path(path)), threading.Event())
            print(ended, file=sys.stderr, flush=True)
            os._exit(0)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
