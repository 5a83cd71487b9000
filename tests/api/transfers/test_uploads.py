import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.app import create_app
from core import queue
from core.jobspec.job import ImportDatasetSpec, ImportModelSpec
from core.jobspec.resolved import parse
from core.settings import Settings
from core.store import datasets, jobs, models, uploaded_items
from core.store.database.engine import read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, DatasetRow, ModelRow
from core.store.objects.store import Objects, upload_key
from tests.api.builders import SAFETENSORS, sha256
from tests.api.conftest import KEY, Service, bearer
from tests.builders import dataset_description, refuse_upload, stored_keys, training_body
from tests.servers import wait_until

ZIP = b"PK\x03\x04" + b"\0" * 600
MODEL = {
    "name": "teacher",
    "network": {"architecture": "small_cnn", "width": 4},
    "classes": 10,
    "channels": 1,
    "height": 8,
    "width": 8,
}
KINDS = {"models": (MODEL, SAFETENSORS + b"\0" * 600), "datasets": ({"name": "pictures"}, ZIP)}
OCTETS = {"Content-Type": "application/octet-stream"}
kinds = pytest.mark.parametrize("kind", sorted(KINDS))


def announce(client: Any, kind: str, **changes: Any) -> str:
    answer = client.post(f"/v1/{kind}", json={**KINDS[kind][0], **changes})
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == "awaiting_upload"
    assert answer.headers["Location"] == f"/v1/{kind}/{answer.json()['id']}"
    return str(answer.json()["id"])


def send(client: Any, kind: str, row_id: str, content: Any = None) -> Any:
    return client.put(
        f"/v1/{kind}/{row_id}/content",
        content=KINDS[kind][1] if content is None else content,
        headers=OCTETS,
    )


def status(client: Any, kind: str, row_id: str) -> str:
    return str(client.get(f"/v1/{kind}/{row_id}").json()["status"])


@pytest.fixture
def objects(settings: Settings) -> Objects:
    return Objects.from_settings(settings)


@kinds
def test_an_upload_is_stored_and_a_job_is_queued_to_open_it(
    client: TestClient, engine: Engine, objects: Objects, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hinted: list[str] = []
    monkeypatch.setattr(queue, "wake_workers", lambda settings, job_id: hinted.append(job_id))
    row_id, content = announce(client, kind), KINDS[kind][1]
    answer = send(client, kind, row_id)
    assert answer.status_code == 202, answer.text
    row = answer.json()
    assert (row["status"], row["size"], row["sha256"]) == (
        "importing",
        len(content),
        sha256(content),
    )
    assert hinted == [row["import_job_id"]]
    assert b"".join(objects.open(upload_key(row_id))) == content
    with read_session(engine) as session:
        job = jobs.get(session, DEFAULT_PROJECT, row["import_job_id"])
        spec = parse(job.spec)
    if isinstance(spec, ImportModelSpec):
        assert (spec.model_id, spec.description.classes) == (row_id, 10)
    else:
        assert isinstance(spec, ImportDatasetSpec)
        assert (spec.dataset_id, spec.source) == (row_id, "upload")
    shown = client.get(f"/v1/jobs/{job.id}").json()
    assert (shown["status"], shown["spec"]["kind"]) == ("queued", spec.kind)


@kinds
def test_it_may_be_addressed_by_name(client: TestClient, kind: str) -> None:
    row_id = announce(client, kind)
    assert send(client, kind, KINDS[kind][0]["name"]).json()["id"] == row_id


@kinds
def test_content_is_sent_once(client: TestClient, kind: str) -> None:
    row_id = announce(client, kind)
    assert send(client, kind, row_id).status_code == 202
    again = send(client, kind, row_id)
    assert (again.status_code, again.json()["code"]) == (409, "not_awaiting_upload")
    assert "importing" in again.json()["detail"]


@kinds
def test_a_name_is_taken_once(client: TestClient, kind: str) -> None:
    announce(client, kind)
    answer = client.post(f"/v1/{kind}", json=KINDS[kind][0])
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")


@pytest.mark.parametrize(
    ("kind", "content", "code"),
    [
        ("models", b"\x80\x04payload" + b"\0" * 600, "unsafe_checkpoint"),
        ("models", b"\0" * 257 + b"ustar" + b"\0" * 600, "unsafe_checkpoint"),
        ("models", b"plain text", "unknown_format"),
        ("models", b"", "unknown_format"),
        ("datasets", b"\x80\x04payload" + b"\0" * 600, "unsafe_dataset"),
        ("datasets", b"plain text", "unknown_format"),
        ("datasets", b"", "unknown_format"),
    ],
)
def test_what_no_importer_would_open_is_refused_at_once(
    client: TestClient, objects: Objects, kind: str, content: bytes, code: str
) -> None:
    row_id = announce(client, kind)
    answer = send(client, kind, row_id, content)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert not objects.exists(upload_key(row_id))
    assert status(client, kind, row_id) == "awaiting_upload"
    assert send(client, kind, row_id).status_code == 202


def test_a_format_is_known_by_the_first_bytes_however_they_arrive(client: TestClient) -> None:
    row_id = announce(client, "models")
    content = KINDS["models"][1]
    assert send(client, "models", row_id, (bytes([byte]) for byte in content)).status_code == 202


@kinds
def test_other_bytes_than_the_declared_ones_are_not_kept(
    client: TestClient, objects: Objects, kind: str
) -> None:
    row_id = announce(client, kind, sha256=sha256(KINDS[kind][1]))
    answer = send(client, kind, row_id, KINDS[kind][1] + b"!")
    assert (answer.status_code, answer.json()["code"]) == (422, "hash_mismatch")
    assert not objects.exists(upload_key(row_id))
    assert send(client, kind, row_id).status_code == 202


def test_an_upload_beyond_the_limit_is_a_413_declared_or_not(
    settings: Settings, engine: Engine, objects: Objects
) -> None:
    with TestClient(
        create_app(settings.model_copy(update={"max_upload_bytes": 1000})), headers=bearer(KEY)
    ) as client:
        row_id = announce(client, "models")
        content = SAFETENSORS + b"\0" * 2000
        for sent in (content, (content[i : i + 100] for i in range(0, len(content), 100))):
            answer = send(client, "models", row_id, sent)
            assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert stored_keys(objects, "uploads") == []
        assert status(client, "models", row_id) == "awaiting_upload"


def test_an_upload_is_bytes_not_a_form(client: TestClient) -> None:
    row_id = announce(client, "models")
    answer = client.put(f"/v1/models/{row_id}/content", files={"file": b"x"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_a_broken_connection_leaves_nothing(
    service: Service, settings: Settings, objects: Objects
) -> None:
    row_id = announce(service.client, "models")

    def broken() -> Iterator[bytes]:
        yield SAFETENSORS + b"\0" * 10**6
        raise ConnectionError

    with pytest.raises(ConnectionError):
        send(service.client, "models", row_id, broken())
    wait_until(
        lambda: send(service.client, "models", row_id).status_code == 202, what="a second try"
    )
    assert len(stored_keys(objects, "uploads")) == 1


def test_a_second_upload_of_the_same_model_waits_its_turn(
    service: Service, settings: Settings
) -> None:
    row_id = announce(service.client, "models")
    go_on = threading.Event()
    answers: list[Any] = []

    def slow() -> Iterator[bytes]:
        yield SAFETENSORS + b"\0" * 10**6
        go_on.wait(20)
        yield b"\0"

    first = threading.Thread(
        target=lambda: answers.append(send(service.client, "models", row_id, slow()))
    )
    first.start()
    wait_until(lambda: any(settings.home.glob("**/.staging/*")), what="the first upload")
    assert send(service.client, "models", row_id).json()["code"] == "upload_in_progress"
    go_on.set()
    first.join(10)
    assert answers[0].status_code == 202


def test_an_upload_of_200_mb_costs_the_service_less_than_100_mb(
    service: Service, settings: Settings
) -> None:
    row_id = announce(service.client, "models")
    part, parts = b"\0" * 2**20, 200
    digest = hashlib.sha256(SAFETENSORS)
    most = before = service.memory()

    def content() -> Iterator[bytes]:
        nonlocal most
        yield SAFETENSORS
        for _ in range(parts):
            digest.update(part)
            most = max(most, service.memory())
            yield part

    answer = send(service.client, "models", row_id, content())
    assert answer.status_code == 202, answer.text
    assert answer.json()["sha256"] == digest.hexdigest()
    assert answer.json()["size"] == len(SAFETENSORS) + parts * len(part)
    assert most - before < 100 * 2**20


def test_slow_uploads_leave_room_for_others(start_service: Callable[..., Service]) -> None:
    service = start_service()
    done = threading.Event()

    def slow() -> Iterator[bytes]:
        yield SAFETENSORS + b"\0" * 1000
        done.wait(20)

    rows = [announce(service.client, "models", name=f"m{number}") for number in range(20)]
    threads = [
        threading.Thread(target=send, args=(service.client, "models", row_id, slow()))
        for row_id in rows
    ]
    for thread in threads:
        thread.start()
    for _ in range(20):
        assert service.client.get("/v1/jobs", timeout=5).status_code == 200
    done.set()
    for thread in threads:
        thread.join(20)
    assert {status(service.client, "models", row_id) for row_id in rows} == {"importing"}


@kinds
def test_what_is_ready_can_be_downloaded_and_nothing_else(
    client: TestClient, engine: Engine, objects: Objects, kind: str
) -> None:
    row_id = announce(client, kind)
    early = client.get(f"/v1/{kind}/{row_id}/content")
    assert (early.status_code, early.json()["code"]) == (409, f"{kind[:-1]}_not_ready")
    size, digest = objects.put_stream("ready", iter([b"content"]), 100)
    with write_session(engine) as session:
        if kind == "models":
            model = uploaded_items.get(session, ModelRow, DEFAULT_PROJECT, row_id)
            models.mark_ready(
                session,
                model,
                models.describe(model),
                object_key="ready",
                size=size,
                sha256=digest,
                parameters=7,
            )
        else:
            row = uploaded_items.get(session, DatasetRow, DEFAULT_PROJECT, row_id)
            uploaded_items.mark_ready(
                session, row, dataset_description(), object_key="ready", size=size, sha256=digest
            )
    answer = client.get(f"/v1/{kind}/{KINDS[kind][0]['name']}/content")
    assert (answer.status_code, answer.content) == (200, b"content")
    assert (
        answer.headers["Content-Disposition"]
        == f'attachment; filename="{KINDS[kind][0]["name"]}.safetensors"'
    )
    assert client.head(f"/v1/{kind}/{row_id}/content").headers["ETag"] == f'"{digest}"'


@kinds
def test_what_was_refused_says_why(client: TestClient, engine: Engine, kind: str) -> None:
    row_id = announce(client, kind)
    problem = {"code": "unreadable_checkpoint", "detail": "It is not what it seems."}
    with read_session(engine) as session:
        if kind == "models":
            model = uploaded_items.get(session, ModelRow, DEFAULT_PROJECT, row_id)
            refuse_upload(engine, model, problem["code"], problem["detail"])
        else:
            dataset = uploaded_items.get(session, DatasetRow, DEFAULT_PROJECT, row_id)
            refuse_upload(engine, dataset, problem["code"], problem["detail"])
    found = client.get(f"/v1/{kind}/{row_id}").json()
    assert (found["status"], found["problem"]) == ("refused", problem)


def test_models_and_data_sets_are_listed_in_pages(client: TestClient) -> None:
    for number in range(3):
        announce(client, "models", name=f"m{number}")
        announce(client, "datasets", name=f"d{number}")
    for kind, letter in (("models", "m"), ("datasets", "d")):
        first = client.get(f"/v1/{kind}", params={"limit": 2}).json()
        assert [row["name"] for row in first["data"]] == [f"{letter}2", f"{letter}1"]
        rest = client.get(f"/v1/{kind}", params={"after": first["next_cursor"]}).json()
        assert rest["data"][0]["name"] == f"{letter}0"
        assert not rest["has_more"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"name": "a/b"}, ["name"]),
        ({"name": ".hidden"}, ["name"]),
        ({"name": "x\n"}, ["name"]),
        ({"name": "ok", "folder": "../etc"}, ["folder"]),
        ({"name": "ok", "folder": "here"}, ["folder"]),
        ({"name": "ok", "download": "cifar10"}, ["download"]),
        ({"name": "ok", "download": "imagenet"}, ["download"]),
        ({"name": "ok", "folder": "here", "download": "cifar10"}, ["download"]),
        ({"name": "ok", "url": "http://127.0.0.1"}, ["url"]),
        ({"name": "ok", "image_size": 7}, ["image_size"]),
        ({"name": "ok", "image_size": 513}, ["image_size"]),
        ({"name": "ok", "image_size": "224"}, ["image_size"]),
        ({"name": "ok", "classes": ["one"]}, ["classes"]),
        ({"name": "ok", "classes": [f"class {number}" for number in range(10_001)]}, ["classes"]),
        ({"name": "ok", "classes": ["a", "x" * 201]}, ["classes", 1]),
        ({"name": "ok", "classes": ["a", "b/c"]}, ["classes", 1]),
        ({"name": "ok", "classes": ["a", "\0"]}, ["classes", 1]),
        ({"name": "ok", "classes": {"every": 10}}, ["classes"]),
        ({"name": "ok", "every": 1}, ["every"]),
    ],
)
def test_a_data_set_that_this_service_cannot_get_is_refused(
    client: TestClient, body: dict[str, Any], path: list[str]
) -> None:
    answer = client.post("/v1/datasets", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, path)
    assert client.get("/v1/datasets").json()["data"][0]["name"] == "digits"


def test_a_data_set_in_the_operators_folder_or_to_be_downloaded_is_imported_at_once(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "offered" / "birds").mkdir(parents=True)
    setup = settings.model_copy(
        update={"data_folder": tmp_path / "offered", "allow_downloads": True}
    )
    with TestClient(create_app(setup), headers=bearer(KEY)) as client:
        for body in (
            {"name": "birds", "folder": "birds"},
            {"name": "cifar", "download": "cifar10"},
        ):
            answer = client.post("/v1/datasets", json=body)
            assert (answer.status_code, answer.json()["status"]) == (201, "importing")
            job = client.get(f"/v1/jobs/{answer.json()['import_job_id']}").json()
            source = "folder" if "folder" in body else "download"
            assert (job["spec"]["source"], job["spec"][source]) == (source, body[source])
        missing = client.post("/v1/datasets", json={"name": "bees", "folder": "bees"})
        assert missing.json()["errors"][0]["path"] == ["folder"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"classes": ["cat", "dog", "cat"]}, "Classes has 'cat' twice."),
        (
            {"classes": ["cat", "dog"], "every": 10},
            "Classes are chosen by a list or by every, not by both.",
        ),
    ],
)
def test_a_choice_of_classes_that_contradicts_itself_is_refused_at_once(
    client: TestClient, body: dict[str, Any], said: str
) -> None:
    answer = client.post("/v1/datasets", json={"name": "ok", **body})
    assert (answer.status_code, answer.json()["errors"][0]["message"]) == (422, said)


def test_what_is_decoded_when_it_is_downloaded_cannot_stay_encoded(
    settings: Settings, engine: Engine
) -> None:
    with TestClient(
        create_app(settings.model_copy(update={"allow_downloads": True})), headers=bearer(KEY)
    ) as client:
        answer = client.post(
            "/v1/datasets", json={"name": "cifar", "download": "cifar10", "image_size": 64}
        )
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, ["image_size"])


@pytest.mark.parametrize(
    "wanted",
    [
        {"image_size": 224, "every": 10},
        {"classes": ["dog", "cat"]},
        {"image_size": 64, "classes": ["b", "a", "c"]},
    ],
)
def test_how_a_data_set_is_to_be_read_is_said_first_and_reaches_the_import(
    settings: Settings, engine: Engine, tmp_path: Path, wanted: dict[str, Any]
) -> None:
    (tmp_path / "offered" / "birds").mkdir(parents=True)
    setup = settings.model_copy(update={"data_folder": tmp_path / "offered"})
    with TestClient(create_app(setup), headers=bearer(KEY)) as client:
        row_id = announce(client, "datasets", **wanted)
        sent = send(client, "datasets", row_id).json()
        offered = client.post(
            "/v1/datasets", json={"name": "birds", "folder": "birds", **wanted}
        ).json()
        for row in (sent, offered, client.get(f"/v1/datasets/{row_id}").json()):
            spec = client.get(f"/v1/jobs/{row['import_job_id']}").json()["spec"]
            everything = {"image_size": None, "classes": None, "every": None} | wanted
            assert {name: row[name] for name in everything} == everything
            assert {name: spec[name] for name in everything} == everything


def ready(engine: Engine, name: str, **changes: Any) -> None:
    with write_session(engine) as session:
        row = datasets.create(session, DEFAULT_PROJECT, name, "upload")
        uploaded_items.mark_ready(
            session, row, dataset_description(**changes), object_key=name, size=1, sha256="0" * 64
        )


SYNTHETIC = {"test_images": 0, "train_images": 1_000_000}


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (
            {"height": 64, "width": 64},
            "synthetic has images of 3x64x64 (channels, height, width); colour has 3x32x32.",
        ),
        (
            {"channels": 1},
            "synthetic has images of 1x32x32 (channels, height, width); colour has 3x32x32.",
        ),
        (
            {"classes": 4, "class_names": ("0", "1", "2", "3")},
            "synthetic has labels of 4 classes; colour has 3.",
        ),
        (
            {"source": "encoded"},
            "synthetic has encoded images; extra images come from an imported data set of decoded ones.",
        ),
    ],
)
def test_extra_images_that_do_not_go_with_a_data_set_are_refused_at_submission(
    client: TestClient, engine: Engine, extra: dict[str, Any], said: str
) -> None:
    ready(engine, "colour", train_images=1000)
    ready(engine, "synthetic", **(SYNTHETIC | extra))
    data = {"dataset": "colour", "held_out": 0.1, "extra": {"dataset": "synthetic", "ratio": 0.7}}
    answer = client.post(
        "/v1/jobs", json=training_body(student={"architecture": "resnet18"}, data=data)
    )
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"path": ["data", "extra", "dataset"], "message": said}]


def test_extra_images_that_go_with_a_data_set_are_taken_and_stored_by_their_id(
    client: TestClient, engine: Engine
) -> None:
    ready(engine, "colour", train_images=1000)
    ready(engine, "synthetic", **SYNTHETIC)
    data = {"dataset": "colour", "held_out": 0.1, "extra": {"dataset": "synthetic"}}
    answer = client.post(
        "/v1/jobs", json=training_body(student={"architecture": "resnet18"}, data=data)
    )
    assert answer.status_code == 201, answer.text
    synthetic = client.get("/v1/datasets/synthetic").json()["id"]
    assert answer.json()["spec"]["data"]["extra"] == {"dataset": synthetic, "ratio": 0.7}


def test_a_data_set_without_test_images_is_refused_as_the_main_one(
    client: TestClient, engine: Engine
) -> None:
    ready(engine, "synthetic", **SYNTHETIC)
    data = {"dataset": "synthetic", "held_out": 0.1}
    answer = client.post(
        "/v1/jobs", json=training_body(student={"architecture": "resnet18"}, data=data)
    )
    assert answer.json()["errors"] == [
        {
            "path": ["data", "dataset"],
            "message": "synthetic has no test images: it can only be extra training data.",
        }
    ]


def test_a_resized_crop_is_refused_for_images_that_are_decoded_already(
    client: TestClient, engine: Engine
) -> None:
    ready(engine, "colour", train_images=1000)
    ready(engine, "photos", train_images=1000, source="encoded")
    for name, status_code in (("colour", 422), ("photos", 201)):
        data = {"dataset": name, "held_out": 0.1, "augmentation": {"resized_crop": {}}}
        answer = client.post(
            "/v1/jobs", json=training_body(student={"architecture": "resnet18"}, data=data)
        )
        assert answer.status_code == status_code, answer.text
        if status_code == 422:
            assert answer.json()["errors"][0]["path"] == ["data", "augmentation", "resized_crop"]


def test_digits_are_there_from_the_start_without_a_file(client: TestClient) -> None:
    digits = client.get("/v1/datasets/digits").json()
    assert (digits["status"], digits["description"]["classes"]) == ("ready", 10)
    assert client.get("/v1/datasets/digits/content").json()["code"] == "dataset_built_in"
