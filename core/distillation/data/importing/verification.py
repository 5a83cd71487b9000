"""Somebody's image files as they are, once each was decoded for the sake of proof."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from core.distillation.data.image_decoding import (
    GREY,
    THREADS,
    TO_KEEP,
    alone_if_large,
    broken_image_refused,
    few_pixels_only,
    opened,
)
from core.distillation.data.importing.file_source import Files, Progress

AHEAD = 2 * THREADS
Item = TypeVar("Item")
Result = TypeVar("Result")


def verified(
    files: Files, paths: Sequence[str], progress: Progress
) -> Iterator[tuple[bytes, bool]]:
    """Each file's bytes, in the order of ``paths``, and whether the image is grey. A few of them are in memory at a time.

    Raises Refused naming the first file that cannot be used: unreadable_image, too_small, too_large.
    """
    with few_pixels_only(TO_KEEP):
        for done, found in enumerate(
            _in_order(lambda path: _verified(files, path), paths), start=1
        ):
            yield found
            progress(done, len(paths))


def _verified(files: Files, path: str) -> tuple[bytes, bool]:
    image, data = opened(files, path, TO_KEEP)
    with alone_if_large(image), broken_image_refused(path):
        image.load()
    return data, image.mode in GREY


def _in_order(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """As ``map``, in several threads, no further ahead of its caller than ``AHEAD`` items."""
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) > AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
