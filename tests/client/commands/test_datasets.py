"""``distill datasets``."""

import hashlib
from pathlib import Path

from tests.client.commands.runner import distill
from tests.client.fake_server import CREATED_AT, FakeServer, json_response, problem_response

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
