"""The same jobs on the embedded service, and on the processes of docker-compose.yml."""

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
from tests.deployment.composed import ROOT, SERVICES, service_command, service_environment
from tests.deployment.end_to_end import TEACHER, run_end_to_end
from tests.servers import S3, Postgres, Redis, free_port, wait_until
from tests.worker.service import Service, wait_for


def is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", timeout=2).status_code == 200
    except httpx2.HTTPError:
        return False


def test_end_to_end_on_the_embedded_service(tmp_path: Path) -> None:
    port = free_port()
    command = ("-m", "embedded", "--port", str(port), "--data", str(tmp_path / "home"))
    with Service({}, tmp_path / "embedded.log", command) as service:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: is_ready(url), 60, "the embedded service")
        with Distill(url, (tmp_path / "home" / "admin.key").read_text().strip()) as distill:
            run_end_to_end(distill, tmp_path / "student")
        service.process.terminate()
        assert service.wait(40) == 0


class Composed:
    """The services of docker-compose.yml as processes of this machine.

    Their commands and environments are those of the file, but for addresses and folders.
    """

    def __init__(self, folder: Path, postgres: Postgres, redis: Redis, s3: S3) -> None:
        self.folder = folder
        self.key = f"dk_{secrets.token_urlsafe(32)}"
        self.port = free_port()
        s3.create_bucket("distill")
        store = s3.settings("distill")
        self.overrides = {
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
        environment = service_environment(name, self.overrides)
        return Service(environment, self.folder / f"{name}.log", service_command(name))


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[Composed]:
    with ExitStack() as stack:
        postgres = Postgres()
        redis = Redis()
        s3 = S3()
        for server in (postgres, redis, s3):
            server.start()
            stack.callback(server.close)
        yield Composed(tmp_path, postgres, redis, s3)


def test_end_to_end_on_the_services_of_the_compose_file(composed: Composed, tmp_path: Path) -> None:
    """On Postgres, Redis, Celery and S3. A worker that is stopped releases its job."""
    with composed.start("migrate") as migration:
        assert migration.wait(60) == 0, migration.log.read_text()
    with composed.start("api"), composed.start("worker") as worker:
        wait_until(lambda: is_ready(composed.url), 60, "the API")
        with Distill(composed.url, composed.key) as distill:
            run_end_to_end(distill, tmp_path / "student")
            long = distill.submit({**TEACHER, "schedule": {"epochs": 10_000, "batch_size": 64}}).id
            wait_for(lambda: distill.job(long).phase == "training", 60, "the start of training")
            worker.process.terminate()
            assert worker.wait(60) == 0
            released = distill.job(long)
            assert (released.status, released.attempt) == ("queued", 1)
            assert any(artifact.kind == "checkpoint" for artifact in distill.artifacts(long))


def test_a_job_submitted_while_the_broker_is_down_runs(composed: Composed, tmp_path: Path) -> None:
    with composed.start("migrate") as migration:
        assert migration.wait(60) == 0
    broker = composed.overrides["DISTILL_BROKER_URL"]
    composed.overrides["DISTILL_BROKER_URL"] = f"redis://127.0.0.1:{free_port()}/0"
    with composed.start("api"):
        wait_until(lambda: is_ready(composed.url), 60, "the API")
        composed.overrides["DISTILL_BROKER_URL"] = broker
        with composed.start("worker"), Distill(composed.url, composed.key) as distill:
            job = distill.submit(TEACHER)
            assert job.status == "queued"
            assert distill.wait(job.id).status == "succeeded"


def test_services_wait_for_what_the_compose_file_defines() -> None:
    for service in SERVICES.values():
        for name, condition in service.get("depends_on", {}).items():
            is_health = condition["condition"] == "service_healthy"
            assert ("healthcheck" if is_health else "command") in SERVICES[name]


def test_the_compose_file_sets_only_existing_settings() -> None:
    from core.settings import Settings

    known = {f"DISTILL_{name.upper()}" for name in Settings.model_fields}
    for name in ("migrate", "api", "worker"):
        assert SERVICES[name]["environment"].keys() <= known


def test_every_secret_of_the_compose_file_is_in_the_example() -> None:
    compose_file = (ROOT / "docker-compose.yml").read_text()
    example = (ROOT / "deploy" / "env.example").read_text()
    required = set(re.findall(r"\$\{([A-Z0-9_]+):\?", compose_file))
    assert required <= set(re.findall(r"^([A-Z0-9_]+)=", example, re.MULTILINE))


def test_the_image_has_every_package_and_no_tests() -> None:
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


def test_an_installed_wheel_has_migrations_and_examples(tmp_path: Path) -> None:
    """They are found in an installation as the image has it, without the source tree."""
    pip_install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    options = ["--no-build-isolation", "--target", str(tmp_path)]
    subprocess.run([*pip_install, *options, str(ROOT)], check=True, capture_output=True)
    code = (
        "import core.store.database.engine as e; e.migrate('sqlite:///there.db'); "
        "from api.submission import examples; assert examples.load_examples(); print(e.__file__)"
    )
    environment = {"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert str(tmp_path) in process.stdout
