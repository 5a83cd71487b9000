"""Networks in formats that other programs read, ONNX and torch.export.

Every file is checked against the network. B batch, C channels, H height, W width, K classes.
"""

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
"""Largest allowed difference of a logit."""
CHECKED_BATCH_SIZES = (1, 3, 8)
MAX_BATCH_SIZE = 65_536
EXAMPLE_BATCH_SIZE = 2
"""Images with which the network is traced. The batch dimension is dynamic, so any size would do."""
INPUT_NAME = "images"
OUTPUT_NAME = "logits"


@dataclass(frozen=True)
class ExportedFile:
    """One exported file. ``max_difference`` is the largest difference of a logit that was found."""

    name: str
    content: bytes
    media_type: str
    max_difference: float


def export_network(
    network: Classifier, description: ModelDescription, formats: tuple[ExportFormat, ...]
) -> Iterator[ExportedFile]:
    """Yield files that take images [B, C, H, W] in [0, 1] and return logits [B, K].

    B is dynamic, and normalization is part of the network. The network itself is not changed.
    Raises JobFailed (export_differs) if a logit differs by more than ``TOLERANCE``.
    """
    if not formats:
        return
    exported_copy = copy.deepcopy(network).cpu().to(memory_format=torch.contiguous_format)
    exported_copy.eval().requires_grad_(False)
    for export_format in formats:
        with _suppressed_output():
            file = EXPORTERS[export_format](exported_copy, description)
        yield file  # outside the block: the caller's own output is not suppressed


def _export_onnx(network: Classifier, description: ModelDescription) -> ExportedFile:
    import onnxruntime  # takes seconds, which only jobs that export to ONNX should pay

    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH_SIZE)
    program = torch.onnx.export(
        network,
        (_random_images(description, EXAMPLE_BATCH_SIZE),),
        dynamo=True,
        input_names=[INPUT_NAME],
        output_names=[OUTPUT_NAME],
        dynamic_shapes=({0: batch},),
        verbose=False,
    )
    if not isinstance(program, torch.onnx.ONNXProgram):
        raise TypeError("torch.onnx.export with dynamo=True did not return a program.")
    program.model.metadata_props.update(metadata(description))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        program.save(path, external_data=False)
        content = path.read_bytes()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(images_BCHW: Tensor) -> Tensor:
        (logits_BK,) = session.run([OUTPUT_NAME], {INPUT_NAME: images_BCHW.numpy()})
        return torch.from_numpy(logits_BK)

    difference = _max_difference(network, description, run, "ONNX")
    return ExportedFile("student.onnx", content, "application/octet-stream", difference)


def _export_torch(network: Classifier, description: ModelDescription) -> ExportedFile:
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH_SIZE)
    images_BCHW = _random_images(description, EXAMPLE_BATCH_SIZE)
    program = torch.export.export(network, (images_BCHW,), dynamic_shapes=({0: batch},))
    buffer = io.BytesIO()
    extra_files = {"metadata.json": json.dumps(metadata(description))}
    torch.export.save(program, buffer, extra_files=extra_files)
    content = buffer.getvalue()
    reloaded = torch.export.load(io.BytesIO(content)).module()
    difference = _max_difference(network, description, reloaded, "torch.export")
    return ExportedFile("student.pt2", content, "application/octet-stream", difference)


def metadata(description: ModelDescription) -> dict[str, str]:
    """Return the metadata that is written into every exported file."""
    return {
        "classes": str(description.classes),
        "input_range": "[0, 1]",
        "normalization": "inside the network",
        "description": description.model_dump_json(),
    }


EXPORTERS: dict[ExportFormat, Callable[[Classifier, ModelDescription], ExportedFile]] = {
    "onnx": _export_onnx,
    "torch_export": _export_torch,
}


def _max_difference(
    network: Classifier,
    description: ModelDescription,
    exported: Callable[[Tensor], Tensor],
    title: str,
) -> float:
    """Return the largest difference of a logit, over batches of random images.

    Raises JobFailed (export_differs) if it is more than ``TOLERANCE``.
    """
    largest = 0.0
    for batch_size in CHECKED_BATCH_SIZES:
        images_BCHW = _random_images(description, batch_size)
        with torch.no_grad():
            differences_BK = (exported(images_BCHW) - network(images_BCHW)).abs()
        largest = max(largest, float(differences_BK.max()))
    if largest > TOLERANCE:
        message = (
            f"The network exported to {title} differs from the original by {largest:.2g} in a "
            f"logit; at most {TOLERANCE} is allowed."
        )
        raise JobFailed("export_differs", "user", message)
    return largest


def _random_images(description: ModelDescription, batch_size: int) -> Tensor:
    shape = (batch_size, description.channels, description.height, description.width)
    return torch.rand(shape, generator=torch.Generator().manual_seed(batch_size))


@contextlib.contextmanager
def _suppressed_output() -> Iterator[None]:
    """Suppress output, warnings and log messages: the exporters write a great deal."""
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
