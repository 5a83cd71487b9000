"""``distill leaderboard`` and ``distill compare``, and lists sorted and filtered by results."""

import json
from typing import Any

import pytest

from core.reportspec.measures import describe
from distill_client import Distill
from tests.client.commands.runner import distill
from tests.client.fake_server import (
    FakeResponse,
    FakeServer,
    job,
    json_response,
    page_response,
)

AUTOATTACK = "autoattack@linf:8/255"
THREAT_MODEL = {"norm": "linf", "radius": 8 / 255, "title": "L∞, 8/255"}
DESCRIPTIONS = {key: describe(key).model_dump() for key in ("clean", AUTOATTACK)}


def accuracy(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "images": 360}


def difference(value: float, verdict: str, **changes: Any) -> dict[str, Any]:
    return {
        "value": value,
        "low": value - 0.03,
        "high": value + 0.03,
        "p": 0.01,
        "adjusted_p": 0.02,
        "verdict": verdict,
        "paired": True,
        "only_this": 32,
        "only_other": 7,
        "note": None,
        **changes,
    }


def leaderboard_row(name: str, rank: dict[str, int] | None, **changes: Any) -> dict[str, Any]:
    return {
        "model_id": f"mdl_{name}",
        "name": name,
        "rank": rank,
        "results": {"clean": accuracy(0.9), AUTOATTACK: accuracy(0.5)},
        "deciding": AUTOATTACK,
        "teacher_id": None,
        "difference": None,
        "architecture": "small_cnn",
        "parameters": 1702,
        "method": "starship",
        "job_id": None,
        "measured_by": "job_1",
        **changes,
    }


LEADERBOARD = {
    "sections": [
        {
            "dataset_id": "ds_digits",
            "dataset": "digits",
            "threat_model": THREAT_MODEL,
            "deciding": AUTOATTACK,
            "measures": ["clean", AUTOATTACK],
            "descriptions": DESCRIPTIONS,
            "rows": [
                leaderboard_row("first", {"low": 1, "high": 1}),
                leaderboard_row(
                    "second", {"low": 2, "high": 5}, difference=difference(-0.1, "lower")
                ),
                leaderboard_row("third", None, results={"clean": accuracy(0.8)}),
            ],
            "compared": 2,
            "has_more": True,
        }
    ]
}


def compared(job_id: str, name: str) -> dict[str, Any]:
    return {"id": job_id, "name": name, "kind": "distillation", "status": "succeeded"}


COMPARISON = {
    "base": "job_1",
    "jobs": [compared("job_1", "rslad"), compared("job_2", "starship")],
    "settings": {
        "different": [{"path": "method.name", "values": ["rslad", "starship"]}],
        "equal": 40,
    },
    "sections": [
        {
            "dataset_id": "ds_digits",
            "dataset": "digits",
            "threat_model": THREAT_MODEL,
            "deciding": AUTOATTACK,
            "measures": ["clean", AUTOATTACK],
            "descriptions": DESCRIPTIONS,
            "comparisons": 1,
            "rows": [
                {
                    "job_id": "job_1",
                    "network": "best",
                    "results": {"clean": accuracy(0.9), AUTOATTACK: accuracy(0.5)},
                    "differences": {},
                    "pareto": True,
                },
                {
                    "job_id": "job_2",
                    "network": "best",
                    "results": {"clean": accuracy(0.9), AUTOATTACK: accuracy(0.57)},
                    "differences": {AUTOATTACK: difference(0.0694, "higher")},
                    "pareto": True,
                },
            ],
        }
    ],
}


def last_query(server: FakeServer) -> dict[str, str]:
    return {name: values[0] for name, values in server.requests[-1].query.items()}


def test_leaderboard_shows_each_section(server: FakeServer) -> None:
    server.respond("GET /v1/leaderboard", json_response(LEADERBOARD))
    result = distill("leaderboard", "--dataset", "digits", "--radius", "8/255", "--limit", 3)
    assert result.exit_code == 0
    assert last_query(server) == {"dataset": "digits", "radius": "8/255", "limit": "3"}
    lines = result.stdout.splitlines()
    assert lines[1] == "digits, L∞, 8/255, % (95 % interval)"
    assert lines[2].split("  ")[0] == "rank"
    assert lines[3].startswith("1      first    starship   1,702        90.00 (85.0-95.0)")
    assert "2-5    second" in lines[4]
    assert lines[4].rstrip().endswith("-10.00 (-13.0 to -7.0)")
    assert lines[-1] == "There are more than these 3."
    assert json.loads(distill("leaderboard", "--json").stdout)["sections"][0]["compared"] == 2


def test_empty_leaderboard_is_a_sentence(server: FakeServer) -> None:
    server.respond("GET /v1/leaderboard", json_response({"sections": []}))
    result = distill("leaderboard")
    assert result.stdout == "No model has been measured under such a threat model yet.\n"


def test_comparison_says_verdicts_and_settings(server: FakeServer) -> None:
    server.respond("GET /v1/compare", json_response(COMPARISON))
    result = distill("compare", "job_1", "job_2", "--base", "job_1")
    assert result.exit_code == 0
    assert last_query(server) == {
        "jobs": "job_1,job_2",
        "base": "job_1",
        "network": "best",
        "per_class": "false",
    }
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[4].endswith("+6.94 (+3.9 to +9.9) higher (p = 0.02, 32 : 7 images)")
    assert lines[-3:] == [
        "1 of 41 settings differ.",
        "setting rslad starship",
        "method.name rslad starship",
    ]


@pytest.mark.parametrize("command", [("compare", "job_1", "job_2"), ("leaderboard",)])
@pytest.mark.parametrize("text_format", ["csv", "md", "tex"])
def test_text_formats_are_the_services(
    command: tuple[str, ...], text_format: str, server: FakeServer
) -> None:
    text = FakeResponse(body=b"a,b\n1,2\n", headers={"Content-Type": "text/csv"})
    server.respond(f"GET /v1/{command[0]}", text)
    result = distill(*command, "--format", text_format)
    assert (result.exit_code, result.stdout) == (0, "a,b\n1,2\n")
    assert last_query(server)["format"] == text_format


def test_jobs_are_sorted_and_filtered_by_results(server: FakeServer) -> None:
    server.respond("GET /v1/jobs", page_response(job()))
    options = ("--where", "clean>=0.5", "--where", "clean<0.9", "--where", f"{AUTOATTACK} >= .4")
    result = distill("jobs", f"--sort=-{AUTOATTACK}", *options, "--search", "night run")
    assert result.exit_code == 0, result.output
    query = last_query(server)
    assert query["sort"] == f"-{AUTOATTACK}"
    assert query["result[clean]"] == ">=0.5,<0.9"
    assert query[f"result[{AUTOATTACK}]"] == ">= .4"
    assert query["q"] == "night run"
    assert distill("jobs", "--where", "clean").exit_code == 2


def test_models_show_the_result_they_are_sorted_by(server: FakeServer) -> None:
    result = {"value": 0.5667, "low": None, "high": None, "images": None, "job_id": "job_1"}
    model = {
        "id": "mdl_1",
        "name": "mine",
        "status": "ready",
        "architecture": "resnet18",
        "description": {},
        "created_at": "2026-01-31T12:34:56.789Z",
        "results": {AUTOATTACK: {**result, "dataset_id": "ds_digits"}},
    }
    server.respond("GET /v1/models", page_response(model))
    listed = distill("models", "list", f"--sort=-{AUTOATTACK}", "--search", "mine")
    assert "AutoAttack, L∞, 8/255 %" in listed.stdout
    assert "56.67" in listed.stdout
    assert last_query(server)["q"] == "mine"


def test_client_reads_leaderboard_and_comparison(server: FakeServer) -> None:
    server.respond("GET /v1/leaderboard", json_response(LEADERBOARD))
    server.respond("GET /v1/compare", json_response(COMPARISON))
    with Distill(server.url, "key") as client:
        row = client.leaderboard(norm="linf").sections[0].rows[1]
        comparison = client.compare("job_1", "job_2", per_class=True)
    assert row.rank is not None
    assert (row.rank.low, row.rank.high) == (2, 5)
    assert comparison.sections[0].rows[1].differences[AUTOATTACK].verdict == "higher"


def test_metrics_of_many_jobs_are_one_request(server: FakeServer) -> None:
    series = [{"name": "loss", "points": [[1, 0.5], [2, 0.25]]}]
    body = {"jobs": [{"job_id": "job_1", "series": series}, {"job_id": "job_2", "series": []}]}
    server.respond("GET /v1/compare/metrics", json_response(body))
    with Distill() as client:
        metrics = client.compare_metrics("job_1", "job_2", names=["loss", "rate"], points=9)
    assert metrics.jobs[0].series[0].points == [(1, 0.5), (2, 0.25)]
    assert metrics.jobs[1].series == []
    assert server.requests[0].query == {
        "jobs": ["job_1,job_2"],
        "names": ["loss,rate"],
        "points": ["9"],
    }
