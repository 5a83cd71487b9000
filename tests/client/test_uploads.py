"""Uploads of models: sent again when they break, and never twice."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from distill_client import Distill, DistillProblem
from tests.client.fake_server import (
    CREATED_AT,
    NO_RESPONSE,
    FakeServer,
    json_response,
    problem_response,
)

CONTENT = bytes(range(256)) * 4000
CREATE = "POST /v1/models"
SEND = "PUT /v1/models/mdl_1/content"
GET = "GET /v1/models/mdl_1"
NAME_TAKEN = problem_response(409, "name_taken", "There already is a model named 'teacher'.")


def model(status: str, **changes: Any) -> dict[str, Any]:
    network = {"architecture": "resnet18", "normalization": "none"}
    images = {"channels": 3, "height": 32, "width": 32}
    return {
        "id": "mdl_1",
        "name": "teacher",
        "architecture": "resnet18",
        "created_at": CREATED_AT,
        "description": {"network": network, "classes": 10, **images},
        "status": status,
        **changes,
    }


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "teacher.safetensors"
    path.write_bytes(CONTENT)
    return path


def upload(service: Distill, checkpoint: Path) -> str:
    return service.upload_model(checkpoint, "teacher", {"architecture": "resnet18"}, 10).status


def test_model_is_created_with_its_hash_and_then_sent(
    server: FakeServer, service: Distill, checkpoint: Path
) -> None:
    server.respond(CREATE, json_response(model("awaiting_upload"), 201))
    server.respond(SEND, json_response(model("importing"), 202))
    server.respond(GET, json_response(model("importing")))
    assert upload(service, checkpoint) == "importing"
    create, send, _ = server.requests
    assert json.loads(create.body) == {
        "name": "teacher",
        "state_dict": None,
        "network": {"architecture": "resnet18"},
        "classes": 10,
        "channels": 3,
        "height": 32,
        "width": 32,
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }
    assert send.body == CONTENT
    assert send.headers["content-type"] == "application/octet-stream"


def test_interrupted_upload_is_sent_from_its_beginning(
    server: FakeServer, service: Distill, checkpoint: Path
) -> None:
    detail = "Another upload of the same content is under way."
    in_progress = problem_response(409, "upload_in_progress", detail)
    server.respond(CREATE, json_response(model("awaiting_upload"), 201))
    server.respond(SEND, NO_RESPONSE, in_progress, json_response(model("importing"), 202))
    server.respond(GET, json_response(model("awaiting_upload")), json_response(model("importing")))
    assert upload(service, checkpoint) == "importing"
    complete = [request.body == CONTENT for request in server.requests_to(SEND)]
    assert complete == [True] * 3


def test_upload_with_a_lost_response_is_not_sent_again(
    server: FakeServer, service: Distill, checkpoint: Path
) -> None:
    server.respond(CREATE, json_response(model("awaiting_upload"), 201))
    server.respond(SEND, NO_RESPONSE)
    server.respond(GET, json_response(model("importing")))
    assert upload(service, checkpoint) == "importing"
    assert len(server.requests_to(SEND)) == 1


def test_upload_of_an_earlier_call_is_finished(
    server: FakeServer, service: Distill, checkpoint: Path
) -> None:
    """The earlier call has created the model, and could not send all of its file."""
    digest = hashlib.sha256(CONTENT).hexdigest()
    server.respond(CREATE, NAME_TAKEN)
    existing = model("awaiting_upload", sha256=digest)
    server.respond("GET /v1/models/teacher", json_response(existing))
    server.respond(SEND, json_response(model("importing"), 202))
    server.respond(GET, json_response(model("importing")))
    assert upload(service, checkpoint) == "importing"


@pytest.mark.parametrize("existing", [model("ready"), model("awaiting_upload", sha256="0" * 64)])
def test_name_of_another_model_is_a_problem(
    server: FakeServer, service: Distill, checkpoint: Path, existing: dict[str, Any]
) -> None:
    server.respond(CREATE, NAME_TAKEN)
    server.respond("GET /v1/models/teacher", json_response(existing))
    with pytest.raises(DistillProblem, match="already"):
        upload(service, checkpoint)


def test_waiting_for_a_refused_model_raises_the_reason(
    server: FakeServer, service: Distill
) -> None:
    problem = {"code": "missing_keys", "detail": "conv1.weight is missing."}
    refused = model("refused", problem=problem)
    server.respond(GET, json_response(model("importing")), json_response(refused))
    with pytest.raises(DistillProblem, match=r"conv1\.weight is missing") as raised:
        service.wait_model("mdl_1")
    assert raised.value.code == "missing_keys"
