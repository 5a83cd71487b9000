from collections.abc import Callable
from pathlib import Path

import pytest

from core.distillation.jobs.dataset_import import import_dataset
from core.errors import Refused
from core.job_folder import JobFolder
from tests.distillation.data.building import import_job


@pytest.fixture
def import_upload(tmp_path: Path) -> Callable[[bytes], JobFolder]:
    """Imports the bytes as an upload. Whatever happens, nothing but the job folder's own files is left behind."""

    def run(upload: bytes) -> JobFolder:
        job = import_job(tmp_path / "box" / "job")
        job.upload.write_bytes(upload)
        (tmp_path / "box" / "canary").write_text("untouched")
        try:
            import_dataset(job)
        finally:
            assert {path.name for path in job.path.iterdir()} <= {
                "spec.json",
                "upload",
                "output",
                "events.jsonl",
            }
            assert {path.name for path in job.output.iterdir()} <= {"dataset.safetensors"}
            assert {path.name for path in job.path.parent.iterdir()} == {"job", "canary"}
            assert (tmp_path / "box" / "canary").read_text() == "untouched"
        return job

    return run


@pytest.fixture
def refused(
    import_upload: Callable[[bytes], JobFolder], tmp_path: Path
) -> Callable[[bytes], tuple[str, str]]:
    """(code, message) of the refusal; nothing was written, and no message gives a path of this machine away."""

    def run(upload: bytes) -> tuple[str, str]:
        with pytest.raises(Refused) as caught:
            import_upload(upload)
        error = caught.value
        assert str(tmp_path) not in error.message
        assert error.message.endswith(".")
        assert not (tmp_path / "box/job/output/dataset.safetensors").exists()
        return error.code, error.message

    return run
