"""What a command can still do once ``worker.sandbox`` has become it."""

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


def confined(
    *options: str, code: str, arguments: tuple[str, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    command = [
        sys.executable,
        "-P",
        "-m",
        "worker.sandbox",
        *options,
        sys.executable,
        "-c",
        code,
        *arguments,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("options", "reached"), [((), True), (("--offline",), False)])
def test_s5_offline_it_reaches_nothing_not_even_this_machine(
    options: tuple[str, ...], reached: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as canary:
        canary.settimeout(0.5)
        done = confined(*options, code=CONNECT, arguments=(str(canary.getsockname()[1]),))
        if reached:
            assert done.returncode == 0, done.stderr
            canary.accept()[0].close()
        else:
            assert "OSError" in done.stderr or "Error: [Errno" in done.stderr
            with pytest.raises(TimeoutError):
                canary.accept()


def test_offline_files_are_read_and_written_as_before(tmp_path: Path) -> None:
    (tmp_path / "here").write_text("x")
    (tmp_path / "here").chmod(0o600)
    done = confined(
        "--offline", code=f"open('{tmp_path}/there', 'w').write(open('{tmp_path}/here').read())"
    )
    assert done.returncode == 0, done.stderr
    found = (tmp_path / "there").stat()
    assert (found.st_uid, found.st_mode & 0o777) == (os.geteuid(), 0o600)


def test_a_limit_holds_for_good() -> None:
    code = "import resource as r; print(r.getrlimit(r.RLIMIT_CORE)); r.setrlimit(r.RLIMIT_NOFILE, (65, 65))"
    done = confined("--offline", "--limit=CORE=0", "--limit=NOFILE=64", code=code)
    assert done.stdout == "(0, 0)\n"
    assert "ValueError" in done.stderr


def test_memory_beyond_the_limit_is_an_error_not_a_death() -> None:
    done = confined(f"--limit=DATA={2**28}", code="bytearray(2**29)")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "MemoryError")


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
def test_how_a_trainer_is_confined_depends_on_whose_bytes_it_opens(
    spec: JobSpec, expected: list[str]
) -> None:
    found = sandbox_options(spec, Settings())
    assert len(found) == len(expected)
    assert all(part in option for part, option in zip(expected, found, strict=True))


def test_only_a_download_is_told_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("https_proxy", "http://somebody:secret@proxy")
    download = ImportDatasetSpec(dataset_id="dts_1", source="download", download="cifar10")
    told = [
        "https_proxy" in trainer_environment(tmp_path, Settings(), spec)
        for spec in (download, UPLOAD, training_spec())
    ]
    assert told == [True, False, False]


def test_a_training_has_the_memory_that_it_is_given() -> None:
    assert "--limit=DATA=5000000000" in sandbox_options(
        training_spec(), Settings(trainer_memory_bytes=5 * 10**9)
    )


def test_offline_it_cannot_look_into_the_process_that_started_it() -> None:
    done = confined("--offline", code=f"open('/proc/{os.getpid()}/environ').read()")
    assert "PermissionError" in done.stderr


def test_a_worker_lets_no_process_of_its_user_look_into_it() -> None:
    """What the kernel then refuses to whoever is not root's."""
    pr_get_dumpable = 3
    code = (
        "import ctypes; from worker.sandbox import keep_to_itself; keep_to_itself(); "
        f"print(ctypes.CDLL(None).prctl({pr_get_dumpable}, 0, 0, 0, 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
