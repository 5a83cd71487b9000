"""Forks processes that save all the time, one after another, and reports how each has ended.

They are forked, so that torch and scikit-learn are imported only once. Each line of standard input
starts a process, and its id and then its exit code are printed:

job FOLDER      a trainer that runs the job in the folder
plain FILE      torch.save to one file, again and again
"""

import os
import sys
import threading
from pathlib import Path

import sklearn.datasets  # noqa: F401 - imported before the fork: the trainer loads digits with it
import torch

from core.distillation.__main__ import run
from core.job_folder import JobFolder


def save_with_torch(path: Path) -> None:
    state = {str(number): torch.zeros(256, 1024) for number in range(10)}
    step = 0
    while True:
        step += 1
        torch.save({**state, "step": torch.tensor(step)}, path)


def main() -> None:
    torch.set_num_threads(1)
    for line in sys.stdin:
        mode, path = line.split()
        child = os.fork()
        if child == 0:
            if mode == "plain":
                save_with_torch(Path(path))
            ended = run(JobFolder(Path(path)), threading.Event())
            print(ended, file=sys.stderr, flush=True)
            os._exit(0)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
