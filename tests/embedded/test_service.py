"""The embedded service: real processes on a real folder."""

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

import httpx2
import psutil
import pytest

from distill_client.client import Distill
from tests.builders import training_body
from tests.servers import wait_until

Start = Callable[..., "Embedded"]


class Embedded:
    """One process ``python -m embedded``; what it prints goes to files."""

    def __init__(self, data: Path, *arguments: str, **environment: str) -> None:
        self.data = data
        self.output = data.with_suffix(".out")
        self.errors = data.with_suffix(".err")
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
        """Return its children by the module that they run: api and worker.polling."""
        children = {}
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess, IndexError):  # just ending
                children[child.cmdline()[-1]] = child
        return children

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
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.status, json.load(response)


def have_ended(processes: list[psutil.Process], seconds: float) -> bool:
    _, alive = psutil.wait_procs(processes, seconds)
    return not alive


def descendants(service: Embedded) -> list[psutil.Process]:
    children: list[psutil.Process] = psutil.Process(service.process.pid).children(recursive=True)
    return children


def output_lines(service: Embedded, count: int) -> list[str]:
    """Return what it has printed, once there are so many lines."""
    wait_until(lambda: service.output.read_text().count("\n") >= count, 10, f"{count} lines")
    return service.output.read_text().splitlines()


def test_it_prints_its_address_when_it_is_ready(start: Start) -> None:
    service = start().ready()
    line, sign_in_line = output_lines(service, 2)
    assert f"{service.url}/sign-in#token=dkt_" in sign_in_line
    key = service.data / "admin.key"
    assert line == (
        f"distill is ready at {service.url} (data in {service.data}, key in {key}, "
        f"API documentation at {service.url}/docs)"
    )
    assert get(f"{service.url}/readyz")[0] == 200
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert set(service.children()) == {"api", "worker.polling"}
    with service.client() as client:
        assert [it.name for it in client.datasets()] == ["digits"]
    assert service.errors.read_text() == ""


def test_the_printed_address_signs_a_browser_in_once(start: Start) -> None:
    service = start("data", "--port", "0", DISTILL_ROOT_PATH="/distill").ready()
    assert service.url.endswith("/distill")
    address, _, token = output_lines(service, 2)[1].rpartition(" ")[2].partition("#token=")
    assert address == f"{service.url}/sign-in"
    origin = {"Origin": service.url.removesuffix("/distill")}
    with httpx2.Client(headers=origin, trust_env=False) as browser:
        for status in (201, 401):
            response = browser.post(f"{service.url}/v1/session", json={"token": token})
            assert response.status_code == status
        assert browser.get(f"{service.url}/v1/session").json()["key_name"] == "embedded-admin"
        assert browser.delete(f"{service.url}/v1/session").status_code == 204
        with service.client() as client:
            token = client.sign_in_address().partition("#token=")[2]
            assert client.session().project == "default"
        response = browser.post(f"{service.url}/v1/session", json={"token": token})
        assert response.status_code == 201
    for log in (service.data / "logs").iterdir():
        assert token[:12] not in log.read_text()


def test_no_sign_in_address_without_a_dashboard(start: Start) -> None:
    service = start("data", "--port", "0", DISTILL_DASHBOARD="off").ready()
    service.end()
    assert "sign-in" not in service.output.read_text()


def test_a_second_service_on_the_same_folder_is_refused(start: Start) -> None:
    first = start().ready()
    command = [sys.executable, "-m", "embedded", "--data", str(first.data), "--port", "0"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (second.returncode, second.stdout) == (1, "")
    assert f"in use by another embedded service (process {first.process.pid})" in second.stderr
    assert get(f"{first.url}/healthz")[0] == 200


def test_a_port_in_use_is_explained(start: Start) -> None:
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


def test_s6_it_is_reachable_from_elsewhere_only_by_host_and_key(start: Start) -> None:
    """Other machines can connect only if ``--host`` says so, and need an API key."""
    by_environment = start("by-environment", "--port", "0", DISTILL_HOST="0.0.0.0")
    assert by_environment.process.wait(60) == 2
    assert "--host 0.0.0.0" in by_environment.errors.read_text()
    by_option = start("by-option", "--port", "0", "--host", "0.0.0.0").ready()
    assert by_option.url.startswith("http://127.0.0.1:")
    assert get(f"{by_option.url}/healthz")[0] == 200
    for headers, status in (({}, 401), ({"Host": "evil.example"}, 403)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(
                urllib.request.Request(f"{by_option.url}/v1/jobs", headers=headers), timeout=10
            )
        assert refused.value.code == status


def test_servers_named_in_the_environment_are_not_used(start: Start) -> None:
    """They belong to a deployment that is administered from the same shell."""
    servers = {
        "DISTILL_DATABASE_URL": "postgresql://127.0.0.1:9/production",
        "DISTILL_BROKER_URL": "redis://127.0.0.1:9",
        "DISTILL_PORT": "tcp://127.0.0.1:9",  # as Kubernetes sets it for a service of this name
    }
    service = start("data", "--port", "0", **servers).ready()
    assert (service.data / "distill.db").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_every_process_within_seconds(start: Start, number: signal.Signals) -> None:
    service = start().ready()
    children = descendants(service)
    service.process.send_signal(number)
    assert service.process.wait(20) == 0
    assert have_ended(children, 0.5)
    assert not (service.data / "url").exists()
    assert service.errors.read_text() == ""


def test_a_killed_service_leaves_no_child_and_a_usable_folder(start: Start) -> None:
    service = start().ready()
    key = (service.data / "admin.key").read_text()
    children = descendants(service)
    service.process.kill()
    service.process.wait(5)
    assert have_ended(children, 20)
    again = start().ready()
    assert (again.data / "admin.key").read_text() == key
    with again.client() as client:
        assert list(client.jobs()) == []


@pytest.mark.parametrize("module", ["api", "worker.polling"])
def test_a_killed_child_is_restarted(start: Start, module: str) -> None:
    service = start().ready()
    killed = service.children()[module]
    killed.kill()

    def is_replaced() -> bool:
        child = service.children().get(module)  # once: the next call may return other children
        return child is not None and child.pid != killed.pid

    wait_until(is_replaced, 30, "another child")
    wait_until(lambda: is_ready(service), 30, "a ready API")
    assert "ended by signal 9; it is restarted" in service.errors.read_text()


def is_ready(service: Embedded) -> bool:
    try:
        return get(f"{service.url}/readyz")[0] == 200
    except OSError:
        return False


def test_an_invalid_setting_is_explained(start: Start) -> None:
    service = start("data", "--port", "0", DISTILL_MAX_BODY_BYTES="1")
    assert service.process.wait(60) == 2
    assert service.errors.read_text().startswith("The setting max_body_bytes: ")
    assert "Traceback" not in service.errors.read_text()


def test_a_job_runs_to_its_end_and_another_survives_a_restart(start: Start, tmp_path: Path) -> None:
    service = start().ready()
    with service.client() as client:
        job = client.wait(client.submit(training_body()).id)
        assert job.status == "succeeded", job.failure
        files = {path.name for path in client.download(job.id, tmp_path / "results")}
        assert {"best.safetensors", "last.safetensors", "report.json", "report.html"} <= files
        assert job.results is not None
        report = client.report(job.id)
        assert report["results"]["best"]["clean"]["value"] == job.results["best"]["clean"]
        loss = client.metrics(job.id, ["loss"], points=10)
        assert [series.name for series in loss.series] == ["loss"]
        metadata = {"length": "long"}
        long = client.clone(job.id, {"schedule": {"epochs": 500}, "metadata": metadata})
        matches = client.jobs(metadata=metadata, status=["queued", "running"])
        assert [match.id for match in matches] == [long.id]
        client.revoke_key(client.create_key("short-lived", ["read"]).id)
        wait_until(lambda: client.job(long.id).phase == "training", 60, "training")
    children = descendants(service)
    service.process.terminate()
    assert service.process.wait(40) == 0
    assert have_ended(children, 1)
    again = start().ready()
    with again.client() as client:
        wait_until(lambda: client.job(long.id).phase == "training", 60, "training again")
        client.cancel(long.id)
        assert client.wait(long.id).status == "cancelled"
        assert client.job(long.id).attempt == 2
