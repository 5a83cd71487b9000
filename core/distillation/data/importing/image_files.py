"""Opens an image file of an upload."""

from PIL import Image

from core.distillation.data.image_decoding import SizeLimits, check_file_size, open_image
from core.distillation.data.importing.file_source import FileSource


def open_image_file(files: FileSource, path: str, limits: SizeLimits) -> tuple[Image.Image, bytes]:
    """Return an image whose header is checked and whose pixels are not decoded, and its bytes.

    Raises Refused naming the file: unreadable_image, too_small, too_large.
    """
    check_file_size(path, files.size(path))
    data = files.read(path)
    return open_image(path, data, limits), data
