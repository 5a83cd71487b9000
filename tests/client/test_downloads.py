"""Downloads: resumed when they break, verified, and never given to the wrong host."""

import hashlib
from pathlib import Path

import pytest

from distill_client import (
    ClientError,
    CorruptDownload,
    Distill,
    UnexpectedResponse,
    Unreachable,
)
from tests.client.fake_server import (
    NO_RESPONSE,
    FakeResponse,
    FakeServer,
    Request,
    make_client,
    page_response,
    run_fake_server,
)

CONTENT = bytes(range(256)) * 4000
FILE = "GET /v1/jobs/job_1/artifacts/best.safetensors"


def list_artifact(
    server: FakeServer, name: str = "best.safetensors", kind: str = "weights"
) -> None:
    """Let the job have one artifact, with CONTENT."""
    artifact = {
        "name": name,
        "kind": kind,
        "size": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "media_type": "x/y",
    }
    server.respond("GET /v1/jobs/job_1/artifacts", page_response(artifact))


def interrupted(size: int) -> FakeResponse:
    """Return a response whose connection breaks after ``size`` bytes."""
    return FakeResponse(200, CONTENT[:size], {"Content-Length": str(len(CONTENT))}, cut=True)


def requested_range(request: Request) -> FakeResponse:
    """Respond as the service does: with everything, or with the rest of it."""
    requested = request.headers.get("range")
    if requested is None:
        return FakeResponse(200, CONTENT)
    start = int(requested.removeprefix("bytes=").rstrip("-"))
    headers = {"Content-Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"}
    return FakeResponse(206, CONTENT[start:], headers)


def only_file(folder: Path) -> bytes:
    (file,) = folder.iterdir()
    assert file.name == "best.safetensors"
    return file.read_bytes()


def test_interrupted_download_is_resumed_by_range(
    server: FakeServer, service: Distill, tmp_path: Path
) -> None:
    list_artifact(server)
    server.respond(FILE, interrupted(600_000), NO_RESPONSE, requested_range)
    assert service.download("job_1", tmp_path) == [tmp_path / "best.safetensors"]
    assert only_file(tmp_path) == CONTENT
    first, _, last = server.requests_to(FILE)
    assert "range" not in first.headers
    start = int(last.headers["range"].removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= 600_000


def test_partial_file_of_an_earlier_call_is_resumed(server: FakeServer, tmp_path: Path) -> None:
    list_artifact(server)
    server.respond(FILE, interrupted(500_000), NO_RESPONSE)
    with make_client(server, retries=1) as service:
        with pytest.raises(Unreachable):
            service.download("job_1", tmp_path)
        assert not (tmp_path / "best.safetensors").exists()
        server.respond(FILE, requested_range)
        service.download("job_1", tmp_path)
    assert only_file(tmp_path) == CONTENT
    assert server.requests_to(FILE)[-1].headers["range"].startswith("bytes=")


def test_service_without_ranges_sends_everything_again(
    server: FakeServer, service: Distill, tmp_path: Path
) -> None:
    list_artifact(server)
    server.respond(FILE, interrupted(600_000), FakeResponse(200, CONTENT))
    service.download("job_1", tmp_path)
    assert only_file(tmp_path) == CONTENT


def test_corrupt_download_is_discarded(
    server: FakeServer, service: Distill, tmp_path: Path
) -> None:
    list_artifact(server)
    server.respond(FILE, FakeResponse(200, CONTENT[:-1] + b"!"))
    with pytest.raises(CorruptDownload, match="SHA-256"):
        service.download("job_1", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_too_long_download_is_discarded(
    server: FakeServer, service: Distill, tmp_path: Path
) -> None:
    list_artifact(server)
    server.respond(FILE, FakeResponse(200, CONTENT * 3))
    with pytest.raises(CorruptDownload, match="More than"):
        service.download("job_1", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_corrupt_partial_file_is_fetched_again(
    server: FakeServer, service: Distill, tmp_path: Path
) -> None:
    list_artifact(server)
    server.respond(FILE, requested_range)
    part = tmp_path / f".best.safetensors.{hashlib.sha256(CONTENT).hexdigest()[:16]}.part"
    part.write_bytes(b"corrupt")
    service.download("job_1", tmp_path)
    assert only_file(tmp_path) == CONTENT


def test_existing_file_is_not_fetched_again(
    server: FakeServer, service: Distill, tmp_path: Path
) -> None:
    """A file with other contents is replaced."""
    list_artifact(server)
    server.respond(FILE, requested_range)
    (tmp_path / "best.safetensors").write_bytes(b"of another job")
    service.download("job_1", tmp_path)
    service.download("job_1", tmp_path)
    assert only_file(tmp_path) == CONTENT
    assert len(server.requests_to(FILE)) == 1


def test_store_never_receives_the_key(server: FakeServer, service: Distill, tmp_path: Path) -> None:
    list_artifact(server)
    with run_fake_server() as store:
        store.respond("GET /bucket/object", interrupted(9), requested_range)
        location = f"{store.url}/bucket/object?signature=abc"
        server.respond(FILE, FakeResponse(307, b"", {"Location": location}))
        service.download("job_1", tmp_path)
        assert only_file(tmp_path) == CONTENT
        assert all("authorization" not in request.headers for request in store.requests)
        assert store.requests[-1].headers["range"] == "bytes=9-"
        assert store.requests[-1].query == {"signature": ["abc"]}
    authorizations = {request.headers["authorization"] for request in server.requests}
    assert authorizations == {"Bearer dk_secret"}
    assert len(server.requests_to(FILE)) == 2, "a new signed address for each try"


def test_checkpoints_are_downloaded_by_name_only(
    server: FakeServer, service: Distill, tmp_path: Path
) -> None:
    list_artifact(server, kind="checkpoint")
    server.respond(FILE, requested_range)
    assert service.download("job_1", tmp_path) == []
    assert len(service.download("job_1", tmp_path, ["best.safetensors"])) == 1


def test_file_name_cannot_leave_the_folder(
    server: FakeServer, service: Distill, tmp_path: Path
) -> None:
    list_artifact(server, name="../evil")
    with pytest.raises(UnexpectedResponse, match="not a valid file name"):
        service.download("job_1", tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_unknown_file_name_lists_the_known_ones(
    server: FakeServer, service: Distill, tmp_path: Path
) -> None:
    list_artifact(server)
    with pytest.raises(ClientError, match=r"has no last\.safetensors; it has best\.safetensors"):
        service.download("job_1", tmp_path, ["last.safetensors"])
