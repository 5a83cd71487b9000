"""Which kind of file a checkpoint is: by its bytes, not by its name."""

from pathlib import Path
from typing import Protocol

from torch import Tensor

from core.distillation.models.checkpoint_files.declared_tensors import DeclaredTensor
from core.distillation.models.checkpoint_files.pickle_reader import ADVICE
from core.distillation.models.checkpoint_files.safetensors_file import SafetensorsFile
from core.distillation.models.checkpoint_files.torch_archive import TorchArchive
from core.errors import Refused
from core.jobspec.file_signature import is_old_pickle

HEAD_BYTES = 4096


class CheckpointFile(Protocol):
    """A checkpoint that was looked through and not yet read."""

    declared: dict[str, DeclaredTensor]
    others: list[str]
    """Keys beside the tensors, with values of other kinds."""

    def read(self) -> dict[str, Tensor]: ...


def open_checkpoint(path: Path) -> CheckpointFile:
    """What a checkpoint holds, without running any of it or setting memory aside for it.

    Raises Refused: unsafe_checkpoint for whatever would have to be unpickled (old formats, TorchScript, calls in a checkpoint),
    unreadable_checkpoint for everything else that is not a whole checkpoint.
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
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size - 8:
        return SafetensorsFile(path)
    if head[257:262] == b"ustar" or head[:1] == b"\x80" or is_old_pickle(head):
        raise Refused(
            f"The file is a pickle, or in PyTorch's format of before 1.6, which cannot be opened safely. {ADVICE}",
            code="unsafe_checkpoint",
        )
    raise Refused(
        "The file is not a whole checkpoint: neither safetensors nor torch.save's.",
        code="unreadable_checkpoint",
    )
