"""The same walk on the embedded default, and on the processes of docker-compose.yml started by hand."""

import os
import re
import secrets
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from distill_client import Distill
from tests.deployment.composed import ROOT, SERVICES, command, settings
from tests.deployment.walk import TEACHER, walk
from tests.servers import S3, Postgres, Redis, free_port, wait_until
from tests.worker.service import Service, wait_for


def answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", timeout=2).status_code == 200
    except httpx2.HTTPError:
        return False


def test_the_walk_on_the_embedded_default(tmp_path: Path) -> None:
    port = free_port()
    command = ("-m", "embedded", "--port", str(port), "--data", str(tmp_path / "home"))
    with Service({}, tmp_path / "embedded.log", command) as service:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(url), 60, "the embedded service")
        with Distill(url, (tmp_path / "home" / "admin.key").read_text().strip()) as distill:
            walk(distill, tmp_path / "student")
        service.process.terminate()
        assert service.wait(40) == 0


class Composed:
    """The services of docker-compose.yml as processes: its commands, its environment with this machine's addresses."""

    def __init__(self, folder: Path, postgres: Postgres, redis: Redis, s3: S3) -> None:
        self.folder, self.key, self.port = folder, f"dk_{secrets.token_urlsafe(32)}", free_port()
        s3.create_bucket("distill")
        store = s3.settings("distill")
        self.here = {
            "DISTILL_DATABASE_URL": postgres.create_database("distill"),
            "DISTILL_BROKER_URL": redis.url,
            "DISTILL_S3_ENDPOINT": store["s3_endpoint"],
            "DISTILL_S3_ACCESS_KEY_ID": store["s3_access_key_id"],
            "DISTILL_S3_SECRET_ACCESS_KEY": store["s3_secret_access_key"],
            "DISTILL_BOOTSTRAP_KEY": self.key,
            "DISTILL_HOST": "127.0.0.1",
            "DISTILL_PORT": str(self.port),
            "DISTILL_DATA_FOLDER": str(folder / "data"),
            "DISTILL_SCRATCH_FOLDER": str(folder / "scratch"),
        }
        (folder / "data").mkdir()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, name: str) -> Service:
        return Service(settings(name, self.here), self.folder / f"{name}.log", command(name))


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[Composed]:
    with ExitStack() as stack:
        servers = []
        for server in (Postgres(), Redis(), S3()):
            servers.append(server.start())
            stack.callback(server.close)
        yield Composed(tmp_path, *servers)  # type: ignore[arg-type]


def test_the_walk_on_postgres_redis_celery_and_s3_as_docker_compose_starts_them(
    composed: Composed, tmp_path: Path
) -> None:
    with composed.start("migrate") as migration:
        assert migration.wait(60) == 0, migration.log.read_text()
    with composed.start("api"), composed.start("worker") as worker:
        wait_until(lambda: answers(composed.url), 60, "the API")
        with Distill(composed.url, composed.key) as distill:
            walk(distill, tmp_path / "student")
            long = distill.submit({**TEACHER, "schedule": {"epochs": 10_000, "batch_size": 64}}).id
            wait_for(lambda: distill.job(long).phase == "training", 60, "the start of training")
            worker.process.terminate()
            assert worker.wait(60) == 0
            given_back = distill.job(long)
            assert (given_back.status, given_back.attempt) == ("queued", 1)
            assert any(artifact.kind == "checkpoint" for artifact in distill.artifacts(long))


def test_a_job_submitted_while_the_broker_is_down_is_accepted_and_runs(
    composed: Composed, tmp_path: Path
) -> None:
    with composed.start("migrate") as migration:
        assert migration.wait(60) == 0
    broker = composed.here["DISTILL_BROKER_URL"]
    composed.here["DISTILL_BROKER_URL"] = f"redis://127.0.0.1:{free_port()}/0"
    with composed.start("api"):
        wait_until(lambda: answers(composed.url), 60, "the API")
        composed.here["DISTILL_BROKER_URL"] = broker
        with composed.start("worker"), Distill(composed.url, composed.key) as distill:
            job = distill.submit(TEACHER)
            assert job.status == "queued"
            assert distill.wait(job.id).status == "succeeded"


def test_every_service_of_the_compose_file_has_what_it_waits_for() -> None:
    for service in SERVICES.values():
        for name, condition in service.get("depends_on", {}).items():
            wanted = "healthcheck" if condition["condition"] == "service_healthy" else "command"
            assert wanted in SERVICES[name]


def test_every_setting_of_the_compose_file_is_one_that_the_program_reads() -> None:
    from core.settings import Settings

    known = {f"DISTILL_{name.upper()}" for name in Settings.model_fields}
    for name in ("migrate", "api", "worker"):
        assert SERVICES[name]["environment"].keys() <= known


def test_every_secret_of_the_compose_file_is_in_the_example() -> None:
    asked = set(re.findall(r"\$\{([A-Z0-9_]+):\?", (ROOT / "docker-compose.yml").read_text()))
    offered = set(
        re.findall(r"^([A-Z0-9_]+)=", (ROOT / "deploy" / "env.example").read_text(), re.MULTILINE)
    )
    assert asked <= offered


def test_the_image_holds_every_package_and_no_tests() -> None:
    copied = {
        shlex.split(line)[1]
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY")
    }
    assert {
        "api",
        "worker",
        "core",
        "client",
        "migrations",
        "embedded",
        "constraints.txt",
    } <= copied
    assert "tests" not in copied


def test_an_installed_wheel_has_the_migrations(tmp_path: Path) -> None:
    """As the image installs it: not from the source tree."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(command, check=True, capture_output=True)
    code = (
        "import core.store.database.engine as e; e.migrate('sqlite:///there.db'); print(e.__file__)"
    )
    environment = {"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert str(tmp_path) in done.stdout
