import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from distill_client.client import Distill
from distill_client.errors import (
    ClientError,
    CorruptDownload,
    DistillProblem,
    UnexpectedAnswer,
    Unreachable,
)
from tests.client.fake import NO_ANSWER, Answer, Fake, Request, as_json, client_of, problem, running

CONTENT = bytes(range(256)) * 4000
FILE = "GET /v1/jobs/job_1/artifacts/best.safetensors"


def offer(
    fake: Fake, name: str = "best.safetensors", content: bytes = CONTENT, kind: str = "weights"
) -> None:
    digest = hashlib.sha256(content).hexdigest()
    artifact = {
        "name": name,
        "kind": kind,
        "size": len(content),
        "sha256": digest,
        "media_type": "x/y",
    }
    fake.on(
        "GET /v1/jobs/job_1/artifacts",
        as_json({"data": [artifact], "has_more": False, "next_cursor": None}),
    )


def whole_or_part(request: Request) -> Answer:
    """As the service does it."""
    asked = request.headers.get("range")
    if asked is None:
        return Answer(200, CONTENT)
    start = int(asked.removeprefix("bytes=").rstrip("-"))
    return Answer(
        206, CONTENT[start:], {"Content-Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"}
    )


def only_file(folder: Path) -> bytes:
    (file,) = folder.iterdir()
    assert file.name == "best.safetensors"
    return file.read_bytes()


def test_a_download_that_breaks_goes_on_by_range(
    fake: Fake, service: Distill, tmp_path: Path
) -> None:
    offer(fake)
    halves = {"Content-Length": str(len(CONTENT))}
    fake.on(FILE, Answer(200, CONTENT[:600_000], halves, cut=True), NO_ANSWER, whole_or_part)
    assert service.download("job_1", tmp_path) == [tmp_path / "best.safetensors"]
    assert only_file(tmp_path) == CONTENT
    first, _, last = fake.asked(FILE)
    assert "range" not in first.headers
    start = int(last.headers["range"].removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= 600_000


def test_a_download_that_was_killed_goes_on_next_time(fake: Fake, tmp_path: Path) -> None:
    offer(fake)
    fake.on(
        FILE,
        Answer(200, CONTENT[:500_000], {"Content-Length": str(len(CONTENT))}, cut=True),
        NO_ANSWER,
    )
    with client_of(fake, retries=1) as service:
        with pytest.raises(Unreachable):
            service.download("job_1", tmp_path)
        assert not (tmp_path / "best.safetensors").exists()
        fake.on(FILE, whole_or_part)
        service.download("job_1", tmp_path)
    assert only_file(tmp_path) == CONTENT
    assert fake.asked(FILE)[-1].headers["range"].startswith("bytes=")


def test_a_service_that_knows_no_ranges_sends_it_all_again(
    fake: Fake, service: Distill, tmp_path: Path
) -> None:
    offer(fake)
    fake.on(
        FILE,
        Answer(200, CONTENT[:600_000], {"Content-Length": str(len(CONTENT))}, cut=True),
        Answer(200, CONTENT),
    )
    service.download("job_1", tmp_path)
    assert only_file(tmp_path) == CONTENT


def test_other_bytes_than_promised_are_refused_and_not_kept(
    fake: Fake, service: Distill, tmp_path: Path
) -> None:
    offer(fake)
    fake.on(FILE, Answer(200, CONTENT[:-1] + b"!"))
    with pytest.raises(CorruptDownload, match="SHA-256"):
        service.download("job_1", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_more_bytes_than_promised_are_refused(fake: Fake, service: Distill, tmp_path: Path) -> None:
    offer(fake)
    fake.on(FILE, Answer(200, CONTENT * 3))
    with pytest.raises(CorruptDownload, match="More than"):
        service.download("job_1", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_spoilt_part_is_fetched_anew(fake: Fake, service: Distill, tmp_path: Path) -> None:
    offer(fake)
    fake.on(FILE, whole_or_part)
    part = tmp_path / f".best.safetensors.{hashlib.sha256(CONTENT).hexdigest()[:16]}.part"
    part.write_bytes(b"spoilt")
    service.download("job_1", tmp_path)
    assert only_file(tmp_path) == CONTENT


def test_a_file_that_is_there_is_not_fetched_again_and_another_one_is_replaced(
    fake: Fake, service: Distill, tmp_path: Path
) -> None:
    offer(fake)
    fake.on(FILE, whole_or_part)
    (tmp_path / "best.safetensors").write_bytes(b"of another job")
    service.download("job_1", tmp_path)
    service.download("job_1", tmp_path)
    assert only_file(tmp_path) == CONTENT
    assert len(fake.asked(FILE)) == 1


def test_a_redirect_to_the_store_never_carries_the_key(
    fake: Fake, service: Distill, tmp_path: Path
) -> None:
    offer(fake)
    with running() as store:
        store.on(
            "GET /bucket/object",
            Answer(200, CONTENT[:9], {"Content-Length": str(len(CONTENT))}, cut=True),
            whole_or_part,
        )
        fake.on(FILE, Answer(307, b"", {"Location": f"{store.url}/bucket/object?signature=abc"}))
        service.download("job_1", tmp_path)
        assert only_file(tmp_path) == CONTENT
        assert all("authorization" not in request.headers for request in store.requests)
        assert store.requests[-1].headers["range"] == "bytes=9-"
        assert store.requests[-1].query == {"signature": ["abc"]}
    assert all(request.headers["authorization"] == "Bearer dk_secret" for request in fake.requests)
    assert len(fake.asked(FILE)) == 2, "a fresh signed address for each try"


def test_checkpoints_are_left_out_unless_they_are_asked_for(
    fake: Fake, service: Distill, tmp_path: Path
) -> None:
    offer(fake, kind="checkpoint")
    fake.on(FILE, whole_or_part)
    assert service.download("job_1", tmp_path) == []
    assert len(service.download("job_1", tmp_path, ["best.safetensors"])) == 1


def test_a_name_cannot_lead_out_of_the_folder(fake: Fake, service: Distill, tmp_path: Path) -> None:
    offer(fake, name="../evil")
    with pytest.raises(UnexpectedAnswer, match="no name for a file"):
        service.download("job_1", tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_not_there_is_answered_with_those_that_are(
    fake: Fake, service: Distill, tmp_path: Path
) -> None:
    offer(fake)
    with pytest.raises(ClientError, match=r"has no last\.safetensors; it has best\.safetensors"):
        service.download("job_1", tmp_path, ["last.safetensors"])


# -- upload


def model(status: str, **changes: Any) -> dict[str, Any]:
    description = {"network": {"architecture": "resnet18", "normalization": "none"}, "classes": 10}
    description |= {"channels": 3, "height": 32, "width": 32}
    row = {
        "id": "mdl_1",
        "name": "teacher",
        "architecture": "resnet18",
        "created_at": "2026-01-31T12:34:56.789Z",
    }
    return {**row, "description": description, "status": status, **changes}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "teacher.safetensors"
    path.write_bytes(CONTENT)
    return path


def send(service: Distill, checkpoint: Path) -> str:
    return service.upload_model(checkpoint, "teacher", {"architecture": "resnet18"}, 10).status


def test_a_model_is_named_with_its_hash_and_then_sent(
    fake: Fake, service: Distill, checkpoint: Path
) -> None:
    fake.on("POST /v1/models", as_json(model("awaiting_upload"), 201))
    fake.on("PUT /v1/models/mdl_1/content", as_json(model("importing"), 202))
    fake.on("GET /v1/models/mdl_1", as_json(model("importing")))
    assert send(service, checkpoint) == "importing"
    named, sent, _ = fake.requests
    assert json.loads(named.body) == {
        "name": "teacher",
        "network": {"architecture": "resnet18"},
        "classes": 10,
        "channels": 3,
        "height": 32,
        "width": 32,
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }
    assert sent.body == CONTENT
    assert sent.headers["content-type"] == "application/octet-stream"


def test_an_upload_that_breaks_is_sent_again_from_the_beginning(
    fake: Fake, service: Distill, checkpoint: Path
) -> None:
    fake.on("POST /v1/models", as_json(model("awaiting_upload"), 201))
    again = problem(409, "upload_in_progress", "Another upload of the same content is under way.")
    fake.on("PUT /v1/models/mdl_1/content", NO_ANSWER, again, as_json(model("importing"), 202))
    fake.on("GET /v1/models/mdl_1", as_json(model("awaiting_upload")), as_json(model("importing")))
    assert send(service, checkpoint) == "importing"
    assert [request.body == CONTENT for request in fake.asked("PUT /v1/models/mdl_1/content")] == [
        True
    ] * 3


def test_an_upload_whose_answer_was_lost_is_not_sent_again(
    fake: Fake, service: Distill, checkpoint: Path
) -> None:
    fake.on("POST /v1/models", as_json(model("awaiting_upload"), 201))
    fake.on("PUT /v1/models/mdl_1/content", NO_ANSWER)
    fake.on("GET /v1/models/mdl_1", as_json(model("importing")))
    assert send(service, checkpoint) == "importing"
    assert len(fake.asked("PUT /v1/models/mdl_1/content")) == 1


def test_an_upload_that_an_earlier_call_could_not_finish_is_taken_up(
    fake: Fake, service: Distill, checkpoint: Path
) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    fake.on(
        "POST /v1/models", problem(409, "name_taken", "There already is a model named 'teacher'.")
    )
    fake.on("GET /v1/models/teacher", as_json(model("awaiting_upload", sha256=digest)))
    fake.on("PUT /v1/models/mdl_1/content", as_json(model("importing"), 202))
    fake.on("GET /v1/models/mdl_1", as_json(model("importing")))
    assert send(service, checkpoint) == "importing"


@pytest.mark.parametrize("there", [model("ready"), model("awaiting_upload", sha256="0" * 64)])
def test_a_name_that_is_taken_by_something_else_is_a_problem(
    fake: Fake, service: Distill, checkpoint: Path, there: dict[str, Any]
) -> None:
    fake.on(
        "POST /v1/models", problem(409, "name_taken", "There already is a model named 'teacher'.")
    )
    fake.on("GET /v1/models/teacher", as_json(there))
    with pytest.raises(DistillProblem, match="already"):
        send(service, checkpoint)


def test_waiting_for_a_refused_model_raises_the_importers_reason(
    fake: Fake, service: Distill
) -> None:
    refused = model(
        "refused", problem={"code": "missing_keys", "detail": "conv1.weight is missing."}
    )
    fake.on("GET /v1/models/mdl_1", as_json(model("importing")), as_json(refused))
    with pytest.raises(DistillProblem, match=r"conv1\.weight is missing") as problem:
        service.wait_model("mdl_1")
    assert problem.value.code == "missing_keys"
