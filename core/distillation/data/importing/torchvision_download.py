"""CIFAR-10 and CIFAR-100 as torchvision fetches them, checked against the checksums it knows."""

import socket
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC
from pathlib import Path
from threading import Thread
from typing import Any, Literal

import torch

from core.distillation.data import packed
from core.distillation.data.images import Found, Images
from core.distillation.data.importing.file_source import Progress
from core.errors import Refused
from core.jobspec.data import Reading

TIMEOUT_SECONDS = 60.0
LOOK_SECONDS = 0.5
ARCHIVE_BYTES = {"cifar10": 170_498_071, "cifar100": 169_001_437}


def read(
    name: Literal["cifar10", "cifar100"],
    scratch: Path,
    wanted: Reading,
    target: Path,
    progress: Progress,
) -> Found:
    """Writes ``target``. Raises Refused (download_failed)."""
    from torchvision import datasets  # here: two seconds, which no other job should cost

    title, fetch = (
        ("CIFAR-10", datasets.CIFAR10) if name == "cifar10" else ("CIFAR-100", datasets.CIFAR100)
    )
    with _timeout():
        try:
            parts = _meanwhile(
                lambda: [fetch(str(scratch), train=part, download=True) for part in (True, False)],
                lambda: progress(
                    sum(file.stat().st_size for file in scratch.glob("*.tar.gz")),
                    ARCHIVE_BYTES[name],
                ),
            )
        except (OSError, RuntimeError, EOFError, tarfile.TarError) as error:
            if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
                raise
            raise Refused(
                f"{title} could not be downloaded ({type(error).__name__}); has the worker a way to the internet? "
                "Its binary version can be uploaded instead.",
                code="download_failed",
            ) from error
    train, test = map(_images, parts)
    layout = f"{title} as torchvision downloads it, with the split that comes with it."
    return packed.keep(target, train, test, tuple(parts[0].classes), wanted, layout)


def _meanwhile(work: Callable[[], list[Any]], look: Callable[[], None]) -> list[Any]:
    """What ``work`` gives, or raises; ``look`` is called while it is at it in another thread, and may raise to leave it there."""
    outcome: Future[list[Any]] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # raised again by result
            outcome.set_exception(error)

    Thread(target=run, daemon=True).start()
    while not wait([outcome], LOOK_SECONDS).done:
        look()
    return outcome.result()


def _images(part: Any) -> Images:
    images_NHWC = torch.from_numpy(part.data)
    return Images(
        images_NHWC.permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets, dtype=torch.int64)
    )


@contextmanager
def _timeout() -> Iterator[None]:
    """torchvision sets none: a silent server would hold the job for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
