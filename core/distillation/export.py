"""A network in formats that other programs read: ONNX and torch.export, each checked against the network itself."""

import contextlib
import copy
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from core.distillation.models.network import Classifier
from core.errors import JobFailed
from core.jobspec.job import ExportFormat
from core.jobspec.network import ModelDescription

TOLERANCE = 1e-4
"""Largest difference of a logit."""
CHECKED_BATCHES = (1, 3, 8)
INPUT, OUTPUT = "images", "logits"


@dataclass(frozen=True)
class Exported:
    name: str
    content: bytes
    media_type: str
    difference: float
    """The largest of a logit, over batches of random images."""


def export(
    network: Classifier, description: ModelDescription, formats: tuple[ExportFormat, ...]
) -> Iterator[Exported]:
    """Files that take images [B, C, H, W] in [0, 1], any B, and give logits [B, K]; normalization is inside.

    The network is left as it is. Raises JobFailed (export_differs) where a file's logits differ by more than ``TOLERANCE``.
    """
    if not formats:
        return
    copied = (
        copy.deepcopy(network)
        .cpu()
        .to(memory_format=torch.contiguous_format)
        .eval()
        .requires_grad_(False)
    )
    for each in formats:
        with _quietly():
            file = FORMATS[each](copied, description)
        yield file  # outside: whoever asked may talk


def _onnx(network: Classifier, description: ModelDescription) -> Exported:
    import onnxruntime  # here: seconds, which a job that exports nothing should not cost

    batch = torch.export.Dim("batch", min=1, max=65_536)
    program = torch.onnx.export(
        network,
        (_images(description, 2),),
        dynamo=True,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({0: batch},),
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props.update(metadata(description))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        program.save(path, external_data=False)
        content = path.read_bytes()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    difference = _difference(
        network,
        description,
        lambda images: torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0]),
        "ONNX",
    )
    return Exported("student.onnx", content, "application/octet-stream", difference)


def _torch_export(network: Classifier, description: ModelDescription) -> Exported:
    batch = torch.export.Dim("batch", min=1, max=65_536)
    program = torch.export.export(network, (_images(description, 2),), dynamic_shapes=({0: batch},))
    buffer = io.BytesIO()
    torch.export.save(
        program, buffer, extra_files={"metadata.json": json.dumps(metadata(description))}
    )
    reloaded = torch.export.load(io.BytesIO(buffer.getvalue())).module()
    difference = _difference(network, description, reloaded, "torch.export")
    return Exported("student.pt2", buffer.getvalue(), "application/octet-stream", difference)


def metadata(description: ModelDescription) -> dict[str, str]:
    """What an exported file says of itself."""
    return {
        "classes": str(description.classes),
        "input_range": "[0, 1]",
        "normalization": "inside the network",
        "description": description.model_dump_json(),
    }


FORMATS: dict[ExportFormat, Callable[[Classifier, ModelDescription], Exported]] = {
    "onnx": _onnx,
    "torch_export": _torch_export,
}


def _difference(
    network: Classifier,
    description: ModelDescription,
    exported: Callable[[Tensor], Tensor],
    title: str,
) -> float:
    largest = 0.0
    for size in CHECKED_BATCHES:
        images_BCHW = _images(description, size)
        with torch.no_grad():
            largest = max(
                largest, float((exported(images_BCHW) - network(images_BCHW)).abs().max())
            )
    if not largest <= TOLERANCE:
        message = f"The network exported to {title} differs by {largest:.2g} in a logit; {TOLERANCE} is allowed."
        raise JobFailed("export_differs", "user", message)
    return largest


def _images(description: ModelDescription, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(size)
    return torch.rand(
        size, description.channels, description.height, description.width, generator=generator
    )


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """The exporters talk a lot."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)
