"""The embedded service as it is: real processes on a real folder."""

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from distill_client.client import Distill
from tests.builders import training_body
from tests.servers import wait_until

Start = Callable[..., "Embedded"]


class Embedded:
    """One ``python -m embedded``, with what it prints in files of its own."""

    def __init__(self, data: Path, *arguments: str, **environment: str) -> None:
        self.data = data
        self.output, self.errors = data.with_suffix(".out"), data.with_suffix(".err")
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "embedded", "--data", str(data), *arguments],
                stdout=output,
                stderr=errors,
                env={**os.environ, "DISTILL_THREADS": "1", **environment},
            )

    def ready(self) -> "Embedded":
        wait_until(
            lambda: "\n" in self.output.read_text() or self.process.poll() is not None,
            60,
            "the line",
        )
        assert self.process.poll() is None, self.errors.read_text()
        return self

    @property
    def url(self) -> str:
        return (self.data / "url").read_text().strip()

    def children(self) -> dict[str, psutil.Process]:
        """By what they run: api and worker.polling."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess, IndexError):  # it is just ending
                found[child.cmdline()[-1]] = child
        return found

    def client(self) -> Distill:
        return Distill(self.url, (self.data / "admin.key").read_text().strip(), timeout=20)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Embedded] = []

    def begin(name: str = "data", *arguments: str, **environment: str) -> Embedded:
        service = Embedded(tmp_path / name, *(arguments or ("--port", "0")), **environment)
        started.append(service)
        return service

    yield begin
    for service in started:
        service.end()


def get(url: str) -> tuple[int, Any]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.status, json.load(answer)


def gone(processes: list[psutil.Process], seconds: float) -> bool:
    return psutil.wait_procs(processes, seconds)[1] == []


def family(service: Embedded) -> list[psutil.Process]:
    return psutil.Process(service.process.pid).children(recursive=True)


def test_it_says_one_line_and_is_ready_by_then(start: Start) -> None:
    service = start().ready()
    (line,) = service.output.read_text().splitlines()
    data, key = service.data, service.data / "admin.key"
    assert line == (
        f"distill is ready at {service.url} (data in {data}, key in {key}, API documentation at {service.url}/docs)"
    )
    assert get(f"{service.url}/readyz")[0] == 200
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert set(service.children()) == {"api", "worker.polling"}
    with service.client() as client:
        assert [it.name for it in client.datasets()] == ["digits"]
    assert service.errors.read_text() == ""


def test_a_second_one_on_the_same_folder_is_refused(start: Start) -> None:
    first = start().ready()
    command = [sys.executable, "-m", "embedded", "--data", str(first.data), "--port", "0"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (second.returncode, second.stdout) == (1, "")
    assert f"in use by another embedded service (process {first.process.pid})" in second.stderr
    assert get(f"{first.url}/healthz")[0] == 200


def test_a_port_that_is_taken_is_a_sentence(start: Start) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        service = start("data", "--port", str(port))
        assert service.process.wait(60) == 1
    assert service.errors.read_text().startswith(
        f"Port {port} at 127.0.0.1 cannot be used: Address already in use."
    )
    assert service.output.read_text() == ""


def test_s6_another_machine_can_connect_only_where_that_was_asked_for_and_only_with_a_key(
    start: Start,
) -> None:
    unasked = start("unasked", "--port", "0", DISTILL_HOST="0.0.0.0")
    assert unasked.process.wait(60) == 2
    assert "--host 0.0.0.0" in unasked.errors.read_text()
    asked = start("asked", "--port", "0", "--host", "0.0.0.0").ready()
    assert asked.url.startswith("http://127.0.0.1:")
    assert get(f"{asked.url}/healthz")[0] == 200
    for headers, status in (({}, 401), ({"Host": "evil.example"}, 403)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(
                urllib.request.Request(f"{asked.url}/v1/jobs", headers=headers), timeout=10
            )
        assert refused.value.code == status


def test_a_deployments_settings_in_the_same_shell_are_not_touched(start: Start) -> None:
    elsewhere = {
        "DISTILL_DATABASE_URL": "postgresql://127.0.0.1:9/production",
        "DISTILL_BROKER_URL": "redis://127.0.0.1:9",
    }
    service = start("data", "--port", "0", **elsewhere).ready()
    assert (service.data / "distill.db").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_of_it_within_seconds(start: Start, number: signal.Signals) -> None:
    service = start().ready()
    children = family(service)
    service.process.send_signal(number)
    assert service.process.wait(20) == 0
    assert gone(children, 0.5)
    assert not (service.data / "url").exists()
    assert service.errors.read_text() == ""


def test_killed_outright_it_leaves_no_child_and_a_folder_that_can_be_used(start: Start) -> None:
    service = start().ready()
    key = (service.data / "admin.key").read_text()
    children = family(service)
    service.process.kill()
    service.process.wait(5)
    assert gone(children, 20)
    again = start().ready()
    assert (again.data / "admin.key").read_text() == key
    with again.client() as client:
        assert list(client.jobs()) == []


@pytest.mark.parametrize("module", ["api", "worker.polling"])
def test_a_child_that_falls_is_started_again(start: Start, module: str) -> None:
    service = start().ready()
    fallen = service.children()[module]
    fallen.kill()

    def another() -> bool:
        child = service.children().get(
            module
        )  # asked once: the fallen one may be gone the next time
        return child is not None and child.pid != fallen.pid

    wait_until(another, 30, "another child")
    wait_until(lambda: answers(service), 30, "an answer")
    assert "ended by signal 9; it is started again" in service.errors.read_text()


def answers(service: Embedded) -> bool:
    try:
        return get(f"{service.url}/readyz")[0] == 200
    except OSError:
        return False


def test_a_setting_that_cannot_be_used_is_a_sentence(start: Start) -> None:
    service = start("data", "--port", "0", DISTILL_MAX_BODY_BYTES="1")
    assert service.process.wait(60) == 2
    assert service.errors.read_text().startswith("The setting max_body_bytes: ")
    assert "Traceback" not in service.errors.read_text()


def test_a_job_goes_all_the_way_and_one_under_way_outlives_a_restart(
    start: Start, tmp_path: Path
) -> None:
    service = start().ready()
    with service.client() as client:
        done = client.wait(client.submit(training_body()).id)
        assert done.status == "succeeded", done.failure
        files = client.download(done.id, tmp_path / "results")
        assert {"best.safetensors", "last.safetensors", "report.json", "report.html"} <= {
            path.name for path in files
        }
        assert (
            client.report(done.id)["results"]["best"]["clean"]["value"]
            == done.results["best"]["clean"]
        )  # type: ignore[index]
        assert [series.name for series in client.metrics(done.id, ["loss"], points=10).series] == [
            "loss"
        ]
        long = client.clone(done.id, {"schedule": {"epochs": 500}, "metadata": {"length": "long"}})
        assert [
            it.id for it in client.jobs(metadata={"length": "long"}, status=["queued", "running"])
        ] == [long.id]
        client.revoke_key(client.create_key("short-lived", ["read"]).id)
        wait_until(lambda: client.job(long.id).phase == "training", 60, "training")
    children = family(service)
    service.process.terminate()
    assert service.process.wait(40) == 0
    assert gone(children, 1)
    again = start().ready()
    with again.client() as client:
        wait_until(lambda: client.job(long.id).phase == "training", 60, "training again")
        client.cancel(long.id)
        assert client.wait(long.id).status == "cancelled"
        assert client.job(long.id).attempt == 2
