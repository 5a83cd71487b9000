"""S11: secrets of the setup, of headers and of addresses are in no log, response or artifact; templates are only text."""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

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
def told(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Installation]:
    """A service whose environment is full of secrets, and a worker on the same."""
    folder = tmp_path_factory.mktemp("told")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        with start_installation(sqlite_template, folder, **SECRETS) as installation:
            yield installation


@pytest.fixture(scope="module")
def worker(told: Installation) -> Iterator[WorkerService]:
    settings = {
        **SECRETS,
        "home": str(told.settings.home),
        "database_url": told.settings.database_url,
        "broker_url": "",
    }
    environment = {
        f"DISTILL_{name.upper()}": value for name, value in settings.items()
    } | ENVIRONMENT
    with WorkerService(environment, told.folder / "worker.log") as service:
        yield service


@pytest.fixture(scope="module")
def finished(told: Installation, worker: WorkerService) -> str:
    """A job that has gone all the way, with templates for its texts."""
    body = training_body(name=TEMPLATES[2], metadata={"note": TEMPLATES[3]})
    job_id = told.client.post("/v1/jobs", json=body).json()["id"]
    wait_for(
        lambda: told.client.get(f"/v1/jobs/{job_id}").json()["terminal"], 120, "the end of a job"
    )
    return str(job_id)


def everything_said(told: Installation) -> str:
    """Both logs, and every file that the service has stored."""
    files = [
        path
        for path in (told.folder / "home").rglob("*")
        if path.is_file() and path.suffix not in {".db-wal", ".db-shm", ".db"}
    ]
    texts = [path.read_bytes().decode("latin-1") for path in (*told.folder.glob("*.log"), *files)]
    return "\n".join(texts)


def an_attempt_of_ours(told: Installation) -> Attempt:
    """Before the worker beside it, which looks for jobs as well."""

    def create_and_claim() -> Attempt | None:
        create_job(told.engine)
        return attempts.claim(told.engine, "ours", 30)

    return wait_for(create_and_claim, 30, "a claim")


def test_s11_no_canary_is_in_a_log_an_answer_or_an_artifact(
    told: Installation, finished: str
) -> None:
    client = told.client
    secret_headers = {
        "Authorization": "Bearer dk_headerCanary0123456789",
        "Cookie": "session=cookieCanary0123456789",
        "Proxy-Authorization": "Basic headerCanary0123456789",
    }
    responses = [
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
    bad = an_attempt_of_ours(told)  # its stored file is gone: a failure that is logged
    row = create_artifact(told.engine, told.objects, bad, "gone.bin", b"gone")
    with bad.fenced_session() as (session, job):
        apply_retry_policy(session, job, JobFailed("x", "user", "m"), RetryPolicy())
    told.objects.delete(row.object_key)
    responses.append(client.get(f"/v1/jobs/{bad.job_id}/artifacts/gone.bin"))
    assert responses[-1].status_code == 500
    responses.append(client.get(f"/v1/jobs/{finished}"))
    assert responses[-1].json()["status"] == "succeeded"
    responses.append(client.get("/metrics"))
    responses.append(client.get("/v1/audit?limit=200"))
    said = everything_said(told)
    assert "attempt started" in said
    assert "corrupt_object" in said
    for canary in CANARIES:
        assert canary not in said, canary
        for response in responses:
            if (
                "/audit" not in str(response.url)
                and "Canary" in canary
                and canary in str(response.url)
            ):
                continue
            assert canary not in response.text, (canary, response.url)


def test_s11_templates_in_every_text_of_a_job_are_stored_as_they_are_and_mean_nothing(
    told: Installation, finished: str
) -> None:
    client, made = told.client, []
    for template in TEMPLATES:
        body = training_body(name=template, metadata={"note": template, "more": template})
        response = client.post("/v1/jobs", json=body)
        assert (response.json()["name"], response.json()["metadata"]["note"]) == (
            template,
            template,
        )
        made.append(response.json()["id"])
        for wrong in (
            training_body(data={"dataset": template}),
            training_body(start_from=template),
            training_body(student={"architecture": template}),
            {"kind": template},
        ):
            refused = client.post("/v1/jobs", json=wrong)
            assert_problem(refused)
            assert "49" not in refused.json()["detail"]
        sweep = client.post(
            "/v1/sweeps",
            json={"name": template, "base": training_body(), "rows": [{"name": template}]},
        )
        assert sweep.json()["name"] == template
        for form in ("md", "csv"):
            assert (
                "49" not in client.get(f"/v1/sweeps/{sweep.json()['id']}/table?format={form}").text
            )
        client.post(f"/v1/sweeps/{sweep.json()['id']}/cancel")
    for job_id in made:
        client.post(f"/v1/jobs/{job_id}/cancel")
    for form in ("json", "html", "md"):
        report = client.get(f"/v1/jobs/{finished}/artifacts/report.{form}").text
        assert "sqlite://" not in report
        assert str(told.folder) not in report
    spec = client.get(f"/v1/jobs/{finished}/artifacts/report.json").json()["spec"]
    assert (spec["name"], spec["metadata"]) == (TEMPLATES[2], {"note": TEMPLATES[3]})


def test_s11_what_a_job_says_of_its_failure_holds_no_path_of_the_worker(told: Installation) -> None:
    blocked = told.folder / "no-folder"
    blocked.touch()
    setup = told.settings.model_copy(update={"scratch_folder": blocked, "backoff_seconds": 600})
    job = create_job(told.engine)
    Supervisor(setup, told.engine, told.objects, threading.Event()).run()
    found = told.client.get(f"/v1/jobs/{job.id}").json()
    assert "could not go on: Not a directory" in found["pending_reason"]
    assert_no_internals(json.dumps(found))
    attempt = an_attempt_of_ours(told)
    folder = JobFolder(blocked)
    error = JobFailed(
        "trainer_died",
        "user",
        f"ImportError: no symbol in '{told.folder}/lib/torch.so', see /usr/lib/x/y.so.",
    )
    AttemptResult(
        setup, told.objects, attempt, Outputs(told.objects, attempt, folder, 2, lambda: None)
    ).save_failure(error)
    found = told.client.get(f"/v1/jobs/{attempt.job_id}").json()
    assert found["failure"]["message"] == "ImportError: no symbol in 'torch.so', see y.so."


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("key dk_abcdefgh_123-XYZ used", "abcdefgh"),
        ("Authorization: Bearer abc.def-123456", "abc.def"),
        ("{'authorization': 'Basic dXNlcjpwYXNz'}", "dXNlcjpwYXNz"),
        ("(b'authorization', b'Bearer tok_en123456')", "tok_en123456"),
        ("postgresql://distill:p%40ss:w0rd@db:5432/x?y", "w0rd"),
        ("redis://:hunter22@r/0", "hunter22"),
        ("GET http://s3/b/k?X-Amz-Credential=AKIA%2F1&X-Amz-Signature=deadbeef&x=1", "deadbeef"),
    ],
)
def test_s11_secrets_are_known_by_their_form(text: str, gone: str) -> None:
    assert gone not in logs.redact(text)
    assert logs.REDACTED in logs.redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "Send an API key: Authorization: Bearer <key>.",
        "8/255 at http://localhost:8321/docs",
        "a basic student, dk_x",
    ],
)
def test_s11_ordinary_text_is_left_alone(text: str) -> None:
    assert logs.redact(text) == text


PROGRAM = """
import logging, structlog, sys, threading
from core import logs
from core.errors import JobFailed
from core.job_folder import JobFolder
from core.settings import Settings
setup = Settings()
logs.configure(setup)
secret = setup.s3_secret_access_key
class Odd:
    def __str__(self): return "odd " + secret
logging.basicConfig(level=logging.DEBUG)
log = logging.getLogger("sqlalchemy.engine")
log.warning("connect with %s and %r", secret, {"password": secret})
log.warning(Odd())
structlog.get_logger().info("event", nested={"list": [secret, Odd()]}, url=setup.database_url)
try:
    raise ValueError(f"failed with {secret}")
except ValueError:
    log.exception("it failed: %s", secret)
    structlog.get_logger().exception("it failed")
    logging.getLogger("uvicorn.error").error("asgi", exc_info=True)
thread = threading.Thread(target=lambda: 1 / 0 if not secret else (_ for _ in ()).throw(RuntimeError(secret)))
thread.start(); thread.join()
print(setup)
raise RuntimeError(f"the end: {secret} {setup.database_url}")
"""


@pytest.mark.parametrize("form", ["json", "console"])
def test_s11_every_logger_and_every_traceback_of_a_process_is_without_them(form: str) -> None:
    secret = 'quoted "canary" \\ value é'
    database = "postgresql://u:database%20canary@h/d"
    done = subprocess.run(
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
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert said.count(logs.REDACTED) >= 9, said
    assert "the end: " in said
    for form_of_it in ("canary", "database%20"):
        assert form_of_it not in said, said


def test_s11_a_setting_that_is_wrong_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="port") as refused:
        Settings(port="dk_mistaken_for_a_port")  # type: ignore[arg-type]
    assert "mistaken" not in str(refused.value)


def test_s11_a_handler_of_a_library_gets_redacted_text_whenever_it_was_made(
    settings: Settings,
) -> None:
    seen: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(self.format(record))

    kept, log = Kept(), logging.getLogger("celery.worker")
    log.addHandler(kept)
    before = logging.getLogRecordFactory()
    try:
        logs.configure(settings)
        log.warning("received %s", "dk_abcdefghijkl")
    finally:
        log.removeHandler(kept)
        logging.setLogRecordFactory(before)
    assert seen == [f"received dk_{logs.REDACTED}"]
