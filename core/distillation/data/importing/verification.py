"""Decodes image files once, to be sure that training can, and returns their bytes unchanged."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from core.distillation.data.image_decoding import (
    ENCODED_LIMITS,
    GRAY_MODES,
    THREADS,
    large_image_lock,
    pillow_pixel_limit,
    refuse_unreadable_image,
)
from core.distillation.data.importing.file_source import FileSource, ProgressCallback
from core.distillation.data.importing.image_files import open_image_file

MAX_PENDING = 2 * THREADS
Item = TypeVar("Item")
Result = TypeVar("Result")


def verify_images(
    files: FileSource, paths: Sequence[str], progress: ProgressCallback
) -> Iterator[tuple[bytes, bool]]:
    """Yield each file's bytes, in the order of ``paths``, and whether the image is gray.

    Only a few files are in memory at a time. Raises Refused naming the first file that cannot be
    used: unreadable_image, too_small, too_large.
    """
    with pillow_pixel_limit(ENCODED_LIMITS):
        results = _map_in_threads(lambda path: _verify(files, path), paths)
        for completed, result in enumerate(results, start=1):
            yield result
            progress(completed, len(paths))


def _verify(files: FileSource, path: str) -> tuple[bytes, bool]:
    image, data = open_image_file(files, path, ENCODED_LIMITS)
    with large_image_lock(image), refuse_unreadable_image(path):
        image.load()
    return data, image.mode in GRAY_MODES


def _map_in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Map in several threads, in order, and at most ``MAX_PENDING`` items ahead of the caller."""
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > MAX_PENDING:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
