"""A file that cannot be made costs that file and a warning, never the job's result."""

import errno
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core import figures
from core.distillation import export
from core.distillation.evaluation import measures
from core.distillation.jobs import run as job_run
from core.distillation.reporting import rendering
from core.errors import JobFailed
from core.job_folder import FileReady, JobFolder, Warned
from core.jobspec.job import ExportFormat
from tests.distillation.folders import SMALL_JOB, create_job_folder, run_job, training_spec
from tests.distillation.jobs import test_evaluation

ALL_FILES = {
    "best.safetensors",
    "last.safetensors",
    "student.pt2",
    "student.onnx",
    "training.png",
    "training.svg",
    "per_class.png",
    "per_class.svg",
    "report.md",
    "report.html",
    "report.json",
    "MODEL_CARD.md",
}


def fail(*_: Any) -> Any:
    raise RuntimeError("It broke at /opt/secret/place.py, line 7\nand went on for pages")


def training_folder(path: Path, *formats: ExportFormat) -> JobFolder:
    evaluation = SMALL_JOB["evaluation"] | {"attacks": [], "limit": 20}
    schedule = {"epochs": 1, "batch_size": 64}
    spec = training_spec(schedule=schedule, evaluation=evaluation, export=list(formats))
    return create_job_folder(path, spec)


def saved_files(folder: JobFolder) -> set[str]:
    files = [event for event in folder.read_events()[0] if isinstance(event, FileReady)]
    return {file.name for file in files if file.kind != "checkpoint"}


def warnings_of(folder: JobFolder) -> list[Warned]:
    return [event for event in folder.read_events()[0] if isinstance(event, Warned)]


def report_of(folder: JobFolder) -> Any:
    return json.loads((folder.output / "report.json").read_text())


def break_exporter(monkeypatch: pytest.MonkeyPatch, export_format: ExportFormat) -> None:
    broken = replace(export.EXPORTERS[export_format], serialize=fail)
    monkeypatch.setitem(export.EXPORTERS, export_format, broken)


def test_a_failed_export_costs_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_exporter(monkeypatch, "onnx")
    folder = training_folder(tmp_path / "job", "onnx", "torch_export")
    assert run_job(folder).outcome == "succeeded"
    assert saved_files(folder) == ALL_FILES - {"student.onnx"}
    (warning,) = warnings_of(folder)
    assert warning.code == "export_failed"
    assert warning.message == (
        "student.onnx could not be made. RuntimeError: It broke at place.py, line 7"
    )
    assert warning.message in report_of(folder)["warnings"]
    assert "student.onnx |" not in (folder.output / "MODEL_CARD.md").read_text()


def test_an_export_with_other_logits_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = export.EXPORTERS["torch_export"]

    def load(content: bytes) -> Callable[[Any], Any]:
        run = exporter.load(content)
        return lambda images_BCHW: run(images_BCHW).flip(1)

    monkeypatch.setitem(export.EXPORTERS, "torch_export", replace(exporter, load=load))
    folder = training_folder(tmp_path / "job", "torch_export")
    assert run_job(folder).outcome == "succeeded"
    assert saved_files(folder) == ALL_FILES - {"student.onnx", "student.pt2"}
    (warning,) = warnings_of(folder)
    assert warning.message.startswith("student.pt2 could not be made. Exported to torch.export,")


def test_an_evaluation_survives_its_exports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_exporter(monkeypatch, "onnx")
    evaluation = {**test_evaluation.EVALUATION, "attacks": []}
    folder = test_evaluation.create_job_folder(
        tmp_path / "job", evaluation=evaluation, export=["onnx"]
    )
    assert run_job(folder).outcome == "succeeded"
    (warning,) = warnings_of(folder)
    assert report_of(folder)["warnings"][0] == warning.message


@pytest.mark.parametrize(
    ("target", "name", "code", "title", "missing"),
    [
        (figures, "per_class", "figure_failed", "The figure per_class", {"per_class.png"}),
        (rendering, "render_markdown", "document_failed", "report.md", {"report.md"}),
        (rendering, "render_html", "document_failed", "report.html", {"report.html"}),
        (rendering, "render_model_card", "document_failed", "MODEL_CARD.md", {"MODEL_CARD.md"}),
        (
            job_run,
            "build_report",
            "document_failed",
            "The report",
            {"report.md", "report.html", "report.json", "MODEL_CARD.md"},
        ),
    ],
    ids=["figure", "Markdown", "HTML", "model card", "report"],
)
def test_any_file_of_the_report_may_fail_alone(
    target: Any,
    name: str,
    code: str,
    title: str,
    missing: set[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(target, name, fail)
    folder = training_folder(tmp_path / "job")
    assert run_job(folder).outcome == "succeeded"
    missing = missing | {file.replace(".png", ".svg") for file in missing}
    assert saved_files(folder) == ALL_FILES - {"student.onnx", "student.pt2"} - missing
    (warning,) = warnings_of(folder)
    assert warning.code == code
    assert warning.message.startswith(f"{title} could not be made.")
    if "report.json" not in missing:
        assert warning.message in report_of(folder)["warnings"]


def test_a_full_disk_is_no_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job is paused until there is room, and makes the file then."""

    @contextmanager
    def full() -> Iterator[str]:
        raise OSError(errno.ENOSPC, "No space left on device")
        yield ""

    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    folder = training_folder(tmp_path / "job", "onnx")
    with pytest.raises(OSError, match="No space left"):
        run_job(folder)
    assert warnings_of(folder) == []


# -- analyses


def analyzed_folder(path: Path) -> JobFolder:
    evaluation = {
        **test_evaluation.EVALUATION,
        "attacks": [{"name": "pgd", "steps": 1}],
        "analyses": [{"name": "spectra"}, {"name": "calibration"}],
    }
    return test_evaluation.create_job_folder(path, evaluation=evaluation)


def break_analysis(monkeypatch: pytest.MonkeyPatch, error: Exception, name: str) -> None:
    def failing(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setitem(measures.MEASURES, name, failing)


def test_a_failed_analysis_costs_no_other_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = ValueError("eigh did not converge")
    break_analysis(monkeypatch, error, "spectra")
    folder = analyzed_folder(tmp_path / "job")
    assert run_job(folder).outcome == "succeeded"
    results = report_of(folder)["results"]["model"]
    assert "calibration" in results
    assert "spectra" not in results
    assert any(name.startswith("pgd") for name in results)
    (warning,) = warnings_of(folder)
    assert (warning.code, warning.message) == (
        "analysis_failed",
        "The analysis spectra could not be made. ValueError: eigh did not converge",
    )
    assert report_of(folder)["warnings"][0] == warning.message


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (MemoryError(), "spectra"),
        (OSError(errno.EIO, "Input/output error"), "spectra"),
        (JobFailed("incomplete_checkpoint", "infrastructure", "It is incomplete."), "spectra"),
        (ValueError("an attack is no analysis"), "pgd"),
    ],
)
def test_other_failures_of_an_evaluation_are_the_jobs(
    error: Exception, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another attempt may get right is tried again, and accuracies are indispensable."""
    break_analysis(monkeypatch, error, name)
    with pytest.raises(type(error)):
        run_job(analyzed_folder(tmp_path / "job"))
