"""What an upload is, by its first bytes: enough to refuse at the door what no importer would open. 512 bytes are plenty."""

import pickletools
from typing import Literal

from core.errors import Refused

CheckpointFormat = Literal["safetensors", "pytorch"]
ArchiveFormat = Literal["zip", "tar", "tar.gz", "tar.xz", "tar.bz2"]

ZIP = b"PK\x03\x04"
PICKLE = b"\x80"
"""Of pickle's protocol 2 and later; the protocol's number follows."""
TAR, TAR_AT = b"ustar", 257
IMPORTING = frozenset({"GLOBAL", "INST", "STACK_GLOBAL"})
LARGEST_SAFETENSORS_HEADER = 100 * 10**6

_ARCHIVES: dict[bytes, ArchiveFormat] = {
    ZIP: "zip",
    b"\x1f\x8b": "tar.gz",
    b"\xfd7zXZ\x00": "tar.xz",
    b"BZh": "tar.bz2",
}


def checkpoint_format(first_bytes: bytes) -> CheckpointFormat:
    """Raises Refused: unsafe_checkpoint for formats that only unpickling can open, unknown_format for anything else."""
    if _is_safetensors(
        first_bytes
    ):  # first: the length of its header may well begin with pickle's byte
        return "safetensors"
    if first_bytes.startswith(ZIP):
        return "pytorch"
    if is_pickle(first_bytes) or is_old_pickle(first_bytes):
        raise Refused(
            "The file is a bare pickle, which runs code when it is opened. Save the weights as safetensors, "
            "or with torch.save of PyTorch 1.6 or later.",
            code="unsafe_checkpoint",
        )
    if _is_tar(first_bytes):
        raise Refused(
            "The file is a tar archive, as PyTorch wrote checkpoints before 0.4; opening one runs code. Save the weights as "
            "safetensors, or with torch.save of PyTorch 1.6 or later.",
            code="unsafe_checkpoint",
        )
    raise Refused(
        f"The file begins with {_shown(first_bytes)}: neither safetensors nor a checkpoint of torch.save.",
        code="unknown_format",
    )


def archive_format(first_bytes: bytes) -> ArchiveFormat:
    """Raises Refused: unsafe_dataset for a pickle, unknown_format for anything else that is no archive."""
    if _is_tar(first_bytes):
        return "tar"
    for magic, name in _ARCHIVES.items():
        if first_bytes.startswith(magic):
            return name
    if is_pickle(first_bytes) or is_old_pickle(first_bytes):
        raise Refused(
            "The file is a pickle, which runs code when it is opened. "
            "Send an archive of images or of CIFAR's binary batches, or an .npz.",
            code="unsafe_dataset",
        )
    raise Refused(
        f"The file begins with {_shown(first_bytes)}: not an archive of a kind that is read (zip, tar, tar.gz, tar.xz, tar.bz2).",
        code="unknown_format",
    )


def is_pickle(first_bytes: bytes) -> bool:
    return first_bytes.startswith(PICKLE) and len(first_bytes) > 1 and 2 <= first_bytes[1] <= 5


def is_old_pickle(first_bytes: bytes) -> bool:
    """Protocols 0 and 1 have no signature: do the first instructions import something? So may a few lines of plain text."""
    try:
        return any(
            instruction.name in IMPORTING for instruction, _, _ in pickletools.genops(first_bytes)
        )
    except ValueError:
        return False


def _is_tar(first_bytes: bytes) -> bool:
    return first_bytes[TAR_AT:].startswith(TAR)


def _is_safetensors(first_bytes: bytes) -> bool:
    header_length = int.from_bytes(first_bytes[:8], "little")
    return first_bytes[8:9] == b"{" and header_length <= LARGEST_SAFETENSORS_HEADER


def _shown(first_bytes: bytes) -> str:
    return first_bytes[:8].hex(" ") if first_bytes else "nothing (it is empty)"
