"""Models and data sets: creation, upload, import job, download."""

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
from core.store import jobs
from core.store.database.engine import read_session, transaction
from core.store.database.fence import FencedSession
from core.store.database.tables import DEFAULT_PROJECT, DatasetRow, ModelRow
from core.store.objects.store import Objects, upload_key
from core.store.registry import models, uploaded_items
from tests.api.builders import SAFETENSORS, create_ready_dataset, sha256
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
KINDS: dict[str, tuple[dict[str, Any], bytes]] = {
    "models": (MODEL, SAFETENSORS + b"\0" * 600),
    "datasets": ({"name": "pictures"}, ZIP),
}
"""By collection: the body that creates an item, and the content of its upload."""
OCTETS = {"Content-Type": "application/octet-stream"}
kinds = pytest.mark.parametrize("kind", sorted(KINDS))


def create_item(client: Any, kind: str, **changes: Any) -> str:
    response = client.post(f"/v1/{kind}", json={**KINDS[kind][0], **changes})
    assert response.status_code == 201, response.text
    assert response.json()["status"] == "awaiting_upload"
    assert response.headers["Location"] == f"/v1/{kind}/{response.json()['id']}"
    return str(response.json()["id"])


def upload(client: Any, kind: str, row_id: str, content: Any = None) -> Any:
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
def test_upload_is_stored_and_its_import_is_queued(
    client: TestClient, engine: Engine, objects: Objects, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []
    monkeypatch.setattr(queue, "wake_workers", lambda settings, job_id: woken.append(job_id))
    row_id, content = create_item(client, kind), KINDS[kind][1]
    response = upload(client, kind, row_id)
    assert response.status_code == 202, response.text
    row = response.json()
    assert (row["status"], row["size"], row["sha256"]) == (
        "importing",
        len(content),
        sha256(content),
    )
    assert woken == [row["import_job_id"]]
    assert b"".join(objects.open(upload_key(row_id))) == content
    with read_session(engine) as session:
        job = jobs.get(session, DEFAULT_PROJECT, row["import_job_id"])
        spec = parse(job.spec)
    if isinstance(spec, ImportModelSpec):
        assert (spec.model_id, spec.description.classes) == (row_id, 10)
    else:
        assert isinstance(spec, ImportDatasetSpec)
        assert (spec.dataset_id, spec.source) == (row_id, "upload")
    response_job = client.get(f"/v1/jobs/{job.id}").json()
    assert (response_job["status"], response_job["spec"]["kind"]) == ("queued", spec.kind)


@kinds
def test_upload_is_addressed_by_id_or_name(client: TestClient, kind: str) -> None:
    row_id = create_item(client, kind)
    assert upload(client, kind, KINDS[kind][0]["name"]).json()["id"] == row_id


@kinds
def test_second_upload_is_a_409(client: TestClient, kind: str) -> None:
    row_id = create_item(client, kind)
    assert upload(client, kind, row_id).status_code == 202
    again = upload(client, kind, row_id)
    assert (again.status_code, again.json()["code"]) == (409, "not_awaiting_upload")
    assert "importing" in again.json()["detail"]


@kinds
def test_name_that_is_taken_is_a_409(client: TestClient, kind: str) -> None:
    create_item(client, kind)
    response = client.post(f"/v1/{kind}", json=KINDS[kind][0])
    assert (response.status_code, response.json()["code"]) == (409, "name_taken")


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
def test_format_that_no_import_opens_is_refused(
    client: TestClient, objects: Objects, kind: str, content: bytes, code: str
) -> None:
    row_id = create_item(client, kind)
    response = upload(client, kind, row_id, content)
    assert (response.status_code, response.json()["code"]) == (422, code)
    assert not objects.exists(upload_key(row_id))
    assert status(client, kind, row_id) == "awaiting_upload"
    assert upload(client, kind, row_id).status_code == 202


def test_format_is_detected_in_single_byte_chunks(client: TestClient) -> None:
    row_id = create_item(client, "models")
    content = KINDS["models"][1]
    assert upload(client, "models", row_id, (bytes([byte]) for byte in content)).status_code == 202


@kinds
def test_bytes_with_another_hash_are_not_stored(
    client: TestClient, objects: Objects, kind: str
) -> None:
    row_id = create_item(client, kind, sha256=sha256(KINDS[kind][1]))
    response = upload(client, kind, row_id, KINDS[kind][1] + b"!")
    assert (response.status_code, response.json()["code"]) == (422, "hash_mismatch")
    assert not objects.exists(upload_key(row_id))
    assert upload(client, kind, row_id).status_code == 202


def test_upload_beyond_the_limit_is_a_413(
    settings: Settings, engine: Engine, objects: Objects
) -> None:
    """Whether Content-Length declares its size or not."""
    with TestClient(
        create_app(settings.model_copy(update={"max_upload_bytes": 1000})), headers=bearer(KEY)
    ) as client:
        row_id = create_item(client, "models")
        content = SAFETENSORS + b"\0" * 2000
        for body in (content, (content[i : i + 100] for i in range(0, len(content), 100))):
            response = upload(client, "models", row_id, body)
            assert (response.status_code, response.json()["code"]) == (413, "too_large")
        assert stored_keys(objects, "uploads") == []
        assert status(client, "models", row_id) == "awaiting_upload"


def test_multipart_form_is_a_415(client: TestClient) -> None:
    row_id = create_item(client, "models")
    response = client.put(f"/v1/models/{row_id}/content", files={"file": b"x"})
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


def test_broken_connection_stores_nothing(
    service: Service, settings: Settings, objects: Objects
) -> None:
    row_id = create_item(service.client, "models")

    def broken() -> Iterator[bytes]:
        yield SAFETENSORS + b"\0" * 10**6
        raise ConnectionError

    with pytest.raises(ConnectionError):
        upload(service.client, "models", row_id, broken())
    wait_until(
        lambda: upload(service.client, "models", row_id).status_code == 202, what="a second try"
    )
    assert len(stored_keys(objects, "uploads")) == 1


def test_concurrent_upload_of_the_same_model_is_a_409(service: Service, settings: Settings) -> None:
    row_id = create_item(service.client, "models")
    go_on = threading.Event()
    responses: list[Any] = []

    def slow() -> Iterator[bytes]:
        yield SAFETENSORS + b"\0" * 10**6
        go_on.wait(20)
        yield b"\0"

    first = threading.Thread(
        target=lambda: responses.append(upload(service.client, "models", row_id, slow()))
    )
    first.start()
    wait_until(lambda: any(settings.home.glob("**/.staging/*")), what="the first upload")
    assert upload(service.client, "models", row_id).json()["code"] == "upload_in_progress"
    go_on.set()
    first.join(10)
    assert responses[0].status_code == 202


def test_upload_of_200_mb_takes_under_100_mb_of_memory(
    service: Service, settings: Settings
) -> None:
    row_id = create_item(service.client, "models")
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

    response = upload(service.client, "models", row_id, content())
    assert response.status_code == 202, response.text
    assert response.json()["sha256"] == digest.hexdigest()
    assert response.json()["size"] == len(SAFETENSORS) + parts * len(part)
    assert most - before < 100 * 2**20


def test_slow_uploads_do_not_block_other_requests(start_service: Callable[..., Service]) -> None:
    service = start_service()
    finished = threading.Event()

    def slow() -> Iterator[bytes]:
        yield SAFETENSORS + b"\0" * 1000
        finished.wait(20)

    rows = [create_item(service.client, "models", name=f"m{number}") for number in range(20)]
    threads = [
        threading.Thread(target=upload, args=(service.client, "models", row_id, slow()))
        for row_id in rows
    ]
    for thread in threads:
        thread.start()
    for _ in range(20):
        assert service.client.get("/v1/jobs", timeout=5).status_code == 200
    finished.set()
    for thread in threads:
        thread.join(20)
    assert {status(service.client, "models", row_id) for row_id in rows} == {"importing"}


@kinds
def test_only_ready_items_are_downloaded(
    client: TestClient, engine: Engine, objects: Objects, kind: str
) -> None:
    row_id = create_item(client, kind)
    early = client.get(f"/v1/{kind}/{row_id}/content")
    assert (early.status_code, early.json()["code"]) == (409, f"{kind[:-1]}_not_ready")
    size, digest = objects.put_stream("ready", iter([b"content"]), 100)
    with transaction(engine, FencedSession) as session:
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
    response = client.get(f"/v1/{kind}/{KINDS[kind][0]['name']}/content")
    assert (response.status_code, response.content) == (200, b"content")
    assert (
        response.headers["Content-Disposition"]
        == f'attachment; filename="{KINDS[kind][0]["name"]}.safetensors"'
    )
    assert client.head(f"/v1/{kind}/{row_id}/content").headers["ETag"] == f'"{digest}"'


@kinds
def test_refused_item_has_a_problem(client: TestClient, engine: Engine, kind: str) -> None:
    row_id = create_item(client, kind)
    problem = {"code": "unreadable_checkpoint", "detail": "It is not what it seems."}
    with read_session(engine) as session:
        if kind == "models":
            model = uploaded_items.get(session, ModelRow, DEFAULT_PROJECT, row_id)
            refuse_upload(engine, model, problem["code"], problem["detail"])
        else:
            dataset = uploaded_items.get(session, DatasetRow, DEFAULT_PROJECT, row_id)
            refuse_upload(engine, dataset, problem["code"], problem["detail"])
    item = client.get(f"/v1/{kind}/{row_id}").json()
    assert (item["status"], item["problem"]) == ("refused", problem)


def test_models_and_data_sets_are_listed_in_pages(client: TestClient) -> None:
    for number in range(3):
        create_item(client, "models", name=f"m{number}")
        create_item(client, "datasets", name=f"d{number}")
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
def test_invalid_data_set_is_refused(
    client: TestClient, body: dict[str, Any], path: list[str]
) -> None:
    response = client.post("/v1/datasets", json=body)
    assert (response.status_code, response.json()["errors"][0]["path"]) == (422, path)
    assert client.get("/v1/datasets").json()["data"][0]["name"] == "digits"


def test_folder_or_download_is_imported_at_once(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    """A data set from the data folder or from its publisher awaits no upload."""
    (tmp_path / "offered" / "birds").mkdir(parents=True)
    setup = settings.model_copy(
        update={"data_folder": tmp_path / "offered", "allow_downloads": True}
    )
    with TestClient(create_app(setup), headers=bearer(KEY)) as client:
        for body in (
            {"name": "birds", "folder": "birds"},
            {"name": "cifar", "download": "cifar10"},
        ):
            response = client.post("/v1/datasets", json=body)
            assert (response.status_code, response.json()["status"]) == (201, "importing")
            job = client.get(f"/v1/jobs/{response.json()['import_job_id']}").json()
            source = "folder" if "folder" in body else "download"
            assert (job["spec"]["source"], job["spec"][source]) == (source, body[source])
        missing = client.post("/v1/datasets", json={"name": "bees", "folder": "bees"})
        assert missing.json()["errors"][0]["path"] == ["folder"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"classes": ["cat", "dog", "cat"]}, "Classes has 'cat' twice."),
        (
            {"classes": ["cat", "dog"], "every": 10},
            "Classes are chosen by a list or by every, not by both.",
        ),
    ],
)
def test_contradictory_choice_of_classes_is_refused(
    client: TestClient, body: dict[str, Any], message: str
) -> None:
    response = client.post("/v1/datasets", json={"name": "ok", **body})
    assert (response.status_code, response.json()["errors"][0]["message"]) == (422, message)


def test_download_of_decoded_images_takes_no_image_size(settings: Settings, engine: Engine) -> None:
    with TestClient(
        create_app(settings.model_copy(update={"allow_downloads": True})), headers=bearer(KEY)
    ) as client:
        response = client.post(
            "/v1/datasets", json={"name": "cifar", "download": "cifar10", "image_size": 64}
        )
    assert (response.status_code, response.json()["errors"][0]["path"]) == (422, ["image_size"])


@pytest.mark.parametrize(
    "options",
    [
        {"image_size": 224, "every": 10},
        {"classes": ["dog", "cat"]},
        {"image_size": 64, "classes": ["b", "a", "c"]},
    ],
)
def test_import_options_reach_the_import_job(
    settings: Settings, engine: Engine, tmp_path: Path, options: dict[str, Any]
) -> None:
    """They are set when the data set is created, before its upload."""
    (tmp_path / "from_folder" / "birds").mkdir(parents=True)
    setup = settings.model_copy(update={"data_folder": tmp_path / "from_folder"})
    with TestClient(create_app(setup), headers=bearer(KEY)) as client:
        row_id = create_item(client, "datasets", **options)
        uploaded = upload(client, "datasets", row_id).json()
        from_folder = client.post(
            "/v1/datasets", json={"name": "birds", "folder": "birds", **options}
        ).json()
        for row in (uploaded, from_folder, client.get(f"/v1/datasets/{row_id}").json()):
            spec = client.get(f"/v1/jobs/{row['import_job_id']}").json()["spec"]
            expected = {"image_size": None, "classes": None, "every": None} | options
            assert {name: row[name] for name in expected} == expected
            assert {name: spec[name] for name in expected} == expected


SYNTHETIC = {"test_images": 0, "train_images": 1_000_000}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (
            {"height": 64, "width": 64},
            "synthetic has images of 3x64x64 (channels, height, width); color has 3x32x32.",
        ),
        (
            {"channels": 1},
            "synthetic has images of 1x32x32 (channels, height, width); color has 3x32x32.",
        ),
        (
            {"classes": 4, "class_names": ("0", "1", "2", "3")},
            "synthetic has labels of 4 classes; color has 3.",
        ),
        (
            {"source": "encoded"},
            "synthetic has encoded images; extra images come from an imported data set of "
            "decoded ones.",
        ),
    ],
)
def test_extra_data_that_does_not_fit_is_refused(
    client: TestClient, engine: Engine, extra: dict[str, Any], message: str
) -> None:
    create_ready_dataset(engine, "color", train_images=1000)
    create_ready_dataset(engine, "synthetic", **(SYNTHETIC | extra))
    data = {"dataset": "color", "held_out": 0.1, "extra": {"dataset": "synthetic", "ratio": 0.7}}
    response = client.post(
        "/v1/jobs", json=training_body(student={"architecture": "resnet18"}, data=data)
    )
    assert response.status_code == 422
    assert response.json()["errors"] == [{"path": ["data", "extra", "dataset"], "message": message}]


def test_extra_data_that_fits_is_stored_by_id(client: TestClient, engine: Engine) -> None:
    create_ready_dataset(engine, "color", train_images=1000)
    create_ready_dataset(engine, "synthetic", **SYNTHETIC)
    data = {"dataset": "color", "held_out": 0.1, "extra": {"dataset": "synthetic"}}
    response = client.post(
        "/v1/jobs", json=training_body(student={"architecture": "resnet18"}, data=data)
    )
    assert response.status_code == 201, response.text
    synthetic = client.get("/v1/datasets/synthetic").json()["id"]
    assert response.json()["spec"]["data"]["extra"] == {"dataset": synthetic, "ratio": 0.7}


def test_data_set_without_test_images_is_extra_only(client: TestClient, engine: Engine) -> None:
    create_ready_dataset(engine, "synthetic", **SYNTHETIC)
    data = {"dataset": "synthetic", "held_out": 0.1}
    response = client.post(
        "/v1/jobs", json=training_body(student={"architecture": "resnet18"}, data=data)
    )
    assert response.json()["errors"] == [
        {
            "path": ["data", "dataset"],
            "message": "synthetic has no test images: it can only be extra training data.",
        }
    ]


def test_resized_crop_needs_encoded_images(client: TestClient, engine: Engine) -> None:
    create_ready_dataset(engine, "color", train_images=1000)
    create_ready_dataset(engine, "photos", train_images=1000, source="encoded")
    for name, status_code in (("color", 422), ("photos", 201)):
        data = {"dataset": name, "held_out": 0.1, "augmentation": {"resized_crop": {}}}
        response = client.post(
            "/v1/jobs", json=training_body(student={"architecture": "resnet18"}, data=data)
        )
        assert response.status_code == status_code, response.text
        if status_code == 422:
            assert response.json()["errors"][0]["path"] == ["data", "augmentation", "resized_crop"]


def test_digits_are_ready_without_a_file(client: TestClient) -> None:
    digits = client.get("/v1/datasets/digits").json()
    assert (digits["status"], digits["description"]["classes"]) == ("ready", 10)
    assert client.get("/v1/datasets/digits/content").json()["code"] == "dataset_built_in"
