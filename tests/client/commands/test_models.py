"""``distill models``."""

from pathlib import Path
from typing import get_args

from core.jobspec.network import Normalization
from tests.client.commands.runner import distill
from tests.client.fake_server import (
    CREATED_AT,
    FakeResponse,
    FakeServer,
    Request,
    job,
    json_response,
    page_response,
    problem_response,
)

MODEL = {
    "id": "mdl_1",
    "name": "mine",
    "status": "ready",
    "architecture": "resnet18",
    "description": {},
    "created_at": CREATED_AT,
}


def test_model_is_uploaded_with_its_settings(server: FakeServer, tmp_path: Path) -> None:
    row = {**MODEL, "architecture": "small_cnn"}

    def create(request: Request) -> FakeResponse:
        name = request.json["name"]
        return json_response({**row, "name": name, "status": "awaiting_upload"}, 201)

    ready = {**row, "name": "w8"}
    server.respond("POST /v1/models", create)
    server.respond("PUT /v1/models/mdl_1/content", json_response(ready, 202))
    server.respond("GET /v1/models/mdl_1", json_response(ready))
    (tmp_path / "w8.safetensors").write_bytes(b"weights")
    options = ("--architecture", "small_cnn", "--width", "8", "--channels", "1", "--size", "8")
    result = distill("models", "upload", tmp_path / "w8.safetensors", *options)
    assert (result.exit_code, result.stdout) == (0, "mdl_1 w8 is ready.\n")
    body = server.requests[0].json
    assert body["state_dict"] is None
    assert body["network"] == {"architecture": "small_cnn", "width": 8}
    assert (body["name"], body["classes"], body["channels"]) == ("w8", 10, 1)
    assert (body["height"], body["width"]) == (8, 8)


def test_any_setting_of_the_architecture_can_be_set(server: FakeServer, tmp_path: Path) -> None:
    """The images have the architecture's size."""
    row = {**MODEL, "architecture": "vit_b", "name": "v"}
    server.respond("POST /v1/models", json_response({**row, "status": "awaiting_upload"}, 201))
    server.respond("PUT /v1/models/mdl_1/content", json_response(row, 202))
    server.respond("GET /v1/models/mdl_1", json_response(row))
    (tmp_path / "v.pt").write_bytes(b"weights")
    upload = ("models", "upload", tmp_path / "v.pt", "--architecture", "vit_b")
    changes = ("image_size=64", "patch_size=8", "normalization=inception")
    options = [option for change in changes for option in ("--set", change)]
    assert distill(*upload, *options).exit_code == 0
    body = server.requests[0].json
    assert body["network"] == {
        "architecture": "vit_b",
        "image_size": 64,
        "patch_size": 8,
        "normalization": "inception",
    }
    assert (body["height"], body["width"]) == (64, 64)
    result = distill(*upload, "--set", "patch_size")
    assert result.exit_code == 2
    assert "is not a change such as" in result.stderr


def test_deletion_prints_the_command_that_undoes_it(server: FakeServer) -> None:
    """Of a job, a model and a data set; the printed command works."""
    dataset = {**MODEL, "id": "ds_1", "source": "upload"}
    server.respond("DELETE /v1/jobs/job_1", json_response(job("succeeded")))
    server.respond("POST /v1/jobs/job_1/restore", json_response(job("succeeded")))
    server.respond("DELETE /v1/models/mine", json_response(MODEL))
    server.respond("POST /v1/models/mdl_1/restore", json_response(MODEL))
    server.respond("DELETE /v1/datasets/mine", json_response(dataset))
    server.respond("POST /v1/datasets/ds_1/restore", json_response(dataset))
    for command, reference in (([], "job_1"), (["models"], "mine"), (["datasets"], "mine")):
        deleted = distill(*command, "delete", reference)
        assert deleted.exit_code == 0, deleted.stderr
        undo = deleted.stdout.split("`")[1].split()
        assert undo[0] == "distill"
        assert distill(*undo[1:]).stdout.endswith(" is restored.\n")
    assert len(server.requests) == 6


def test_refused_deletion_prints_the_reason(server: FakeServer) -> None:
    detail = "Model 'mine' is needed by job job_1, which has not ended."
    server.respond("DELETE /v1/models/mine", problem_response(409, "in_use", detail))
    refused = distill("models", "delete", "mine")
    assert (refused.exit_code, "job_1" in refused.stderr) == (2, True)


def test_state_dict_and_normalization_are_chosen(server: FakeServer, tmp_path: Path) -> None:
    row = {**MODEL, "report": {"remarks": ["Check the first.", "And the second."]}}
    server.respond("POST /v1/models", json_response({**row, "status": "awaiting_upload"}, 201))
    server.respond("PUT /v1/models/mdl_1/content", json_response(row, 202))
    server.respond("GET /v1/models/mdl_1", json_response(row))
    (tmp_path / "mine.pt").write_bytes(b"weights")
    options = ("--architecture", "resnet18", "--state-dict", "ema", "--normalization", "cifar100")
    result = distill("models", "upload", tmp_path / "mine.pt", *options, "--wait")
    assert result.stdout == "mdl_1 mine is ready.\nCheck the first.\nAnd the second.\n"
    body = server.requests[0].json
    assert body["state_dict"] == "ema"
    assert body["network"] == {"architecture": "resnet18", "normalization": "cifar100"}


def test_help_names_every_normalization() -> None:
    text = " ".join(distill("models", "upload", "--help").stdout.replace("│", " ").split())
    assert [name for name in get_args(Normalization) if name not in text] == []
    assert "--state-dict" in text


def test_importers_report_is_shown(server: FakeServer) -> None:
    """Empty entries are left out, and lists are cut after twenty."""
    report = {
        "renamed": {"module.conv1.weight": "conv1.weight"},
        "dropped": [f"key_{index}" for index in range(23)],
        "filled": [],
        "remarks": ["Check the first.", "And the second."],
        "state_dict": None,
        "other_state_dicts": ["ema"],
        "normalization": "By 'none'.",
    }
    server.respond("GET /v1/models/mine", json_response({**MODEL, "report": report}))
    text = distill("models", "show", "mine").stdout
    assert text.split("importer's report:\n")[1] == (
        "  renamed: module.conv1.weight: conv1.weight\n"
        f"  dropped: {', '.join(f'key_{index}' for index in range(20))} and 3 more, 23 in all\n"
        "  remarks: Check the first.\n"
        "  remarks: And the second.\n"
        "  other state dicts: ema\n"
        "  normalization: By 'none'.\n"
    )
    server.respond("GET /v1/models/mine", json_response({**MODEL, "report": None}))
    assert "importer's report" not in distill("models", "show", "mine").stdout


def test_a_series_needs_no_name(server: FakeServer, tmp_path: Path) -> None:
    row = {**MODEL, "status": "awaiting_upload"}
    server.respond("POST /v1/models", json_response(row, 201))
    server.respond("PUT /v1/models/mdl_1/content", json_response(MODEL, 202))
    server.respond("GET /v1/models/mdl_1", json_response(MODEL))
    (tmp_path / "a.pt").write_bytes(b"weights")
    upload = ("models", "upload", tmp_path / "a.pt", "--architecture", "resnet18")
    assert distill(*upload, "--series", "teacher").exit_code == 0
    body = server.requests[0].json
    assert (body["series"], body["name"]) == ("teacher", None)
    distill(*upload, "--series", "teacher", "--name", "mine")
    assert server.requests_to("POST /v1/models")[1].json["name"] == "mine"
    distill(*upload)
    assert "series" not in server.requests_to("POST /v1/models")[2].json


def test_list_filters_by_series_and_alias(server: FakeServer) -> None:
    model = {**MODEL, "series": "teacher", "series_version": 3, "aliases": ["champion"]}
    server.respond("GET /v1/models", page_response(model))
    result = distill("models", "list", "--series", "teacher", "--alias", "champion")
    assert "teacher@3" in result.stdout
    query = server.requests[0].query
    assert (query["series"], query["alias"]) == (["teacher"], ["champion"])


def test_edit_sends_a_merge_patch(server: FakeServer, tmp_path: Path) -> None:
    edited = {**MODEL, "name": "new", "metadata": {"team": "a"}}
    server.respond("PATCH /v1/models/mine", json_response(edited))
    (tmp_path / "notes.md").write_text("# Why\n")
    result = distill(
        "models", "edit", "mine", "--name", "new", "--notes-file", tmp_path / "notes.md",
        "--metadata", "team=a", "--remove", "run",
    )  # fmt: skip
    assert (result.exit_code, result.stdout) == (0, "mdl_1 new is changed; its metadata: team=a.\n")
    assert server.requests[0].json == {
        "name": "new",
        "notes": "# Why\n",
        "metadata": {"team": "a", "run": None},
    }
    assert server.requests[0].headers["idempotency-key"]


def test_edit_of_nothing_is_refused(server: FakeServer) -> None:
    for options in ((), ("--metadata", "team"), ("--metadata", "=a")):
        assert distill("models", "edit", "mine", *options).exit_code == 2
    assert server.requests == []


def test_alias_is_set_and_removed(server: FakeServer) -> None:
    path = "/v1/models/teacher/aliases/champion"
    model = {**MODEL, "series": "teacher", "series_version": 3}
    server.respond(f"PUT {path}", json_response(model))
    server.respond(f"DELETE {path}", json_response(model))
    result = distill("models", "alias", "teacher", "champion", "mdl_1")
    assert result.stdout == "teacher@champion means teacher@3 mdl_1.\n"
    assert server.requests[0].json == {"model": "mdl_1"}
    result = distill("models", "alias", "teacher", "champion", "--remove")
    assert result.stdout == "teacher@champion is removed; it meant teacher@3.\n"
    assert distill("models", "alias", "teacher", "champion").exit_code == 2


def test_lineage_is_a_table_of_edges(server: FakeServer) -> None:
    common = {"deleted": False, "has_more": False}
    student = {"id": "mdl_2", "type": "model", "name": "s", "architecture": "small_cnn", **common}
    training = {"id": "job_1", "type": "job", "method": "arkd", "status": "failed", **common}
    teacher = {"id": "mdl_1", "type": "model", "has_more": True, "deleted": True}
    edges = [
        {"source": "job_1", "target": "mdl_2", "role": "student"},
        {"source": "mdl_1", "target": "job_1", "role": "teacher"},
    ]
    graph = {"root": "mdl_2", "nodes": [student, training, teacher], "edges": edges}
    server.respond("GET /v1/models/s/lineage", json_response({**graph, "cut": ["generations"]}))
    lines = distill("models", "lineage", "s", "--generations", 1).stdout.splitlines()
    assert [" ".join(line.split()) for line in lines[1:]] == [
        "job_1 (arkd, failed) student mdl_2 s (small_cnn)",
        "mdl_1 (deleted) teacher job_1 (arkd, failed)",
        "Not all of it is shown: there are more generations.",
    ]
    assert server.requests[0].query == {"generations": ["1"]}
    alone = {"root": "mdl_2", "nodes": [student], "edges": [], "cut": []}
    server.respond("GET /v1/models/s/lineage", json_response(alone))
    assert "no job has trained or used it" in distill("models", "lineage", "s").stdout
