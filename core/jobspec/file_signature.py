"""Detect an upload's format by its first bytes, to refuse at once what no importer would open.

512 bytes are enough.
"""

import pickletools
from contextlib import suppress
from typing import Literal

from core.errors import Refused

CheckpointFormat = Literal["safetensors", "pytorch"]
ArchiveFormat = Literal["zip", "tar", "tar.gz", "tar.xz", "tar.bz2"]

ZIP_MAGIC = b"PK\x03\x04"
EMPTY_ZIP_MAGIC = b"PK\x05\x06"
NPY_MAGIC = b"\x93NUMPY"
PICKLE_MAGIC = b"\x80"
"""First byte of a pickle of protocol 2 or later. The number of the protocol follows."""
TAR_MAGIC = b"ustar"
TAR_MAGIC_OFFSET = 257
IMPORT_OPCODES = frozenset({"GLOBAL", "INST", "STACK_GLOBAL"})
NOT_LETTERS_OPCODES = frozenset({"MARK", "PUT", "STOP", "EMPTY_TUPLE", "EMPTY_DICT", "EMPTY_LIST"})
"""Every pickle of text has one of them, and a list of words has none."""
TEXT_BYTES = frozenset({*b"\t\n\r", *range(0x20, 0x7F), *range(0x80, 0x100)})
MAX_SAFETENSORS_HEADER_BYTES = 100 * 10**6

_ARCHIVES: dict[bytes, ArchiveFormat] = {
    ZIP_MAGIC: "zip",
    b"\x1f\x8b": "tar.gz",
    b"\xfd7zXZ\x00": "tar.xz",
    b"BZh": "tar.bz2",
}


def detect_checkpoint_format(first_bytes: bytes) -> CheckpointFormat:
    """Return the format of a checkpoint.

    Raises Refused: unsafe_checkpoint for formats that only unpickling can open, unknown_format for
    anything else.
    """
    # Before the pickles: the first byte of a header's length may be a pickle's first byte, too.
    if _is_safetensors(first_bytes):
        return "safetensors"
    if first_bytes.startswith(ZIP_MAGIC):
        return "pytorch"
    if is_pickle(first_bytes) or is_protocol_0_or_1_pickle(first_bytes):
        raise Refused(
            "The file is a bare pickle, which runs code when it is opened. Save the weights as "
            "safetensors, or with torch.save of PyTorch 1.6 or later.",
            code="unsafe_checkpoint",
        )
    if _is_tar(first_bytes):
        raise Refused(
            "The file is a tar archive, as PyTorch wrote checkpoints before 0.4; opening one runs "
            "code. Save the weights as safetensors, or with torch.save of PyTorch 1.6 or later.",
            code="unsafe_checkpoint",
        )
    raise Refused(
        f"The file begins with {_describe_start(first_bytes)}: neither safetensors nor a "
        "checkpoint of torch.save.",
        code="unknown_format",
    )


def detect_archive_format(first_bytes: bytes) -> ArchiveFormat:
    """Return the format of an archive.

    Raises Refused: unsafe_dataset for a pickle, unknown_format for anything else.
    """
    if _is_tar(first_bytes):
        return "tar"
    for magic, name in _ARCHIVES.items():
        if first_bytes.startswith(magic):
            return name
    if is_pickle(first_bytes) or is_protocol_0_or_1_pickle(first_bytes):
        raise Refused(
            "The file is a pickle, which runs code when it is opened. "
            "Send an archive of images or of CIFAR's binary batches, or an .npz.",
            code="unsafe_dataset",
        )
    if first_bytes.startswith(NPY_MAGIC):
        raise Refused(
            "The file is a single array of NumPy (.npy), and a data set needs images and labels: "
            "save both as the arrays image and label of one .npz, with numpy.savez.",
            code="unknown_format",
        )
    if first_bytes.startswith(EMPTY_ZIP_MAGIC):
        raise Refused(
            "The zip archive is empty; it must have a folder of images for each class.",
            code="unknown_format",
        )
    raise Refused(
        f"The file begins with {_describe_start(first_bytes)}: not an archive of a supported kind "
        "(zip, tar, tar.gz, tar.xz, tar.bz2).",
        code="unknown_format",
    )


def is_pickle(first_bytes: bytes) -> bool:
    """Whether this is a pickle of protocol 2 to 5."""
    return (
        first_bytes.startswith(PICKLE_MAGIC) and len(first_bytes) > 1 and 2 <= first_bytes[1] <= 5
    )


def is_protocol_0_or_1_pickle(first_bytes: bytes) -> bool:
    """Whether the first instructions import something: these protocols have no signature.

    Lines of text may be instructions, too: `cat` and `dog` import dog from a module at.
    """
    if first_bytes.startswith(NPY_MAGIC):
        return False
    opcodes = _opcodes(first_bytes)
    is_list_of_words = TEXT_BYTES.issuperset(first_bytes) and not opcodes & NOT_LETTERS_OPCODES
    return bool(opcodes & IMPORT_OPCODES) and not is_list_of_words


def _opcodes(first_bytes: bytes) -> set[str]:
    """Return the names of a pickle's instructions, up to the first that is none."""
    names = set()
    with suppress(ValueError):
        for opcode, _, _ in pickletools.genops(first_bytes):
            names.add(opcode.name)
    return names


def _is_tar(first_bytes: bytes) -> bool:
    return first_bytes[TAR_MAGIC_OFFSET:].startswith(TAR_MAGIC)


def _is_safetensors(first_bytes: bytes) -> bool:
    header_length = int.from_bytes(first_bytes[:8], "little")
    return first_bytes[8:9] == b"{" and header_length <= MAX_SAFETENSORS_HEADER_BYTES


def _describe_start(first_bytes: bytes) -> str:
    if first_bytes.startswith(NPY_MAGIC):
        return "the signature of an array of NumPy (.npy)"
    if first_bytes.startswith(EMPTY_ZIP_MAGIC):
        return "the end of a zip archive (it is empty)"
    return first_bytes[:8].hex(" ") if first_bytes else "nothing (it is empty)"
