"""``distill sweep``."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from core.reportspec.measures import describe
from distill_client import events
from tests.client.commands.runner import distill
from tests.client.fake_server import (
    CREATED_AT,
    FakeResponse,
    FakeServer,
    job,
    json_response,
    page_response,
)

SWEEP = "GET /v1/sweeps/swp_1"
TABLE = "GET /v1/sweeps/swp_1/table"
GAP = "variance_gap_gram@linf:8/255"


def sweep(**jobs: int) -> dict[str, Any]:
    """Return a sweep with this many jobs in each status."""
    return {
        "id": "swp_1",
        "name": "betas",
        "size": sum(jobs.values()),
        "jobs": jobs,
        "terminal": not jobs.keys() & {"queued", "running", "cancelling"},
        "created_at": CREATED_AT,
    }


def table(*attacks: str) -> dict[str, Any]:
    """Return a table of clean accuracy, a variance gap, and accuracy 0.5 under each attack."""

    def line(name: str, best: bool, mean: float) -> dict[str, Any]:
        cells = {
            "clean": {"mean": mean, "sd": 0.01, "n": 2},
            **{attack: {"mean": 0.5, "sd": None, "n": 1} for attack in attacks},
            GAP: {"mean": 12.345, "sd": None, "n": 1},
        }
        return {"name": name, "jobs": 2, "done": 2, "best": best, "cells": cells}

    measures = ["clean", *attacks, GAP]
    return {
        "network": "best",
        "measures": measures,
        "descriptions": {key: describe(key).model_dump() for key in measures},
        "lines": [line("method.beta 0.2", False, 0.5), line("method.beta 0.8", True, 0.25)],
    }


@pytest.fixture
def sweep_file(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text("name: betas\nbase: {kind: distillation}\naxes: {method.beta: [0.2, 0.8]}\n")
    return path


def test_submit_sends_the_changed_file(server: FakeServer, sweep_file: Path) -> None:
    server.respond("POST /v1/sweeps", json_response(sweep(queued=4), 201))
    changes = ("--set", "base.teacher=mdl_1", "--set", "axes.seed=[0, 1]")
    result = distill("sweep", "submit", sweep_file, *changes)
    assert (result.exit_code, result.stdout) == (0, "swp_1: 4 queued.\n")
    assert server.requests[0].json == {
        "name": "betas",
        "base": {"kind": "distillation", "teacher": "mdl_1"},
        "axes": {"method.beta": [0.2, 0.8], "seed": [0, 1]},
    }
    assert "idempotency-key" in server.requests[0].headers


def test_dry_run_lists_the_jobs(server: FakeServer, sweep_file: Path) -> None:
    lines = ("method.beta 0.2", "method.beta 0.8")
    jobs = [{"title": line, "line": line, "spec": {}} for line in lines]
    server.respond("POST /v1/sweeps", json_response({"jobs": jobs, "network_passes": 1_234_567}))
    result = distill("sweep", "submit", sweep_file, "--dry-run")
    assert result.exit_code == 0
    assert "These 2 jobs can run; they were not submitted" in result.stdout
    assert "1,234,567" in result.stdout
    assert "method.beta 0.8" in result.stdout
    assert server.requests[0].query == {"dry_run": ["true"]}


def test_show_prints_means_and_marks_the_best_line(server: FakeServer) -> None:
    server.respond(SWEEP, json_response(sweep(succeeded=4)))
    server.respond(TABLE, json_response(table()))
    lines = [line.split() for line in distill("sweep", "show", "swp_1").stdout.splitlines()]
    assert lines == [
        ["betas:", "4", "succeeded."],
        [
            "jobs",
            "Clean",
            "%",
            *["Variance", "gap", "of", "Gram", "matrices", "under", "PGD-20,", "L∞,", "8/255", "%"],
        ],
        ["method.beta", "0.2", "2/2", "50.00", "±", "1.00", "12.35"],
        ["*", "method.beta", "0.8", "2/2", "25.00", "±", "1.00", "12.35"],
        [
            *["*", "the", "highest", "robust", "accuracy", "on", "held-out", "training", "images,"],
            *["of", "those", "under", "one", "threat", "model"],
        ],
    ]


def test_other_table_formats_are_the_services(server: FakeServer) -> None:
    markdown = FakeResponse(200, b"| a |\n", {"Content-Type": "text/markdown"})
    server.respond(TABLE, markdown, json_response(table()))
    result = distill("sweep", "show", "swp_1", "--format", "md", "--network", "last")
    assert result.stdout == "| a |\n"
    assert server.requests[0].query == {"network": ["last"], "format": ["md"]}
    assert json.loads(distill("sweep", "show", "swp_1", "--format", "json").stdout) == table()


def test_watch_prints_changes_and_then_the_table(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "POLL_SECONDS", 0.01)
    sweeps = (
        sweep(running=4),
        sweep(running=4),
        sweep(running=1, succeeded=3),
        sweep(succeeded=4),
    )
    server.respond(SWEEP, *map(json_response, sweeps))
    server.respond(TABLE, json_response(table()))
    result = distill("sweep", "watch", "swp_1")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "swp_1: 4 running",
        "swp_1: 1 running, 3 succeeded",
        "swp_1: 4 succeeded",
    ]
    assert "method.beta 0.8" in result.stdout


def test_watched_sweep_with_a_failed_job_exits_with_1(server: FakeServer) -> None:
    server.respond(SWEEP, json_response(sweep(succeeded=3, failed=1)))
    server.respond(TABLE, json_response(table()))
    assert distill("sweep", "watch", "swp_1").exit_code == 1


def test_sweeps_are_listed_and_cancelled(server: FakeServer) -> None:
    server.respond("GET /v1/sweeps", page_response(sweep(queued=1, succeeded=3)))
    row = distill("sweep", "list").stdout.splitlines()[1]
    assert " ".join(row.split()) == "swp_1 1 queued, 3 succeeded 2026-01-31 12:34 betas"
    cancelled = sweep(cancelled=1, succeeded=3)
    server.respond("POST /v1/sweeps/swp_1/cancel", json_response(cancelled, 202))
    assert distill("sweep", "cancel", "swp_1").stdout == "swp_1: 1 cancelled, 3 succeeded.\n"
    assert distill("jobs", "--sweep", "swp_1").exit_code == 2
    assert server.requests[-1].query["sweep"] == ["swp_1"]


def test_results_are_plotted_over_a_setting(server: FakeServer, tmp_path: Path) -> None:
    server.respond(TABLE, json_response(table()))
    betas = {"job_1": 0.2, "job_2": 0.8}
    jobs = [
        job("succeeded", id=job_id, sweep_line=f"method.beta {beta}")
        for job_id, beta in betas.items()
    ]
    server.respond("GET /v1/jobs", page_response(*jobs))
    for job_id, beta in betas.items():
        detail = job("succeeded", id=job_id, spec={"method": {"beta": beta}})
        server.respond(f"GET /v1/jobs/{job_id}", json_response(detail))
    plot = ("sweep", "plot", "swp_1", "--y", "clean", "--to")
    result = distill(*plot, tmp_path / "beta.svg", "--x", "method.beta")
    assert result.exit_code == 0, result.stderr
    svg = (tmp_path / "beta.svg").read_text()
    assert "method.beta" in svg
    assert "Clean %" in svg
    refused = distill(*plot, tmp_path / "b.png", "--x", "method.gamma")
    message = "method.gamma is neither a measure nor a number"
    assert (refused.exit_code, refused.stderr.startswith(message)) == (2, True)


def test_measure_is_plotted_over_another(server: FakeServer, tmp_path: Path) -> None:
    server.respond(TABLE, json_response(table()))
    plot = ("sweep", "plot", "swp_1", "--x", "variance_gap_gram")
    result = distill(*plot, "--y", "clean", "--to", tmp_path / "gap.svg")
    assert result.exit_code == 0, result.stderr
    assert "Variance gap of Gram matrices under PGD-20, L∞, 8/255 %" in (
        tmp_path / "gap.svg"
    ).read_text(encoding="utf-8")
    result = distill(*plot, "--y", "clean", "--to", tmp_path / "gap.png")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "gap.png").read_bytes().startswith(b"\x89PNG")
    for y, to, message in (
        ("pgd", "a.svg", f"No job of swp_1 has pgd yet; there are clean, {GAP}."),
        ("clean,variance_gap_gram", "a.svg", "Only one measure can be plotted over"),
        ("clean", "a.gif", "A figure is written as .svg or .png, not as 'a.gif'."),
    ):
        refused = distill(*plot, "--y", y, "--to", tmp_path / to)
        assert (refused.exit_code, refused.stderr.startswith(message)) == (2, True), refused.stderr


@pytest.mark.parametrize("axis", ["--x", "--y"])
def test_attack_under_two_threat_models_is_refused(
    server: FakeServer, tmp_path: Path, axis: str
) -> None:
    """A name that may mean either is never plotted; a key says which is meant."""
    linf = "autoattack@linf:8/255"
    l2 = "autoattack@l2:0.5"
    server.respond(TABLE, json_response(table(linf, l2)))
    other = ("--y", "clean") if axis == "--x" else ("--x", "clean")
    plot = ("sweep", "plot", "swp_1", *other, "--to", tmp_path / "a.svg")
    refused = distill(*plot, axis, "autoattack")
    message = f"autoattack may be any of {linf}, {l2}: name one of them.\n"
    assert (refused.exit_code, refused.stderr) == (2, message)
    assert not (tmp_path / "a.svg").exists()
    result = distill(*plot, axis, l2)
    assert result.exit_code == 0, result.stderr
    assert "AutoAttack, L2, 0.5 %" in (tmp_path / "a.svg").read_text(encoding="utf-8")


def test_attack_under_one_threat_model_needs_no_key(server: FakeServer, tmp_path: Path) -> None:
    server.respond(TABLE, json_response(table("cw-30@linf:8/255", "autoattack@l2:0.5")))
    plot = ("sweep", "plot", "swp_1", "--x", "clean", "--to", tmp_path / "a.svg", "--y")
    for name, title in (
        ("cw", "CW-30, L∞, 8/255 %"),
        ("cw-30", "CW-30, L∞, 8/255 %"),
        ("autoattack", "AutoAttack, L2, 0.5 %"),
    ):
        result = distill(*plot, name)
        assert result.exit_code == 0, result.stderr
        assert title in (tmp_path / "a.svg").read_text(encoding="utf-8")


def test_plot_without_matplotlib_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for module in list(sys.modules):
        if module.startswith(("matplotlib", "distill_client.plots")):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    plot = ("sweep", "plot", "swp_1", "--x", "method.beta", "--y", "clean")
    result = distill(*plot, "--to", tmp_path / "beta.svg")
    assert result.exit_code == 2
    assert "pip install 'distill-client[plots]'" in result.stderr
