"""C8: the object store dies, answers 503 or returns other bytes, or a stale attempt uploads.

Nothing partial is ever visible.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.app import create_app
from core.errors import Unavailable
from core.store.access import keys
from core.store.database.tables import DEFAULT_PROJECT
from core.store.objects import orphaned_uploads
from core.store.objects.store import Objects, artifact_key
from distill_client.client import Distill
from distill_client.errors import ClientError
from tests.api.builders import SAFETENSORS, create_artifact, create_finished_job, sha256
from tests.builders import create_attempt, stored_keys
from tests.faults.conftest import RecordFigure
from tests.faults.s3_proxy import Fault, S3Proxy
from tests.faults.storage import Storage, open_s3_storage, saving_job
from tests.faults.test_c4_damaged_objects import DAMAGES
from tests.servers import S3, free_port
from tests.worker.results import short_job
from tests.worker.service import Service, get_job, submit, wait_for, wait_for_end

KEY = "dk_everything"
PART_BYTES = 8 * 2**20
MODEL = {
    "name": "teacher",
    "network": {"architecture": "small_cnn"},
    "classes": 10,
    "channels": 1,
    "height": 8,
    "width": 8,
}


@pytest.fixture
def own_s3_storage(tmp_path: Path, postgres_url: str) -> Iterator[Storage]:
    """On an S3 server that only this test uses, so that it may kill and freeze it."""
    server = S3()
    with ExitStack() as stack:
        stack.callback(server.close)
        server.start()
        server.create_bucket("distill")
        s3 = server.settings("distill")
        with open_s3_storage(tmp_path, postgres_url, server, s3) as storage:
            yield storage


def proxy_of(storage: Storage) -> S3Proxy:
    assert storage.proxy is not None
    return storage.proxy


def server_of(storage: Storage) -> S3:
    assert storage.s3 is not None
    return storage.s3


def create_client(storage: Storage) -> TestClient:
    keys.ensure(storage.engine, DEFAULT_PROJECT, "everything", keys.SCOPES, KEY)
    return TestClient(create_app(storage.settings), headers={"Authorization": f"Bearer {KEY}"})


class FaultDuringUpload:
    """A proxy rule: a fault for every request from the first second part on, until ``end``."""

    def __init__(self, fault: Callable[[], Fault]) -> None:
        self.fault = fault
        self.started = threading.Event()
        self.end = threading.Event()

    def __call__(self, method: str, path: str) -> Fault:
        if "partNumber=2" in path:
            self.started.set()
        is_active = self.started.is_set() and not self.end.is_set()
        return self.fault() if is_active else None


# -- uploads of clients


def test_c8_interrupted_upload_is_503_and_can_be_repeated(s3_storage: Storage) -> None:
    """Nothing of it is visible; its parts are removed once the upload is complete."""
    storage = s3_storage
    content = SAFETENSORS + os.urandom(2 * PART_BYTES)
    rule = FaultDuringUpload(lambda: "reset")
    proxy_of(storage).rule = rule
    with create_client(storage) as client:
        model_id = client.post("/v1/models", json=MODEL).json()["id"]
        response = client.put(f"/v1/models/{model_id}/content", content=content)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
        assert client.get(f"/v1/models/{model_id}").json()["status"] == "awaiting_upload"
        rule.end.set()
        assert stored_keys(storage.objects, "uploads") == []
        unfinished = storage.unfinished_writes()
        assert len(unfinished) == 1
        assert orphaned_uploads.remove(storage.engine, storage.objects) == [], (
            "the model awaits it: a client may be sending it"
        )
        response = client.put(f"/v1/models/{model_id}/content", content=content)
        assert response.status_code == 202
        (key,) = stored_keys(storage.objects, "uploads")
        assert sha256(storage.read_object(key)) == sha256(content)
        assert orphaned_uploads.remove(storage.engine, storage.objects) == [key]
        assert storage.unfinished_writes() == set()
        assert sha256(storage.read_object(key)) == sha256(content), "the stored object was changed"


def test_c8_upload_is_503_when_the_store_is_killed(own_s3_storage: Storage) -> None:
    """The model still awaits its upload."""
    server = server_of(own_s3_storage)

    def kill_server() -> Fault:
        server.kill()
        return "reset"

    proxy_of(own_s3_storage).rule = FaultDuringUpload(kill_server)
    content = SAFETENSORS + os.urandom(2 * PART_BYTES)
    with create_client(own_s3_storage) as client:
        model_id = client.post("/v1/models", json=MODEL).json()["id"]
        response = client.put(f"/v1/models/{model_id}/content", content=content)
        assert response.status_code == 503
        assert client.get(f"/v1/models/{model_id}").json()["status"] == "awaiting_upload"


def test_c8_upload_survives_a_frozen_store(own_s3_storage: Storage) -> None:
    """An upload during which the store is frozen for two seconds is stored completely."""
    storage = own_s3_storage
    server = server_of(storage)
    content = SAFETENSORS + os.urandom(2 * PART_BYTES)

    def freeze_server() -> Fault:
        rule.end.set()
        server.freeze()
        threading.Timer(2, server.thaw).start()
        return None

    rule = FaultDuringUpload(freeze_server)
    proxy_of(storage).rule = rule
    with create_client(storage) as client:
        model_id = client.post("/v1/models", json=MODEL).json()["id"]
        response = client.put(f"/v1/models/{model_id}/content", content=content)
        assert response.status_code == 202
        assert rule.started.is_set()
    (key,) = stored_keys(storage.objects, "uploads")
    assert sha256(storage.read_object(key)) == sha256(content)


# -- uploads of workers


def test_c8_job_survives_a_store_that_fails_during_an_upload(s3_storage: Storage) -> None:
    """It keeps its last checkpoint, and continues in the same attempt when the store is back."""
    storage = s3_storage
    job_id = submit(storage.engine, saving_job(epochs=2))
    with storage.start_worker():
        wait_for(lambda: storage.latest_step(job_id) > 0, 60, "a checkpoint")
        rule = FaultDuringUpload(lambda: "reset")
        proxy_of(storage).rule = rule
        assert rule.started.wait(60)
        checkpoints = storage.verify_checkpoints(job_id)
        time.sleep(1)
        assert storage.verify_checkpoints(job_id) == checkpoints != []
        rule.end.set()
        job = wait_for_end(storage.engine, job_id)
        assert (job.status, job.attempt) == ("succeeded", 1)
        assert len(storage.verify_checkpoints(job_id)) == 2


class HoldThirdCheckpoint:
    """A proxy rule that holds back the third upload of the job's first attempt until ``end``."""

    def __init__(self, proxy: S3Proxy, job_id: str) -> None:
        self.proxy = proxy
        self.job_id = job_id
        self.started = threading.Event()
        self.end = threading.Event()

    def __call__(self, method: str, path: str) -> Fault:
        is_checkpoint = method == "PUT" and f"{self.job_id}/1/checkpoints/" in path
        if is_checkpoint and len(self.uploaded_paths()) > 2:
            self.started.set()
            self.end.wait(120)
        return None

    def uploaded_paths(self) -> list[str]:
        return self.proxy.requested_paths("PUT", f"{self.job_id}/1/")

    def last_key(self) -> str:
        """Return the key of the last upload, from its path with prefix and query."""
        return self.uploaded_paths()[-1].partition("/prefix/")[2].partition("?")[0]


def test_c8_stale_upload_is_never_visible(s3_storage: Storage) -> None:
    """What a stale attempt was uploading when another attempt took over is dropped."""
    storage = s3_storage
    job_id = submit(storage.engine, short_job(60))
    rule = HoldThirdCheckpoint(proxy_of(storage), job_id)
    proxy_of(storage).rule = rule
    with storage.start_worker("stale") as stale_worker:
        assert rule.started.wait(60)
        late_key = rule.last_key()
        trainers = stale_worker.trainers()
        for trainer in trainers:
            trainer.suspend()
        stale_worker.send(signal.SIGSTOP)
        with storage.start_worker("second"):
            job = wait_for_end(storage.engine, job_id)
        assert storage.unfinished_writes() == set(), "the stale upload could still be completed"
        rule.end.set()
        resume_worker(stale_worker, trainers)
        wait_for(lambda: not stale_worker.trainers(), 30, "the end of the stale trainer")
    assert (job.status, job.attempt) == ("succeeded", 2)
    assert get_job(storage.engine, job_id).version == job.version
    assert not storage.objects.exists(late_key)
    assert len(storage.verify_checkpoints(job_id)) == 2


def resume_worker(worker: Service, trainers: list[psutil.Process]) -> None:
    for trainer in trainers:
        trainer.resume()
    worker.send(signal.SIGCONT)


# -- 503


def store_requests(
    objects: Objects, content: bytes, target: Path
) -> dict[str, Callable[[], object]]:
    """Return every kind of request, by name. ``content`` is stored under jobs/job_1/stored."""
    size = len(content)
    return {
        "size": lambda: objects.size("jobs/job_1/stored"),
        "fetch": lambda: objects.fetch("jobs/job_1/stored", target, size, sha256(content)),
        "put": lambda: objects.put_stream("jobs/job_1/small", [b"small"], 5),
        "put of several parts": lambda: objects.put_stream("jobs/job_1/large", [content], size),
        "delete": lambda: objects.delete("jobs/job_1/small"),
    }


class BusyStore:
    """A proxy rule that answers the next ``remaining`` requests with 503."""

    def __init__(self) -> None:
        self.remaining = 0

    def __call__(self, method: str, path: str) -> Fault:
        self.remaining -= 1
        return 503 if self.remaining >= 0 else None


def test_c8_request_is_retried_at_most_three_times(
    s3_storage: Storage, tmp_path: Path, record_figure: RecordFigure
) -> None:
    """Two answers of 503 do not matter; a store that stays busy is Unavailable."""
    storage = s3_storage
    proxy = proxy_of(storage)
    objects = Objects.from_settings(storage.settings)
    content = os.urandom(PART_BYTES + 1000)
    objects.put_stream("jobs/job_1/stored", [content], len(content))
    rule = BusyStore()
    proxy.rule = rule
    most_requests = 0
    for name, send_request in store_requests(objects, content, tmp_path / "fetched").items():
        rule.remaining = 2
        send_request()
        assert rule.remaining < 0, name
        rule.remaining = 10**6
        earlier = len(proxy.requests)
        with pytest.raises(Unavailable):
            send_request()
        most_requests = max(most_requests, len(proxy.requests) - earlier)
        assert most_requests <= 4, f"{name}: more than one request and three retries"
        rule.remaining = 0
    assert (tmp_path / "fetched").read_bytes() == content
    assert sha256(storage.read_object("jobs/job_1/large")) == sha256(content)
    record_figure("most retries of a request", most_requests - 1, "at most 3")


# -- downloads


@pytest.fixture
def storage(storage: Storage) -> Iterator[Storage]:
    """The storage of every download.

    From a folder the API streams the files. To S3 it redirects with a presigned URL, which moto
    cannot check; S3 does not verify SHA-256.
    """
    with ExitStack() as stack:
        if storage.s3 is not None:
            stack.enter_context(storage.s3.without_signatures())
        yield storage


@pytest.fixture
def api_url(storage: Storage, tmp_path: Path) -> Iterator[str]:
    keys.ensure(storage.engine, DEFAULT_PROJECT, "everything", keys.SCOPES, KEY)
    port = free_port()
    environment = {**storage.environment(), "DISTILL_PORT": str(port)}
    with Service(environment, tmp_path / "api.log", ("-m", "api")):
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: is_ready(url), 60, "the API")
        yield url


def is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/healthz", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


def create_job_with_artifact(engine: Engine, objects: Objects, content: bytes) -> str:
    attempt = create_attempt(engine)
    create_artifact(engine, objects, attempt, "best.safetensors", content)
    return attempt.job_id


def test_c8_download_of_a_damaged_file_never_completes(
    storage: Storage, api_url: str, tmp_path: Path
) -> None:
    """No client takes a damaged file for an intact one, with any HTTP client or with ours."""
    content = os.urandom(PART_BYTES + 1000)
    headers = {"Authorization": f"Bearer {KEY}"}
    with (
        Distill(api_url, KEY, retries=1, backoff_seconds=0.01) as service,
        httpx2.Client(headers=headers, timeout=30) as http,
    ):
        for name, damage in DAMAGES.items():
            job_id = create_job_with_artifact(storage.engine, storage.objects, content)
            url = f"{api_url}/v1/jobs/{job_id}/artifacts/best.safetensors?direct=true"
            assert http.get(url).content == content
            damaged = damage(content)
            storage.replace_object(artifact_key(job_id, 1, "best.safetensors"), damaged)
            assert not completes(http, url), name
            if len(damaged or b"") != len(content):
                response = http.get(url, headers={"Range": "bytes=0-99"})
                assert is_corrupt_object(response), name
            with pytest.raises(ClientError):
                service.download(job_id, tmp_path / job_id, ["best.safetensors"])
            assert not (tmp_path / job_id / "best.safetensors").exists(), name


def completes(client: httpx2.Client, url: str) -> bool:
    """Whether the response is a 200 whose body is as long as its headers say."""
    try:
        response = client.get(url)
    except httpx2.RemoteProtocolError:
        return False
    assert response.status_code == 200 or response.json()["code"] == "corrupt_object"
    return response.status_code == 200


def is_corrupt_object(response: Any) -> bool:
    return (response.status_code, response.json()["code"]) == (500, "corrupt_object")


def test_c8_damaged_report_is_not_shown(storage: Storage, api_url: str) -> None:
    """It is a 500 with the code ``corrupt_object``."""
    attempt = create_finished_job(storage.engine, storage.objects)
    key = artifact_key(attempt.job_id, attempt.number, "report.json")
    storage.replace_object(key, b"{}")
    headers = {"Authorization": f"Bearer {KEY}"}
    url = f"{api_url}/v1/jobs/{attempt.job_id}/report"
    assert is_corrupt_object(httpx2.get(url, headers=headers, timeout=30))
