"""Opening a checkpoint file in whichever format it is: by its bytes, not by its name."""

from pathlib import Path
from typing import Protocol

from torch import Tensor

from core.distillation.models.checkpoint_files.declared_tensors import DeclaredStateDict
from core.distillation.models.checkpoint_files.pickle_reader import ADVICE
from core.distillation.models.checkpoint_files.safetensors_file import SafetensorsFile
from core.distillation.models.checkpoint_files.torch_archive import TorchArchive
from core.errors import Refused
from core.jobspec.file_signature import is_protocol_0_or_1_pickle

HEAD_BYTES = 4096


class CheckpointFile(Protocol):
    """A checkpoint whose contents are known and have not been read yet."""

    state_dicts: dict[str, DeclaredStateDict]
    """The state dicts, by name: TOP_LEVEL, or where in the file each is."""
    has_more: bool
    """Whether the file holds more of them than are read."""

    def read(self, name: str) -> dict[str, Tensor]:
        """Return a state dict's tensors by key. Raises Refused (unreadable_checkpoint)."""
        ...


def open_checkpoint(path: Path) -> CheckpointFile:
    """Return what a checkpoint holds, without running any of it or allocating its tensors.

    Raises Refused: unsafe_checkpoint for whatever would have to be unpickled (old formats,
    TorchScript, calls in a checkpoint), unreadable_checkpoint for everything else that is not a
    complete checkpoint.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(b"PK"):
        if path.suffix == ".safetensors":
            raise Refused(
                f"The file is named .safetensors and holds a pickle. {ADVICE}",
                code="unsafe_checkpoint",
            )
        return TorchArchive(path)
    # Safetensors: the length of the JSON header in 8 bytes, then the header.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size - 8:
        return SafetensorsFile(path)
    if head[257:262] == b"ustar" or head[:1] == b"\x80" or is_protocol_0_or_1_pickle(head):
        raise Refused(
            "The file is a bare pickle, or in the format of PyTorch before 1.6; neither can be "
            f"opened safely. {ADVICE}",
            code="unsafe_checkpoint",
        )
    raise Refused(
        "The file is not a complete checkpoint: neither safetensors nor torch.save's.",
        code="unreadable_checkpoint",
    )
