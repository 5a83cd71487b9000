"""C8: the object store dies, answers 503 or other bytes, or gets a stale attempt's upload: nothing partial is ever seen."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.app import create_app
from core.errors import Unavailable
from core.store import keys
from core.store.database.tables import DEFAULT_PROJECT
from core.store.objects import orphaned_uploads
from core.store.objects.store import Objects, artifact_key
from distill_client.client import Distill
from distill_client.errors import ClientError
from tests.api.builders import SAFETENSORS, create_finished_job, create_artifact, sha256
from tests.builders import create_attempt, stored_keys, training_spec
from tests.faults.places import Place, heavy, on_a_folder, on_s3
from tests.faults.store_proxy import Fate
from tests.faults.test_c4_damaged_objects import DAMAGE
from tests.measurements import RecordProperty, record_figure
from tests.servers import S3, free_port
from tests.worker.service import Service, get_job, submit, wait_for, wait_for_end

KEY = "dk_everything"
PART = 8 * 2**20
MODEL = {
    "name": "teacher",
    "network": {"architecture": "small_cnn"},
    "classes": 10,
    "channels": 1,
    "height": 8,
    "width": 8,
}


@pytest.fixture
def on_the_bucket(
    tmp_path: Path, postgres_url: str, s3_server: S3, s3: dict[str, Any]
) -> Iterator[Place]:
    with on_s3(tmp_path, postgres_url, s3_server, s3) as found:
        yield found


@pytest.fixture
def on_a_bucket_of_its_own(tmp_path: Path, postgres_url: str) -> Iterator[Place]:
    """On a server that may be killed and frozen."""
    server = S3()
    with ExitStack() as stack:
        stack.callback(server.close)
        server.start()
        server.create_bucket("distill")
        with on_s3(tmp_path, postgres_url, server, server.settings("distill")) as found:
            yield found


def proxy_of(place: Place) -> Any:
    assert place.proxy is not None
    return place.proxy


def caller(place: Place) -> TestClient:
    keys.ensure(place.engine, DEFAULT_PROJECT, "everything", keys.SCOPES, KEY)
    return TestClient(create_app(place.settings), headers={"Authorization": f"Bearer {KEY}"})


class Fault:
    """From the first request for a second part on, ``fate`` for every request, until ``over`` is set."""

    def __init__(self, fate: Callable[[], Fate]) -> None:
        self.fate, self.begun, self.over = fate, threading.Event(), threading.Event()

    def __call__(self, method: str, path: str) -> Fate:
        if "partNumber=2" in path:
            self.begun.set()
        return self.fate() if self.begun.is_set() and not self.over.is_set() else None


# -- callers' uploads


def test_c8_an_upload_that_the_store_breaks_off_is_a_503_of_which_nothing_is_seen_and_can_be_sent_again(
    on_the_bucket: Place,
) -> None:
    place, content = on_the_bucket, SAFETENSORS + os.urandom(2 * PART)
    proxy_of(place).rule = fault = Fault(lambda: "cut")
    with caller(place) as client:
        model = client.post("/v1/models", json=MODEL).json()["id"]
        answer = client.put(f"/v1/models/{model}/content", content=content)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        assert client.get(f"/v1/models/{model}").json()["status"] == "awaiting_upload"
        fault.over.set()
        assert stored_keys(place.objects, "uploads") == []
        broken_off = place.half_written()
        assert len(broken_off) == 1
        assert orphaned_uploads.remove(place.engine, place.objects) == [], (
            "it is awaited: somebody may be sending it"
        )
        assert client.put(f"/v1/models/{model}/content", content=content).status_code == 202
        (key,) = stored_keys(place.objects, "uploads")
        assert sha256(place.content(key)) == sha256(content)
        assert orphaned_uploads.remove(place.engine, place.objects) == [key]
        assert place.half_written() == set()
        assert sha256(place.content(key)) == sha256(content), "what was stored is not touched by it"


def test_c8_an_upload_during_which_the_store_is_killed_is_a_503(
    on_a_bucket_of_its_own: Place,
) -> None:
    place, server = on_a_bucket_of_its_own, on_a_bucket_of_its_own.s3
    assert server is not None

    def dies() -> Fate:
        server.kill()
        return "cut"

    proxy_of(place).rule = Fault(dies)
    with caller(place) as client:
        model = client.post("/v1/models", json=MODEL).json()["id"]
        assert (
            client.put(
                f"/v1/models/{model}/content", content=SAFETENSORS + os.urandom(2 * PART)
            ).status_code
            == 503
        )
        assert client.get(f"/v1/models/{model}").json()["status"] == "awaiting_upload"


def test_c8_an_upload_during_which_the_store_is_frozen_for_a_while_arrives_whole(
    on_a_bucket_of_its_own: Place,
) -> None:
    place, server, content = (
        on_a_bucket_of_its_own,
        on_a_bucket_of_its_own.s3,
        SAFETENSORS + os.urandom(2 * PART),
    )
    assert server is not None

    def freezes() -> Fate:
        fault.over.set()
        server.freeze()
        threading.Timer(2, server.thaw).start()
        return None

    proxy_of(place).rule = fault = Fault(freezes)
    with caller(place) as client:
        model = client.post("/v1/models", json=MODEL).json()["id"]
        assert client.put(f"/v1/models/{model}/content", content=content).status_code == 202
        assert fault.begun.is_set()
    (key,) = stored_keys(place.objects, "uploads")
    assert sha256(place.content(key)) == sha256(content)


# -- a worker's uploads


def test_c8_a_job_whose_store_goes_away_in_the_middle_of_an_upload_keeps_its_checkpoint_and_goes_on(
    on_the_bucket: Place,
) -> None:
    place, job_id = on_the_bucket, submit(on_the_bucket.engine, heavy(epochs=2))
    with place.worker():
        wait_for(lambda: place.step(job_id) > 0, 60, "a checkpoint")
        proxy_of(place).rule = fault = Fault(lambda: "cut")
        assert fault.begun.wait(60)
        kept = place.verified(job_id)
        time.sleep(1)
        assert place.verified(job_id) == kept != []
        fault.over.set()
        job = wait_for_end(place.engine, job_id)
        assert (job.status, job.attempt) == ("succeeded", 1)
        assert len(place.verified(job_id)) == 2


def test_c8_what_a_stale_attempt_was_uploading_is_never_seen(on_the_bucket: Place) -> None:
    place = on_the_bucket
    job_id = submit(
        place.engine,
        training_spec(schedule={"epochs": 60, "batch_size": 64, "checkpoint_seconds": 0}),
    )
    held, go_on = threading.Event(), threading.Event()

    def hold_the_first_attempts_third(method: str, path: str) -> Fate:
        if (
            method == "PUT"
            and f"{job_id}/1/checkpoints/" in path
            and len(proxy_of(place).asked("PUT", f"{job_id}/1/")) > 2
        ):
            held.set()
            go_on.wait(120)
        return None

    proxy_of(place).rule = hold_the_first_attempts_third
    with place.worker("zombie") as zombie:
        assert held.wait(60)
        late = (
            proxy_of(place)
            .asked("PUT", f"{job_id}/1/")[-1]
            .partition("/prefix/")[2]
            .partition("?")[0]
        )
        trainers = zombie.trainers()
        for process in trainers:
            process.suspend()
        zombie.send(signal.SIGSTOP)
        with place.worker("second"):
            job = wait_for_end(place.engine, job_id)
        assert place.half_written() == set(), "what it has begun can no longer be finished"
        go_on.set()
        for process in trainers:
            process.resume()
        zombie.send(signal.SIGCONT)
        wait_for(lambda: not zombie.trainers(), 30, "the end of the zombie's trainer")
    assert (job.status, job.attempt) == ("succeeded", 2)
    assert get_job(place.engine, job_id).version == job.version
    assert not place.objects.exists(late)
    assert len(place.verified(job_id)) == 2


# -- 503


def test_c8_a_request_is_tried_three_times_more_and_no_oftener(
    on_the_bucket: Place, tmp_path: Path, record_property: RecordProperty
) -> None:
    place, left = on_the_bucket, [0]
    objects, content = Objects.from_settings(place.settings), os.urandom(PART + 1000)
    digest = sha256(content)
    objects.put_stream("jobs/job_1/there", [content], len(content))

    def busy(method: str, path: str) -> Fate:
        left[0] -= 1
        return 503 if left[0] >= 0 else None

    requests: dict[str, Callable[[], Any]] = {
        "size": lambda: objects.size("jobs/job_1/there"),
        "fetch": lambda: objects.fetch(
            "jobs/job_1/there", tmp_path / "fetched", len(content), digest
        ),
        "put": lambda: objects.put_stream("jobs/job_1/small", [b"small"], 5),
        "put of several parts": lambda: objects.put_stream(
            "jobs/job_1/large", [content], len(content)
        ),
        "delete": lambda: objects.delete("jobs/job_1/small"),
    }
    proxy_of(place).rule = busy
    most = 0
    for what, request in requests.items():
        left[0] = 2
        request()
        assert left[0] < 0, what
        left[0], before = 10**6, len(proxy_of(place).seen)
        with pytest.raises(Unavailable):
            request()
        most = max(most, len(proxy_of(place).seen) - before)
        assert most <= 4, f"{what}: one request and three retries"
        left[0] = 0
    assert (tmp_path / "fetched").read_bytes() == content
    assert sha256(place.content("jobs/job_1/large")) == digest
    record_figure(record_property, "most retries of a request", most - 1, "at most 3")


# -- downloads


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A folder's files come through the API; for those on S3 it points to the store, which knows no hash."""
    if request.param == "folder":
        with on_a_folder(tmp_path, request.getfixturevalue("sqlite_url")) as found:
            yield found
    else:
        with request.getfixturevalue("on_the_bucket").s3.without_signatures():
            yield request.getfixturevalue("on_the_bucket")


@pytest.fixture
def api(place: Place, tmp_path: Path) -> Iterator[str]:
    keys.ensure(place.engine, DEFAULT_PROJECT, "everything", keys.SCOPES, KEY)
    port = free_port()
    said = {
        f"DISTILL_{key.upper()}": str(value)
        for key, value in place.settings.model_dump(exclude_unset=True).items()
    }
    with Service({**said, "DISTILL_PORT": str(port)}, tmp_path / "api.log", ("-m", "api")):
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(url), 60, "the API")
        yield url


def answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/healthz", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


def an_artifact_of(engine: Engine, objects: Objects, content: bytes) -> str:
    attempt = create_attempt(engine)
    create_artifact(engine, objects, attempt, "best.safetensors", content)
    return attempt.job_id


def test_c8_a_damaged_file_is_never_downloaded_as_if_it_were_whole(
    place: Place, api: str, tmp_path: Path
) -> None:
    content = os.urandom(PART + 1000)
    headers = {"Authorization": f"Bearer {KEY}"}
    with (
        Distill(api, KEY, retries=1, backoff_seconds=0.01) as service,
        httpx2.Client(headers=headers, timeout=30) as plain,
    ):
        for what, damaged in DAMAGE.items():
            job_id = an_artifact_of(place.engine, place.objects, content)
            address = f"{api}/v1/jobs/{job_id}/artifacts/best.safetensors?direct=true"
            assert plain.get(address).content == content
            place.damage(artifact_key(job_id, 1, "best.safetensors"), damaged(content))
            assert not arrives(plain, address), what
            if len(damaged(content) or b"") != len(content):
                answer = plain.get(address, headers={"Range": "bytes=0-99"})
                assert (answer.status_code, answer.json()["code"]) == (500, "corrupt_object"), what
            with pytest.raises(ClientError):
                service.download(job_id, tmp_path / job_id, ["best.safetensors"])
            assert not (tmp_path / job_id / "best.safetensors").exists(), what


def arrives(client: httpx2.Client, address: str) -> bool:
    """Whether an answer of 200 comes to an end as HTTP says that it should."""
    try:
        answer = client.get(address)
    except httpx2.RemoteProtocolError:
        return False
    assert answer.status_code == 200 or answer.json()["code"] == "corrupt_object"
    return answer.status_code == 200


def test_c8_a_damaged_report_is_not_shown(place: Place, api: str) -> None:
    attempt = create_finished_job(place.engine, place.objects)
    place.damage(artifact_key(attempt.job_id, attempt.number, "report.json"), b"{}")
    answer = httpx2.get(
        f"{api}/v1/jobs/{attempt.job_id}/report",
        headers={"Authorization": f"Bearer {KEY}"},
        timeout=30,
    )
    assert (answer.status_code, answer.json()["code"]) == (500, "corrupt_object")
