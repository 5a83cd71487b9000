"""What a command run by ``worker.sandbox`` can still do."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from core.jobspec.job import ImportDatasetSpec, ImportModelSpec
from core.jobspec.resolved import JobSpec
from core.settings import Settings
from tests.builders import model_description, training_spec
from worker.trainer_process import sandbox_options, trainer_environment

UPLOAD = ImportDatasetSpec(dataset_id="dts_1", source="upload")
CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5)"


def run_sandboxed(
    *options: str, code: str, arguments: tuple[str, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    sandbox = [sys.executable, "-P", "-m", "worker.sandbox", *options]
    command = [*sandbox, sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("options", "reached"), [((), True), (("--offline",), False)])
def test_s5_offline_a_command_reaches_no_server(options: tuple[str, ...], reached: bool) -> None:
    """Not even one on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as canary:
        canary.settimeout(0.5)
        process = run_sandboxed(*options, code=CONNECT, arguments=(str(canary.getsockname()[1]),))
        if reached:
            assert process.returncode == 0, process.stderr
            canary.accept()[0].close()
        else:
            assert "OSError" in process.stderr or "Error: [Errno" in process.stderr
            with pytest.raises(TimeoutError):
                canary.accept()


def test_an_offline_command_reads_and_writes_files_as_before(tmp_path: Path) -> None:
    (tmp_path / "here").write_text("x")
    (tmp_path / "here").chmod(0o600)
    process = run_sandboxed(
        "--offline", code=f"open('{tmp_path}/there', 'w').write(open('{tmp_path}/here').read())"
    )
    assert process.returncode == 0, process.stderr
    status = (tmp_path / "there").stat()
    assert (status.st_uid, status.st_mode & 0o777) == (os.geteuid(), 0o600)


def test_a_limit_cannot_be_raised() -> None:
    code = (
        "import resource as r; "
        "print(r.getrlimit(r.RLIMIT_CORE)); r.setrlimit(r.RLIMIT_NOFILE, (65, 65))"
    )
    process = run_sandboxed("--offline", "--limit=CORE=0", "--limit=NOFILE=64", code=code)
    assert process.stdout == "(0, 0)\n"
    assert "ValueError" in process.stderr


def test_memory_beyond_the_limit_is_a_memory_error() -> None:
    process = run_sandboxed(f"--limit=DATA={2**28}", code="bytearray(2**29)")
    assert (process.returncode, process.stderr.splitlines()[-1]) == (1, "MemoryError")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (training_spec(), ["--limit=CORE=0"]),
        (
            ImportModelSpec(model_id="mdl_1", description=model_description()),
            ["--offline", "CORE", "NOFILE", "DATA", "FSIZE"],
        ),
        (UPLOAD, ["--offline", "CORE", "NOFILE", "DATA", "FSIZE"]),
        (
            ImportDatasetSpec(dataset_id="dts_1", source="folder", folder="birds"),
            ["CORE", "NOFILE", "DATA"],
        ),
        (
            ImportDatasetSpec(dataset_id="dts_1", source="download", download="cifar10"),
            ["CORE", "NOFILE", "DATA"],
        ),
    ],
)
def test_restrictions_depend_on_whose_bytes_are_opened(spec: JobSpec, expected: list[str]) -> None:
    options = sandbox_options(spec, Settings())
    assert len(options) == len(expected)
    assert all(part in option for part, option in zip(expected, options, strict=True))


def test_only_a_download_inherits_the_proxy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("https_proxy", "http://somebody:secret@proxy")
    download = ImportDatasetSpec(dataset_id="dts_1", source="download", download="cifar10")
    inherited = [
        "https_proxy" in trainer_environment(tmp_path, Settings(), spec)
        for spec in (download, UPLOAD, training_spec())
    ]
    assert inherited == [True, False, False]


def test_a_trainings_memory_limit_is_the_configured_one() -> None:
    assert "--limit=DATA=5000000000" in sandbox_options(
        training_spec(), Settings(trainer_memory_bytes=5 * 10**9)
    )


def test_an_offline_command_cannot_read_its_parents_environment() -> None:
    process = run_sandboxed("--offline", code=f"open('/proc/{os.getpid()}/environ').read()")
    assert "PermissionError" in process.stderr


def test_an_undumpable_process_is_closed_to_its_user() -> None:
    """The kernel then refuses its memory and environment to all but root."""
    pr_get_dumpable = 3
    code = (
        "import ctypes; from worker.sandbox import make_undumpable; make_undumpable(); "
        f"print(ctypes.CDLL(None).prctl({pr_get_dumpable}, 0, 0, 0, 0))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout == "0\n"
