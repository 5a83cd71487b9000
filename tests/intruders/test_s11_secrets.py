"""S11: secrets of settings, headers and URLs are in no log, response or artifact.

Templates in texts are stored verbatim.
"""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from core import logs
from core.errors import JobFailed
from core.job_folder import JobFolder
from core.settings import Settings
from core.store import attempts
from core.store.attempts import Attempt
from core.store.lifecycle.retry_policy import RetryPolicy, apply_retry_policy
from tests.api.builders import create_artifact
from tests.api.conftest import KEY
from tests.builders import create_job, training_body
from tests.intruders.installation import Installation, start_installation
from tests.intruders.problems import assert_no_internals, assert_problem
from tests.worker.logs.builders import create_log
from tests.worker.service import Service as WorkerService
from tests.worker.service import wait_for
from worker.attempt_result import AttemptResult
from worker.outputs import Outputs
from worker.supervisor import Supervisor

SECRETS = {
    "s3_secret_access_key": "s3Canary/Secret+aaaa",
    "s3_access_key_id": "AKIACANARYACCESSKEY1",
    "bootstrap_key": "dk_bootstrapCanary0123456789",
    "broker_url": "redis://:brokerCanaryPassword@127.0.0.1:1/0",
}
ENVIRONMENT = {
    "PGPASSWORD": "pgCanaryPassword",
    "AWS_SECRET_ACCESS_KEY": "awsCanarySecretValue",
    "AWS_SESSION_TOKEN": "awsCanaryTokenValue",
}
CANARIES = (
    "s3Canary/Secret+aaaa",
    "AKIACANARYACCESSKEY1",
    "bootstrapCanary0123456789",
    "brokerCanaryPassword",
    "pgCanaryPassword",
    "awsCanarySecretValue",
    "awsCanaryTokenValue",
    "headerCanary0123456789",
    "cookieCanary0123456789",
    "queryCanary0123456789",
    "pathCanary0123456789",
    "urlCanaryPassword",
    KEY,
)
TEMPLATES = (
    "$DATABASE_URL",
    "${DISTILL_S3_SECRET_ACCESS_KEY}",
    "{{7*7}}",
    "{% import os %}{{ os.environ }}",
    "${jndi:ldap://127.0.0.1:9/a}",
    "%(asctime)s %s %n",
    "{0.__class__.__mro__}",
    "`id`; $(id) | tee x",
    "<%= 7*7 %>#{7*7}",
    "=cmd|'/c calc'!A1",
)


@pytest.fixture(scope="module")
def secret_installation(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> Iterator[Installation]:
    """An installation whose settings and environment are full of secrets."""
    folder = tmp_path_factory.mktemp("secret_installation")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        with start_installation(sqlite_template, folder, **SECRETS) as installation:
            yield installation


@pytest.fixture(scope="module")
def worker(secret_installation: Installation) -> Iterator[WorkerService]:
    """A worker of the installation, with the same secrets."""
    settings = {
        **SECRETS,
        "home": str(secret_installation.settings.home),
        "database_url": secret_installation.settings.database_url,
        "broker_url": "",
    }
    variables = {f"DISTILL_{name.upper()}": value for name, value in settings.items()}
    log = secret_installation.folder / "worker.log"
    with WorkerService(variables | ENVIRONMENT, log) as service:
        yield service


@pytest.fixture(scope="module")
def finished_job_id(secret_installation: Installation, worker: WorkerService) -> str:
    """A job that has been trained to its end, with templates as its texts."""
    client = secret_installation.client
    body = training_body(name=TEMPLATES[2], metadata={"note": TEMPLATES[3]})
    job_id = client.post("/v1/jobs", json=body).json()["id"]
    wait_for(lambda: client.get(f"/v1/jobs/{job_id}").json()["terminal"], 120, "the end of a job")
    return str(job_id)


def logs_and_files(installation: Installation) -> str:
    """Return both logs and every file that the service has stored, as one text."""
    files = [
        path
        for path in (installation.folder / "home").rglob("*")
        if path.is_file() and path.suffix not in {".db-wal", ".db-shm", ".db"}
    ]
    paths = [*installation.folder.glob("*.log"), *files]
    return "\n".join(path.read_bytes().decode("latin-1") for path in paths)


def claim_new_job(installation: Installation) -> Attempt:
    """Create a job and claim it before the installation's worker does, which also polls."""

    def create_and_claim() -> Attempt | None:
        create_job(installation.engine)
        return attempts.claim(installation.engine, "ours", 30)

    attempt: Attempt = wait_for(create_and_claim, 30, "a claim")
    return attempt


def requests_with_secrets(client: httpx2.Client) -> list[httpx2.Response]:
    """Return the responses to requests with a secret in their header, URL or body."""
    secret_headers = {
        "Authorization": "Bearer dk_headerCanary0123456789",
        "Cookie": "session=cookieCanary0123456789",
        "Proxy-Authorization": "Basic headerCanary0123456789",
    }
    return [
        client.get("/v1/jobs", headers=secret_headers),
        client.get("/v1/jobs?access_token=queryCanary0123456789&sig=queryCanary0123456789"),
        client.get("/v1/jobs/dk_pathCanary0123456789"),
        client.get("/v1/models/postgresql://u:urlCanaryPassword@host/db"),
        client.post(
            "/v1/jobs", json=training_body(data={"dataset": "https://u:urlCanaryPassword@h/x"})
        ),
        client.post("/v1/jobs", json=training_body(seed="dk_pathCanary0123456789")),
        client.get("/openapi.json"),
    ]


def test_s11_no_secret_is_in_a_log_a_response_or_an_artifact(
    secret_installation: Installation, finished_job_id: str
) -> None:
    client = secret_installation.client
    objects = secret_installation.objects
    responses = requests_with_secrets(client)
    # An artifact whose stored object is missing: a failure of the service, which it logs.
    attempt = claim_new_job(secret_installation)
    row = create_artifact(secret_installation.engine, objects, attempt, "gone.bin", b"gone")
    with attempt.fenced_session() as (session, job):
        apply_retry_policy(session, job, JobFailed("x", "user", "m"), RetryPolicy())
    objects.delete(row.object_key)
    responses.append(client.get(f"/v1/jobs/{attempt.job_id}/artifacts/gone.bin"))
    assert responses[-1].status_code == 500
    responses.append(client.get(f"/v1/jobs/{finished_job_id}"))
    assert responses[-1].json()["status"] == "succeeded"
    responses.append(client.get("/metrics"))
    responses.append(client.get("/v1/audit?limit=200"))
    stored = logs_and_files(secret_installation)
    assert "attempt started" in stored
    assert "corrupt_object" in stored
    for canary in CANARIES:
        assert canary not in stored, canary
        for response in responses:
            url = str(response.url)
            # A problem document may name the path that its own caller has sent.
            if "/audit" not in url and "Canary" in canary and canary in url:
                continue
            assert canary not in response.text, (canary, response.url)


def test_s11_templates_in_texts_of_a_job_are_stored_verbatim(
    secret_installation: Installation, finished_job_id: str
) -> None:
    """They are not evaluated: no refusal and no table contains 49, the value of ``7*7``."""
    client = secret_installation.client
    job_ids = []
    for template in TEMPLATES:
        body = training_body(name=template, metadata={"note": template, "more": template})
        response = client.post("/v1/jobs", json=body)
        job = response.json()
        assert (job["name"], job["metadata"]["note"]) == (template, template)
        job_ids.append(job["id"])
        for invalid in (
            training_body(data={"dataset": template}),
            training_body(start_from=template),
            training_body(student={"architecture": template}),
            {"kind": template},
        ):
            response = client.post("/v1/jobs", json=invalid)
            assert_problem(response)
            assert "49" not in response.json()["detail"]
        assert_sweep_is_verbatim(client, template)
    for job_id in job_ids:
        client.post(f"/v1/jobs/{job_id}/cancel")
    for form in ("json", "html", "md"):
        report = client.get(f"/v1/jobs/{finished_job_id}/artifacts/report.{form}").text
        assert "sqlite://" not in report
        assert str(secret_installation.folder) not in report
    spec = client.get(f"/v1/jobs/{finished_job_id}/artifacts/report.json").json()["spec"]
    assert (spec["name"], spec["metadata"]) == (TEMPLATES[2], {"note": TEMPLATES[3]})


def assert_sweep_is_verbatim(client: httpx2.Client, template: str) -> None:
    """Submit a sweep of this name, check its name and tables, and cancel it."""
    sweep = client.post(
        "/v1/sweeps",
        json={"name": template, "base": training_body(), "rows": [{"name": template}]},
    ).json()
    assert sweep["name"] == template
    for form in ("md", "csv"):
        assert "49" not in client.get(f"/v1/sweeps/{sweep['id']}/table?format={form}").text
    client.post(f"/v1/sweeps/{sweep['id']}/cancel")


def test_s11_failures_of_a_job_show_no_path_of_the_worker(
    secret_installation: Installation,
) -> None:
    client = secret_installation.client
    objects = secret_installation.objects
    blocked = secret_installation.folder / "no-folder"
    blocked.touch()
    settings = secret_installation.settings.model_copy(
        update={"scratch_folder": blocked, "backoff_seconds": 600}
    )
    row = create_job(secret_installation.engine)
    Supervisor(settings, secret_installation.engine, objects, threading.Event()).run()
    job = client.get(f"/v1/jobs/{row.id}").json()
    assert "could not go on: Not a directory" in job["pending_reason"]
    assert_no_internals(json.dumps(job))
    attempt = claim_new_job(secret_installation)
    folder = JobFolder(blocked)
    error = JobFailed(
        "trainer_died",
        "user",
        "ImportError: no symbol in "
        f"'{secret_installation.folder}/lib/torch.so', see /usr/lib/x/y.so.",
    )
    outputs = Outputs(objects, attempt, folder, 2, lambda: None)
    attempt_log = create_log(attempt.engine, attempt)
    AttemptResult(settings, objects, attempt, outputs, attempt_log).save_failure(error)
    job = client.get(f"/v1/jobs/{attempt.job_id}").json()
    assert job["failure"]["message"] == "ImportError: no symbol in 'torch.so', see y.so."


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("key dk_abcdefgh_123-XYZ used", "abcdefgh"),
        ("Authorization: Bearer abc.def-123456", "abc.def"),
        ("{'authorization': 'Basic dXNlcjpwYXNz'}", "dXNlcjpwYXNz"),
        ("(b'authorization', b'Bearer tok_en123456')", "tok_en123456"),
        ("postgresql://distill:p%40ss:w0rd@db:5432/x?y", "w0rd"),
        ("redis://:hunter22@r/0", "hunter22"),
        ("using AKIAIOSFODNN7EXAMPLE now", "IOSFODNN7"),
        ("aws_secret_access_key=wJalrXUtnFEMIK7MDENGbPxRfiCY", "wJalrXUtn"),
        ("GET http://s3/b/k?X-Amz-Credential=AKIA%2F1&X-Amz-Signature=deadbeef&x=1", "deadbeef"),
    ],
)
def test_s11_secrets_are_recognized_by_their_form(text: str, secret: str) -> None:
    assert secret not in logs.redact(text)
    assert logs.REDACTED in logs.redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "Send an API key: Authorization: Bearer <key>.",
        "8/255 at http://localhost:8321/docs",
        "a basic student, dk_x",
    ],
)
def test_s11_ordinary_text_is_not_redacted(text: str) -> None:
    assert logs.redact(text) == text


PROGRAM = """
import logging, structlog, sys, threading
from core import logs
from core.errors import JobFailed
from core.job_folder import JobFolder
from core.settings import Settings
settings = Settings()
logs.configure(settings)
secret = settings.s3_secret_access_key
class Odd:
    def __str__(self): return "odd " + secret
logging.basicConfig(level=logging.DEBUG)
log = logging.getLogger("sqlalchemy.engine")
log.warning("connect with %s and %r", secret, {"password": secret})
log.warning(Odd())
structlog.get_logger().info("event", nested={"list": [secret, Odd()]}, url=settings.database_url)
try:
    raise ValueError(f"failed with {secret}")
except ValueError:
    log.exception("it failed: %s", secret)
    structlog.get_logger().exception("it failed")
    logging.getLogger("uvicorn.error").error("asgi", exc_info=True)
def fail(): raise RuntimeError(secret)
thread = threading.Thread(target=fail)
thread.start(); thread.join()
print(settings)
raise RuntimeError(f"the end: {secret} {settings.database_url}")
"""
"""Logs secrets in every way: in arguments, objects, exceptions, a thread and its last traceback."""


@pytest.mark.parametrize("form", ["json", "console"])
def test_s11_all_logs_and_tracebacks_of_a_process_are_redacted(form: str) -> None:
    secret = 'quoted "canary" \\ value é'
    database = "postgresql://u:database%20canary@h/d"
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={
            "DISTILL_S3_SECRET_ACCESS_KEY": secret,
            "DISTILL_DATABASE_URL": database,
            "DISTILL_LOG_FORMAT": form,
            "PATH": "/usr/bin:/bin",
            "PYTHONUTF8": "1",
        },
        cwd=Path.cwd(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    output = process.stdout + process.stderr
    assert process.returncode == 1
    assert output.count(logs.REDACTED) >= 9, output
    assert "the end: " in output
    # Parts of the two secrets that stay the same however a formatter quotes them.
    for part in ("canary", "database%20"):
        assert part not in output, output


def test_s11_the_error_does_not_repeat_an_invalid_setting() -> None:
    with pytest.raises(ValueError, match="port") as caught:
        Settings(port="dk_mistaken_for_a_port")
    assert "mistaken" not in str(caught.value)


def test_s11_handlers_from_before_configuration_are_redacted(settings: Settings) -> None:
    """A library may have added its handler before the logs are configured."""
    messages: list[str] = []

    class LibraryHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(self.format(record))

    handler = LibraryHandler()
    log = logging.getLogger("celery.worker")
    log.addHandler(handler)
    record_factory = logging.getLogRecordFactory()
    try:
        logs.configure(settings)
        log.warning("received %s", "dk_abcdefghijkl")
    finally:
        log.removeHandler(handler)
        logging.setLogRecordFactory(record_factory)
    assert messages == [f"received dk_{logs.REDACTED}"]
