from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.distillation.jobs.dataset_import import import_dataset
from core.errors import Refused
from core.job_folder import JobFolder
from tests.distillation.data.builders import (
    ImportEncoded,
    ImportUpload,
    RefusalOf,
    import_job,
    install_import,
)


@pytest.fixture
def import_upload(tmp_path: Path) -> ImportUpload:
    """Import bytes as an upload, and check that only the job folder's own files are left behind."""

    def run(upload: bytes) -> JobFolder:
        job = import_job(tmp_path / "box" / "job")
        job.upload.write_bytes(upload)
        (tmp_path / "box" / "canary").write_text("untouched")
        try:
            import_dataset(job)
        finally:
            assert {path.name for path in job.path.iterdir()} <= {
                "spec.json",
                "inputs.json",
                "upload",
                "output",
                "events.jsonl",
            }
            names = {path.name for path in job.output.iterdir()}
            thumbnails = {path.name for path in job.output.glob("thumbnails-???.webp")}
            assert names - thumbnails <= {"dataset.safetensors"}
            assert {path.name for path in job.path.parent.iterdir()} == {"job", "canary"}
            assert (tmp_path / "box" / "canary").read_text() == "untouched"
        return job

    return run


@pytest.fixture
def refusal_of(import_upload: Callable[[bytes], JobFolder], tmp_path: Path) -> RefusalOf:
    """Return (code, message) of an upload's refusal.

    Nothing was written, and the message gives no path of this machine away.
    """

    def run(upload: bytes) -> tuple[str, str]:
        with pytest.raises(Refused) as caught:
            import_upload(upload)
        error = caught.value
        assert str(tmp_path) not in error.message
        assert error.message.endswith(".")
        assert not (tmp_path / "box/job/output/dataset.safetensors").exists()
        return error.code, error.message

    return run


@pytest.fixture
def import_encoded(tmp_path: Path) -> ImportEncoded:
    """Import bytes as images that stay encoded, used at 32x32 pixels unless changed."""

    def run(upload: bytes, **changes: Any) -> JobFolder:
        job = import_job(tmp_path / "job", **({"image_size": 32} | changes))
        job.upload.write_bytes(upload)
        import_dataset(job)
        names = {path.name for path in job.output.iterdir()}
        assert names == {"dataset.safetensors", "thumbnails-000.webp"}
        install_import(job)
        return job

    return run
