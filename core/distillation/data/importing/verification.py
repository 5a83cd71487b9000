"""Decodes image files once, to be sure that training can, and returns their bytes unchanged."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from core.distillation.data.image_decoding import ENCODED_LIMITS, THREADS, pillow_pixel_limit
from core.distillation.data.importing.file_source import FileSource, ProgressCallback
from core.distillation.data.importing.image_files import (
    ImageFile,
    UnusableImages,
    decode_image_file,
    open_image_file,
)
from core.errors import Refused

MAX_PENDING = 2 * THREADS
Item = TypeVar("Item")
Result = TypeVar("Result")


def verify_images(
    files: FileSource, paths: Sequence[str], progress: ProgressCallback
) -> Iterator[ImageFile]:
    """Yield the images in the order of ``paths``, up to the first that cannot be used.

    Only a few files are in memory at a time. Raises Refused naming all that cannot be used, once
    all have been verified: unreadable_image, too_small, too_large.
    """
    unusable = UnusableImages()
    with pillow_pixel_limit(ENCODED_LIMITS):
        results = _map_in_threads(lambda path: _verify(files, path), paths)
        for completed, (path, result) in enumerate(zip(paths, results, strict=True), start=1):
            if isinstance(result, Refused):
                unusable.add(path, result)
            elif not unusable:
                yield result
            progress(completed, len(paths))
    unusable.refuse()


def _verify(files: FileSource, path: str) -> ImageFile | Refused:
    try:
        return decode_image_file(*open_image_file(files, path, ENCODED_LIMITS), path)
    except Refused as error:
        return error


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
