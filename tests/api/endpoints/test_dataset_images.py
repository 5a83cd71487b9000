"""Images of data sets in requests."""

import hashlib

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from core.jobspec.data import ThumbnailSheet
from core.settings import Settings
from core.store.database.engine import transaction, write_session
from core.store.database.fence import FencedSession
from core.store.database.tables import DEFAULT_PROJECT, DatasetRow
from core.store.objects.store import Objects, artifact_key
from core.store.registry import datasets
from core.store.registry.thumbnails import StoredSheet
from tests.api.builders import create_ready_dataset
from tests.api.conftest import STRANGERS_KEY, bearer, make_key
from tests.builders import dataset_description

PICTURE = b"RIFF, a picture"


@pytest.fixture
def birds(engine: Engine, settings: Settings) -> DatasetRow:
    """A data set of three images on one sheet, of which one is a test image."""
    objects = Objects.from_settings(settings)
    key = artifact_key("job_import", 1, "thumbnails-000.webp")
    size, sha256 = objects.put_stream(key, [PICTURE], len(PICTURE))
    sheet = ThumbnailSheet(
        file="thumbnails-000.webp",
        columns=2,
        tile_width=8,
        tile_height=8,
        images=((0, "train", 4), (0, "test", 2), (1, "train", 9)),
    )
    with transaction(engine, FencedSession) as session:
        row = datasets.create(session, DEFAULT_PROJECT, "birds", "upload")
        return datasets.mark_ready(
            session,
            row,
            dataset_description(classes=2, class_names=("tit", "wren")),
            report={},
            object_key="birds",
            size=1,
            sha256="0" * 64,
            sheets=[StoredSheet(sheet, key, size, sha256)],
        )


def test_images_and_their_picture(client: TestClient, birds: DatasetRow) -> None:
    response = client.get("/v1/datasets/birds/images")
    assert response.status_code == 200
    url = f"/v1/datasets/{birds.id}/images/{hashlib.sha256(PICTURE).hexdigest()}.webp"
    tile = {"url": url, "width": 8, "height": 8}
    assert response.json() == {
        "data": [
            {"class": "tit", "label": 0, "split": "train", "index": 4, "x": 0, "y": 0, **tile},
            {"class": "tit", "label": 0, "split": "test", "index": 2, "x": 8, "y": 0, **tile},
            {"class": "wren", "label": 1, "split": "train", "index": 9, "x": 0, "y": 8, **tile},
        ],
        "has_more": False,
        "next_cursor": None,
        "total": None,
    }
    picture = client.get(url)
    assert picture.content == PICTURE
    assert picture.headers["Content-Type"] == "image/webp"
    assert picture.headers["X-Content-Type-Options"] == "nosniff"
    assert picture.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    again = client.get(url, headers={"If-None-Match": picture.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/v1/datasets/birds").json()["images"] == 3


def test_pages_and_filters(client: TestClient, birds: DatasetRow) -> None:
    address = f"/v1/datasets/{birds.id}/images"
    first = client.get(address, params={"limit": 2}).json()
    assert first["has_more"]
    rest = client.get(address, params={"after": first["next_cursor"]}).json()
    assert [image["index"] for image in first["data"] + rest["data"]] == [4, 2, 9]
    wrens = client.get(address, params={"class": "wren"}).json()["data"]
    assert [image["index"] for image in wrens] == [9]
    one_each = client.get(address, params={"per_class": 1}).json()["data"]
    assert [image["index"] for image in one_each] == [4, 9]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("class=owl", "class"),
        ("class=" + 300 * "x", "class"),
        ("per_class=0", "per_class"),
        ("per_class=65", "per_class"),
        ("limit=201", "limit"),
        ("after=x", "after"),
        ("split=train", "split"),
    ],
)
@pytest.mark.usefixtures("birds")
def test_bad_queries_name_their_parameter(client: TestClient, query: str, param: str) -> None:
    response = client.get(f"/v1/datasets/birds/images?{query}")
    assert (response.status_code, response.json()["param"]) == (422, param)


def test_images_are_the_projects_own(client: TestClient, engine: Engine, birds: DatasetRow) -> None:
    address = f"/v1/datasets/{birds.id}/images"
    url = client.get(address).json()["data"][0]["url"]
    for path in (address, url):
        assert client.get(path, headers=bearer(STRANGERS_KEY)).status_code == 404
        assert client.get(path, headers=make_key(engine, "submit")).status_code == 403
    unknown = client.get(f"{address}/{'0' * 64}.webp")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


def test_digits_are_shown_to_every_project(client: TestClient) -> None:
    """Their sheets come with the program."""
    for headers in ({}, bearer(STRANGERS_KEY)):
        page = client.get(
            "/v1/datasets/digits/images", params={"class": "7", "limit": 3}, headers=headers
        ).json()
        assert [image["class"] for image in page["data"]] == ["7", "7", "7"]
        picture = client.get(page["data"][0]["url"], headers=headers)
        assert picture.content[:4] == b"RIFF"
        sha256 = hashlib.sha256(picture.content).hexdigest()
        assert picture.headers["ETag"] == f'"{sha256}"'
        assert page["data"][0]["url"].endswith(f"{sha256}.webp")
        unchanged = client.get(page["data"][0]["url"], headers={**headers, "If-None-Match": "*"})
        assert unchanged.status_code == 304


def test_a_data_set_without_images_says_how_to_get_them(client: TestClient, engine: Engine) -> None:
    create_ready_dataset(engine, "old")
    response = client.get("/v1/datasets/old/images")
    assert (response.status_code, response.json()["code"]) == (404, "no_images")
    assert "Import its files again" in response.json()["detail"]
    assert client.get("/v1/datasets/old").json()["images"] is None


def test_a_data_set_that_is_not_ready_has_none(client: TestClient, engine: Engine) -> None:
    with write_session(engine) as session:
        datasets.create(session, DEFAULT_PROJECT, "new", "upload")
    response = client.get("/v1/datasets/new/images")
    assert (response.status_code, response.json()["code"]) == (409, "dataset_not_ready")


def test_a_picture_that_is_gone_is_a_problem(
    client: TestClient, settings: Settings, birds: DatasetRow
) -> None:
    url = client.get(f"/v1/datasets/{birds.id}/images").json()["data"][0]["url"]
    Objects.from_settings(settings).delete(artifact_key("job_import", 1, "thumbnails-000.webp"))
    assert client.get(url).status_code == 500
