"""``distill datasets``."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.client.commands.runner import distill
from tests.client.fake_server import (
    CREATED_AT,
    FakeResponse,
    FakeServer,
    json_response,
    page_response,
    problem_response,
)

PICTURES = {"id": "ds_1", "name": "pictures", "source": "upload", "created_at": CREATED_AT}


def test_data_set_is_created_with_its_classes(server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "birds.zip").write_bytes(b"PK")
    (tmp_path / "classes.txt").write_text("wren\n\n  great tit \nowl")
    importing = PICTURES | {"status": "importing"}
    created = PICTURES | {"status": "awaiting_upload"}
    server.respond("POST /v1/datasets", json_response(created, 201))
    server.respond("PUT /v1/datasets/ds_1/content", json_response(importing, 202))
    server.respond("GET /v1/datasets/ds_1", json_response(importing))
    options = ["--image-size", "224", "--classes", tmp_path / "classes.txt"]
    result = distill("datasets", "add", "pictures", tmp_path / "birds.zip", *options)
    assert (result.exit_code, result.stdout) == (0, "ds_1 pictures is importing.\n")
    body = server.requests[0].json
    reading = (body["image_size"], body["classes"], body["every"])
    assert reading == (224, ["wren", "great tit", "owl"], None)


def test_every_nth_class_of_a_folder_is_requested(server: FakeServer) -> None:
    importing = PICTURES | {"status": "importing"}
    server.respond("POST /v1/datasets", json_response(importing, 201))
    options = ("--folder", "imagenet", "--every", "10", "--image-size", "224")
    assert distill("datasets", "add", "in100", *options).exit_code == 0
    assert server.requests[0].json == {
        "name": "in100",
        "folder": "imagenet",
        "download": None,
        "image_size": 224,
        "classes": None,
        "every": 10,
    }


def test_upload_with_other_classes_is_not_resumed(server: FakeServer, tmp_path: Path) -> None:
    """The name was taken by an upload that differs in its classes."""
    (tmp_path / "birds.zip").write_bytes(b"PK")
    existing = PICTURES | {
        "status": "awaiting_upload",
        "sha256": hashlib.sha256(b"PK").hexdigest(),
        "every": 10,
    }
    detail = "There already is a data set named 'pictures'."
    server.respond("POST /v1/datasets", problem_response(409, "name_taken", detail))
    server.respond("GET /v1/datasets/pictures", json_response(existing))
    result = distill("datasets", "add", "pictures", tmp_path / "birds.zip")
    assert result.exit_code == 2
    assert "already" in result.stderr


def test_class_file_that_is_not_text_is_wrong_usage(server: FakeServer, tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes(b"\xff\xfe")
    result = distill("datasets", "add", "in100", "--folder", "imagenet", "--classes", path)
    assert (result.exit_code, "not UTF-8" in result.stderr) == (2, True)
    assert server.requests == []


@pytest.mark.parametrize(
    "text",
    [
        b"cat\ndog",
        b"\xef\xbb\xbfcat\r\ndog\r\n",
        "cat\r\n\r\ndog".encode("utf-16"),
        "\ufeffcat\rdog".encode("utf-16-be"),
    ],
)
def test_class_file_may_come_from_windows(server: FakeServer, tmp_path: Path, text: bytes) -> None:
    """With a byte order mark, in UTF-16, and with CR LF between lines."""
    (tmp_path / "classes.txt").write_bytes(text)
    server.respond("POST /v1/datasets", json_response(PICTURES | {"status": "importing"}, 201))
    options = ("--folder", "pets", "--classes", tmp_path / "classes.txt")
    assert distill("datasets", "add", "pictures", *options).exit_code == 0
    assert server.requests[0].json["classes"] == ["cat", "dog"]


def test_class_names_are_sent_composed(server: FakeServer, tmp_path: Path) -> None:
    """An interrupted upload is found again by the names that the service has stored."""
    (tmp_path / "classes.txt").write_text("Mo\u0308we\nwren", encoding="utf-8")
    server.respond("POST /v1/datasets", json_response(PICTURES | {"status": "importing"}, 201))
    options = ("--folder", "birds", "--classes", tmp_path / "classes.txt")
    distill("datasets", "add", "pictures", *options)
    assert server.requests[0].json["classes"] == ["M\u00f6we", "wren"]


REPORT: dict[str, Any] = {
    "layout": "One folder a class.",
    "remarks": ["Images turned upright, as their Exif orientation says: 3."],
    "ignored_files": 31,
    "ignored": [
        {"reason": "hidden", "files": 30, "first": [".a", ".b"]},
        {"reason": "not an image", "files": 1, "first": ["README"]},
    ],
    "images": {"train": {"cat": 8, "dog": 9}, "test": {"cat": 2, "dog": 0}},
}
REPORT_LINES = """\
importer's report:
  layout: One folder a class.
{remarks}  ignored files: 31
  ignored: 30 hidden: .a, .b and 28 more.
  ignored: 1 not an image: README.
  images of each class: cat 8 for training and 2 for tests, dog 9 for training and 0 for tests
"""
REMARKS = "Images turned upright, as their Exif orientation says: 3.\n"


def test_report_of_the_import_is_shown(server: FakeServer) -> None:
    ready = PICTURES | {"status": "ready", "report": REPORT}
    server.respond("GET /v1/datasets/pictures", json_response(ready))
    result = distill("datasets", "show", "pictures")
    assert result.stdout.endswith(REPORT_LINES.format(remarks=f"  remarks: {REMARKS}"))


def test_report_is_shown_after_waiting(server: FakeServer) -> None:
    ready = PICTURES | {"status": "ready", "report": REPORT}
    server.respond("POST /v1/datasets", json_response(PICTURES | {"status": "importing"}, 201))
    server.respond("GET /v1/datasets/ds_1", json_response(ready))
    result = distill("datasets", "add", "pictures", "--folder", "pets", "--wait")
    assert result.stdout == (
        "ds_1 pictures is ready.\n" + REMARKS + REPORT_LINES.format(remarks="")
    )


def image_row(index: int, picture: str, **changes: Any) -> dict[str, Any]:
    url = f"/v1/datasets/ds_1/images/{picture}.webp"
    tile = {"url": url, "x": 8 * index, "y": 0, "width": 8, "height": 8}
    return {"class": "cat", "label": 0, "split": "train", "index": index, **tile, **changes}


def test_images_are_listed(server: FakeServer) -> None:
    rows = [image_row(0, "ab"), image_row(3, "cd", **{"class": "dog", "split": "test"})]
    server.respond("GET /v1/datasets/pictures/images", page_response(*rows))
    options = ("--class", "dog", "--per-class", "4")
    result = distill("datasets", "images", "pictures", *options)
    assert result.exit_code == 0
    *_, first, second = result.stdout.splitlines()
    assert first.split() == ["cat", "train", "0", "ab.webp", "0", "0", "8", "8"]
    assert second.split() == ["dog", "test", "3", "cd.webp", "24", "0", "8", "8"]
    query = server.requests[0].query
    assert (query["class"], query["per_class"]) == (["dog"], ["4"])


def test_pictures_are_saved_once(server: FakeServer, tmp_path: Path) -> None:
    rows = [image_row(0, "ab"), image_row(1, "ab"), image_row(2, "cd")]
    server.respond("GET /v1/datasets/pictures/images", page_response(*rows))
    for name in ("ab", "cd"):
        picture = FakeResponse(200, name.encode(), {"Content-Type": "image/webp"})
        server.respond(f"GET /v1/datasets/pictures/images/{name}.webp", picture)
    result = distill("datasets", "images", "pictures", "--to", tmp_path / "new" / "folder")
    assert result.exit_code == 0
    files = {path.name: path.read_bytes() for path in (tmp_path / "new" / "folder").iterdir()}
    assert files == {"ab.webp": b"ab", "cd.webp": b"cd"}
    assert len(server.requests) == 3


def test_report_is_unchanged_as_json(server: FakeServer) -> None:
    ready = PICTURES | {"status": "ready", "report": REPORT}
    server.respond("GET /v1/datasets/pictures", json_response(ready))
    result = distill("datasets", "show", "pictures", "--json")
    assert json.loads(result.stdout)["report"] == REPORT
