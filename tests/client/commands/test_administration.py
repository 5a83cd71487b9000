"""``distill workers``, ``keys``, ``projects``, ``audit``, and the catalogue."""

from typing import Any

from tests.client.commands.runner import distill
from tests.client.fake_server import CREATED_AT, FakeServer, json_response, page_response

KEY = {"id": "key_1", "name": "ci", "scopes": ["read"], "created_at": CREATED_AT}


def worker(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "version": "0.1.0",
        "protocol": 2,
        "slots": 2,
        "running": 1,
        "draining": False,
        "trouble": None,
        "alive": True,
        "started_at": "2026-11-26T10:00:00.000Z",
        "seen_at": "2026-11-26T10:05:00.000Z",
        **changes,
    }


def test_workers_are_listed_by_state_and_drained(server: FakeServer) -> None:
    rows = [
        worker("gpu-1"),
        worker("gpu-2", draining=True),
        worker("gpu-3", alive=False),
        worker("gpu-4", trouble="another schema"),
    ]
    server.respond("GET /v1/workers", page_response(*rows))
    result = distill("workers")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()[1:]]
    assert [(line[0], line[3], line[4]) for line in lines] == [
        ("gpu-1", "1/2", "ready"),
        ("gpu-2", "1/2", "draining"),
        ("gpu-3", "1/2", "lost"),
        ("gpu-4", "1/2", "another"),
    ]
    for command, message in (
        ("drain", "gpu-1 is draining; it runs 1 of at most 2 jobs.\n"),
        ("undrain", "gpu-1 claims jobs again.\n"),
    ):
        server.respond(f"POST /v1/workers/gpu-1/{command}", json_response(worker("gpu-1"), 202))
        assert distill("workers", command, "gpu-1").stdout == message


def test_workers_show_their_hardware(server: FakeServer) -> None:
    gpu = {
        "name": "NVIDIA H200",
        "memory_total": 141 * 2**30,
        "memory_used": 70 * 2**30,
        "utilization": 0.87,
        "temperature": 64,
    }
    hardware = {
        "device": {"kind": "cuda", "name": "NVIDIA H200"},
        "gpus": [gpu],
        "cores": 16,
        "load": 3.25,
        "scratch_free": 2**40,
    }
    cpu = {"device": {"kind": "cpu", "name": "a CPU"}, "memory_total": 2**30}
    unread = {"device": {"kind": "cuda"}}
    rows = [
        worker("gpu-1", hardware=hardware),
        worker("cpu-1", hardware=cpu),
        worker("gpu-2", hardware=unread),
        worker("old", hardware=None),
    ]
    server.respond("GET /v1/workers", page_response(*rows))
    lines = distill("workers").stdout.splitlines()[1:]
    for text in ("NVIDIA H200", "87 % 64 °C", "70.0 GiB of 141.0 GiB", "3.2 on 16 cores"):
        assert text in lines[0]
    assert "1.0 TiB" in lines[0]
    assert "? of 1.0 GiB" in lines[1]
    assert "cuda, not reported" in lines[2]
    assert "not reported" in lines[3]


def test_storage_shows_kinds_and_free_space(server: FakeServer) -> None:
    total = {"files": 3, "bytes": 5 * 2**20}
    body = {
        "total": total,
        "kinds": {"weights": total, "model": {"files": 0, "bytes": 0}},
        "deleted": {"files": 1, "bytes": 512},
        "free_bytes": 2**30,
        "capacity_bytes": 2**40,
    }
    server.respond("GET /v1/storage", json_response(body))
    lines = [line.split() for line in distill("storage").stdout.splitlines()]
    assert ["weights", "3", "5.0", "MiB"] in lines
    assert ["deleted", "1", "512", "bytes"] in lines
    assert ["1.0", "GiB", "of", "1.0", "TiB", "are", "free."] in lines


def test_standard_output_is_the_new_keys_secret(server: FakeServer) -> None:
    server.respond("POST /v1/keys", json_response({**KEY, "secret": "dk_new"}, 201))
    result = distill("keys", "create", "ci", "--scope", "read", "--expires-in-days", "30")
    assert result.stdout == "dk_new\n"
    assert server.requests[0].json == {"name": "ci", "scopes": ["read"], "expires_in_days": 30}


def test_key_with_a_lost_secret_is_an_error(server: FakeServer) -> None:
    server.respond("POST /v1/keys", json_response({**KEY, "secret": None}, 201))
    result = distill("keys", "create", "ci")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "revoke it" in result.stderr


def test_standard_output_is_the_new_projects_secret(server: FakeServer) -> None:
    key = {**KEY, "name": "first", "scopes": ["admin"], "secret": "dk_new"}
    project = {"id": "prj_1", "name": "vision", "created_at": CREATED_AT}
    server.respond("POST /v1/projects", json_response({**project, "key": key}, 201))
    server.respond("GET /v1/projects", page_response(project))
    assert distill("projects", "create", "vision").stdout == "dk_new\n"
    assert "vision" in distill("projects", "list").stdout


def test_audit_log_is_filtered(server: FakeServer) -> None:
    entry = {
        "id": "aud_1",
        "at": CREATED_AT,
        "action": "GET /v1/jobs",
        "status": 401,
        "code": "unauthenticated",
        "request_id": "req_1",
        "times": 512,
    }
    server.respond("GET /v1/audit", page_response(entry, entry, entry))
    output = distill("audit", "--action", "GET /v1/jobs", "--limit", "2").stdout
    assert output.count("unauthenticated") == 2
    assert "512" in output
    assert server.requests[0].query == {"action": ["GET /v1/jobs"], "limit": ["100"]}


def test_catalogue_is_listed(server: FakeServer) -> None:
    method = {"name": "arkd", "kind": "distillation", "summary": "Predictions matched."}
    small = {"name": "small_cnn", "title": "Small CNN", "channels": [1, 3], "smallest_side": 8}
    server.respond("GET /v1/methods", page_response(method))
    server.respond("GET /v1/architectures", page_response(small))
    assert "Predictions matched." in distill("methods").stdout
    assert "1 or 3" in distill("architectures").stdout
    assert all(request.query == {} for request in server.requests)


def test_examples_are_listed_and_printed(server: FakeServer) -> None:
    example = {
        "name": "digits-teacher",
        "group": "example",
        "endpoint": "jobs",
        "title": "digits-teacher",
        "description": "A teacher.",
        "text": "# A teacher.\nkind: adversarial_training\n",
        "spec": {"kind": "adversarial_training"},
        "jobs": [],
    }
    server.respond("GET /v1/examples", page_response(example, example, example))
    assert "A teacher." in distill("examples").stdout
    assert distill("examples", "digits-teacher").stdout == example["text"]
    refused = distill("examples", "nothing")
    assert refused.exit_code == 2
    assert "`distill examples` lists them" in refused.stderr


def test_schema_is_printed_as_json(server: FakeServer) -> None:
    server.respond("GET /v1/schemas/job", json_response({"oneOf": []}))
    assert distill("schema", "job").stdout == '{\n  "oneOf": []\n}\n'


def test_sessions_are_listed_and_ended(server: FakeServer) -> None:
    times = dict.fromkeys(("created_at", "last_used_at", "expires_at"), CREATED_AT)
    of_key = {"id": "ses_1", "key_id": "key_1", "key_name": "ci", "subject": None}
    of_person = {"id": "ses_2", "key_id": None, "key_name": None, "subject": "ada"}
    rows = [
        {**fields, **times, "scopes": ["read"], "current": False} for fields in (of_key, of_person)
    ]
    server.respond("GET /v1/sessions", page_response(*rows))
    lines = distill("sessions", "list").stdout.splitlines()[1:]
    assert [line.split()[:2] for line in lines] == [["ses_1", "key"], ["ses_2", "ada"]]
    server.respond("DELETE /v1/sessions/ses_2", json_response(rows[1]))
    assert distill("sessions", "end", "ses_2").stdout == "ses_2 has ended.\n"
    assert distill("sessions", "end", "ses_3").exit_code == 2


def test_the_service_says_what_it_allows(server: FakeServer) -> None:
    body = {
        "version": "0.7.0",
        "dataset_imports": ["upload", "download"],
        "max_upload_bytes": 8 * 2**30,
        "restore_days": 7.0,
    }
    server.respond("GET /v1/service", json_response(body))
    output = distill("service").stdout
    for text in ("0.7.0", "upload, download", "8.0 GiB", "7 days", server.url):
        assert text in output
