"""Imports CIFAR-10 or CIFAR-100 as torchvision downloads it, checked against its checksums."""

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

from core.distillation.data.images import Images
from core.distillation.data.importing.file_source import ProgressCallback
from core.distillation.data.importing.import_result import ImportResult
from core.distillation.data.importing.packed_writer import write_selected_classes
from core.errors import Refused
from core.jobspec.data import ImportOptions

TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.5
ARCHIVE_BYTES = {"cifar10": 170_498_071, "cifar100": 169_001_437}


def import_download(
    name: Literal["cifar10", "cifar100"],
    scratch: Path,
    options: ImportOptions,
    target: Path,
    progress: ProgressCallback,
) -> ImportResult:
    """Download into ``scratch`` and write ``target``. Raises Refused (download_failed)."""
    from torchvision import datasets  # takes two seconds, which no other job should spend

    title = "CIFAR-10" if name == "cifar10" else "CIFAR-100"
    dataset_class = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100

    def download() -> list[Any]:
        return [dataset_class(str(scratch), train=part, download=True) for part in (True, False)]

    def report_progress() -> None:
        downloaded = sum(file.stat().st_size for file in scratch.glob("*.tar.gz"))
        progress(downloaded, ARCHIVE_BYTES[name])

    with _socket_timeout(), _refuse_failed_download(title):
        train, test = _run_in_thread(download, report_progress)
    layout = f"{title} as torchvision downloads it, with the split that it comes with."
    return write_selected_classes(
        target,
        _images(train),
        _images(test),
        tuple(train.classes),
        options,
        layout,
    )


@contextmanager
def _refuse_failed_download(title: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, EOFError, tarfile.TarError) as error:
        if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
            raise
        raise Refused(
            f"{title} could not be downloaded ({type(error).__name__}). Check that the worker can "
            "reach the internet, or upload the binary version instead.",
            code="download_failed",
        ) from error


def _run_in_thread(function: Callable[[], list[Any]], poll: Callable[[], None]) -> list[Any]:
    """Return what ``function`` returns in another thread, or raise what it raises.

    Meanwhile ``poll`` is called again and again. It may raise, and then the thread is abandoned:
    torchvision cannot be interrupted.
    """
    future: Future[list[Any]] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # result() raises it again
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    while not wait([future], POLL_SECONDS).done:
        poll()
    return future.result()


def _images(part: Any) -> Images:
    images_NHWC = torch.from_numpy(part.data)
    return Images(
        images_NHWC.permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets, dtype=torch.int64)
    )


@contextmanager
def _socket_timeout() -> Iterator[None]:
    """Set a timeout: torchvision has none, so a silent server would block the job for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
