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
from core.jobspec.job import ExportFormat
from core.jobspec.network import ModelDescription

RELATIVE_TOLERANCE = 5e-5
"""Largest allowed difference of a logit, relative to the largest logit of its batch.

In fp32 each operation rounds by up to 6e-8 of its result, and an exported network carries out its
operations in another order. So its logits differ by a share of their size, whatever that size is:
at most 6e-7 was measured for ResNet-18 and 2e-6 for WRN-34-10, whose logits in fp32 differ as much
from those in fp64. An export that does something else differs by a thousandth or more.
"""
SMALLEST_TOLERANCE = 1e-5
"""The tolerance for logits near 0, which are differences of larger numbers."""
CHECKED_BATCH_SIZES = (1, 3, 8)
MAX_BATCH_SIZE = 65_536
EXAMPLE_BATCH_SIZE = 2
"""Images with which the network is traced. The batch dimension is dynamic, so any size would do."""
INPUT_NAME = "images"
OUTPUT_NAME = "logits"


class ExportDiffersError(Exception):
    """An exported network does not give the logits of the network."""


@dataclass(frozen=True)
class ExportedFile:
    """One exported file. ``max_difference`` is the largest difference of a logit that was found."""

    name: str
    content: bytes
    media_type: str
    max_difference: float


@dataclass(frozen=True)
class Exporter:
    """How a network becomes one file, and how that file is run.

    ``serialize`` returns the file's content, ``load`` a function from images [B, C, H, W] to logits
    [B, K] that runs it.
    """

    title: str
    file_name: str
    serialize: Callable[[Classifier, ModelDescription], bytes]
    load: Callable[[bytes], Callable[[Tensor], Tensor]]


def export_network(
    network: Classifier, description: ModelDescription, export_format: ExportFormat
) -> ExportedFile:
    """Return a file that takes images [B, C, H, W] in [0, 1] and returns logits [B, K].

    B is dynamic, and normalization is part of the network. The network itself is not changed.
    Raises ExportDiffersError where the file gives other logits than the network, and whatever the
    exporting library raises.
    """
    original = _inference_copy(network)
    exporter = EXPORTERS[export_format]
    with _suppressed_output():
        # Of another copy, so that nothing that the exporter does to it can hide in the check.
        content = exporter.serialize(_inference_copy(network), description)
        difference = _check(original, description, exporter.load(content), exporter.title)
    return ExportedFile(exporter.file_name, content, "application/octet-stream", difference)


def _inference_copy(network: Classifier) -> Classifier:
    copied = copy.deepcopy(network).cpu().to(memory_format=torch.contiguous_format)
    return copied.eval().requires_grad_(False)


def _serialize_onnx(network: Classifier, description: ModelDescription) -> bytes:
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
        return path.read_bytes()


def _load_onnx(content: bytes) -> Callable[[Tensor], Tensor]:
    import onnxruntime  # takes seconds, which only jobs that export to ONNX should pay

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(images_BCHW: Tensor) -> Tensor:
        (logits_BK,) = session.run([OUTPUT_NAME], {INPUT_NAME: images_BCHW.numpy()})
        return torch.from_numpy(logits_BK)

    return run


def _serialize_torch(network: Classifier, description: ModelDescription) -> bytes:
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH_SIZE)
    images_BCHW = _random_images(description, EXAMPLE_BATCH_SIZE)
    program = torch.export.export(network, (images_BCHW,), dynamic_shapes=({0: batch},))
    buffer = io.BytesIO()
    extra_files = {"metadata.json": json.dumps(metadata(description))}
    torch.export.save(program, buffer, extra_files=extra_files)
    return buffer.getvalue()


def _load_torch(content: bytes) -> Callable[[Tensor], Tensor]:
    return torch.export.load(io.BytesIO(content)).module()


def metadata(description: ModelDescription) -> dict[str, str]:
    """Return the metadata that is written into every exported file."""
    return {
        "classes": str(description.classes),
        "input_range": "[0, 1]",
        "normalization": "inside the network",
        "description": description.model_dump_json(),
    }


EXPORTERS: dict[ExportFormat, Exporter] = {
    "onnx": Exporter("ONNX", "student.onnx", _serialize_onnx, _load_onnx),
    "torch_export": Exporter("torch.export", "student.pt2", _serialize_torch, _load_torch),
}


def _check(
    network: Classifier,
    description: ModelDescription,
    exported: Callable[[Tensor], Tensor],
    title: str,
) -> float:
    """Return the largest difference of a logit, over batches of random images.

    Raises ExportDiffersError if that is too large, or if logits cannot be compared.
    """
    largest = 0.0
    for batch_size in CHECKED_BATCH_SIZES:
        images_BCHW = _random_images(description, batch_size)
        with torch.no_grad():
            difference = compare_logits(exported(images_BCHW), network(images_BCHW), title)
        largest = max(largest, difference)
    return largest


def compare_logits(actual_BK: Tensor, expected_BK: Tensor, title: str) -> float:
    """Return the largest difference of exported logits from the network's own.

    Raises ExportDiffersError if it is more than rounding explains, if the shapes differ, or if a
    logit of either is not finite.
    """
    if actual_BK.shape != expected_BK.shape:
        raise ExportDiffersError(
            f"Exported to {title}, the network returns logits of shape {tuple(actual_BK.shape)} "
            f"instead of {tuple(expected_BK.shape)}."
        )
    if not expected_BK.isfinite().all():
        raise ExportDiffersError(
            "The network's own logits are not finite, so that no export of it can be checked."
        )
    if not actual_BK.isfinite().all():
        raise ExportDiffersError(
            f"Exported to {title}, the network returns logits that are not finite; its own are."
        )
    difference = float((actual_BK - expected_BK).abs().max())
    size = float(expected_BK.abs().max())
    tolerance = max(RELATIVE_TOLERANCE * size, SMALLEST_TOLERANCE)
    if not difference <= tolerance:
        raise ExportDiffersError(
            f"Exported to {title}, the network gives logits that differ by up to {difference:.2g} "
            f"from its own. At most {tolerance:.2g} is allowed, in proportion to the largest logit "
            f"({size:.3g})."
        )
    return difference


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
