"""``distill sweep`` against a server that answers by script."""

import json
from pathlib import Path
from typing import Any

import pytest

from distill_client import events
from tests.client.fake import Answer as Scripted
from tests.client.fake import Fake, as_json, job
from tests.client.test_command import address, distill

__all__ = ["address"]

SWEEP, TABLE = "GET /v1/sweeps/swp_1", "GET /v1/sweeps/swp_1/table"


def sweep(**jobs: int) -> dict[str, Any]:
    ended = not jobs.keys() & {"queued", "running", "cancelling"}
    return {
        "id": "swp_1",
        "name": "betas",
        "size": sum(jobs.values()),
        "jobs": jobs,
        "terminal": ended,
        "created_at": "2026-01-31T12:34:56.789Z",
    }


def table() -> dict[str, Any]:
    def line(name: str, best: bool, mean: float) -> dict[str, Any]:
        cells = {
            "clean": {"mean": mean, "sd": 0.01, "n": 2},
            "variance_gap_gram": {"mean": 12.345, "sd": None, "n": 1},
        }
        return {"name": name, "jobs": 2, "done": 2, "best": best, "cells": cells}

    return {
        "network": "best",
        "measures": ["clean", "variance_gap_gram"],
        "lines": [line("method.beta 0.2", False, 0.5), line("method.beta 0.8", True, 0.25)],
    }


@pytest.fixture
def sweep_file(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text("name: betas\nbase: {kind: distillation}\naxes: {method.beta: [0.2, 0.8]}\n")
    return path


def test_submit_sends_the_file_with_its_changes(fake: Fake, sweep_file: Path) -> None:
    fake.on("POST /v1/sweeps", as_json(sweep(queued=4), 201))
    result = distill(
        "sweep", "submit", sweep_file, "--set", "base.teacher=mdl_1", "--set", "axes.seed=[0, 1]"
    )
    assert (result.exit_code, result.stdout) == (0, "swp_1: 4 queued.\n")
    assert fake.requests[0].json == {
        "name": "betas",
        "base": {"kind": "distillation", "teacher": "mdl_1"},
        "axes": {"method.beta": [0.2, 0.8], "seed": [0, 1]},
    }
    assert "idempotency-key" in fake.requests[0].headers


def test_a_dry_run_lists_the_jobs(fake: Fake, sweep_file: Path) -> None:
    jobs = [
        {"title": f"method.beta {beta}", "line": f"method.beta {beta}", "spec": {}}
        for beta in (0.2, 0.8)
    ]
    fake.on("POST /v1/sweeps", as_json({"jobs": jobs, "network_passes": 1_234_567}))
    result = distill("sweep", "submit", sweep_file, "--dry-run")
    assert result.exit_code == 0
    assert "These 2 jobs can be run; nothing was submitted" in result.stdout
    assert "1,234,567" in result.stdout
    assert "method.beta 0.8" in result.stdout
    assert fake.requests[0].query == {"dry_run": ["true"]}


def test_show_prints_means_and_deviations_and_marks_the_best_line(fake: Fake) -> None:
    fake.on(SWEEP, as_json(sweep(succeeded=4)))
    fake.on(TABLE, as_json(table()))
    lines = [line.split() for line in distill("sweep", "show", "swp_1").stdout.splitlines()]
    assert lines == [
        ["betas:", "4", "succeeded."],
        ["jobs", "Clean", "%", "Variance", "gap", "of", "Gram", "matrices", "%"],
        ["method.beta", "0.2", "2/2", "50.00", "±", "1.00", "12.35"],
        ["*", "method.beta", "0.8", "2/2", "25.00", "±", "1.00", "12.35"],
        ["*", "the", "highest", "robust", "accuracy", "on", "held-out", "training", "images"],
    ]


def test_other_forms_of_the_table_come_as_the_service_makes_them(fake: Fake) -> None:
    fake.on(TABLE, Scripted(200, b"| a |\n", {"Content-Type": "text/markdown"}), as_json(table()))
    assert (
        distill("sweep", "show", "swp_1", "--format", "md", "--network", "last").stdout == "| a |\n"
    )
    assert fake.requests[0].query == {"network": ["last"], "format": ["md"]}
    assert json.loads(distill("sweep", "show", "swp_1", "--format", "json").stdout) == table()


def test_watch_tells_of_changes_and_ends_with_the_table(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "POLL_SECONDS", 0.01)
    fake.on(
        SWEEP,
        *(
            as_json(sweep(**jobs))
            for jobs in (
                {"running": 4},
                {"running": 4},
                {"running": 1, "succeeded": 3},
                {"succeeded": 4},
            )
        ),
    )
    fake.on(TABLE, as_json(table()))
    result = distill("sweep", "watch", "swp_1")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "swp_1: 4 running",
        "swp_1: 1 running, 3 succeeded",
        "swp_1: 4 succeeded",
    ]
    assert "method.beta 0.8" in result.stdout


def test_a_watched_sweep_with_a_failed_job_is_exit_status_1(fake: Fake) -> None:
    fake.on(SWEEP, as_json(sweep(succeeded=3, failed=1)))
    fake.on(TABLE, as_json(table()))
    assert distill("sweep", "watch", "swp_1").exit_code == 1


def test_list_and_cancel(fake: Fake) -> None:
    fake.on(
        "GET /v1/sweeps",
        as_json({"data": [sweep(queued=1, succeeded=3)], "has_more": False, "next_cursor": None}),
    )
    row = distill("sweep", "list").stdout.splitlines()[1]
    assert row.split() == [
        "swp_1",
        "1",
        "queued,",
        "3",
        "succeeded",
        "2026-01-31",
        "12:34",
        "betas",
    ]
    fake.on("POST /v1/sweeps/swp_1/cancel", as_json(sweep(cancelled=1, succeeded=3), 202))
    assert distill("sweep", "cancel", "swp_1").stdout == "swp_1: 1 cancelled, 3 succeeded.\n"
    assert distill("jobs", "--sweep", "swp_1").exit_code == 2
    assert fake.requests[-1].query["sweep"] == ["swp_1"]


def test_results_are_plotted_over_a_setting(fake: Fake, tmp_path: Path) -> None:
    fake.on(TABLE, as_json(table()))
    lines = {"job_1": 0.2, "job_2": 0.8}
    jobs = [
        job("succeeded", id=name, sweep_line=f"method.beta {beta}") for name, beta in lines.items()
    ]
    fake.on("GET /v1/jobs", as_json({"data": jobs, "has_more": False, "next_cursor": None}))
    for name, beta in lines.items():
        fake.on(
            f"GET /v1/jobs/{name}",
            as_json(job("succeeded", id=name, spec={"method": {"beta": beta}})),
        )
    result = distill(
        "sweep",
        "plot",
        "swp_1",
        "--x",
        "method.beta",
        "--y",
        "clean",
        "--to",
        tmp_path / "beta.svg",
    )
    assert result.exit_code == 0, result.stderr
    drawn = (tmp_path / "beta.svg").read_text()
    assert "method.beta" in drawn
    assert "Clean %" in drawn
    refused = distill(
        "sweep", "plot", "swp_1", "--x", "method.gamma", "--y", "clean", "--to", tmp_path / "b.png"
    )
    assert (refused.exit_code, refused.stderr.startswith("method.gamma is no number")) == (2, True)


def test_one_measure_is_plotted_over_another(fake: Fake, tmp_path: Path) -> None:
    fake.on(TABLE, as_json(table()))
    plot = ("sweep", "plot", "swp_1", "--x", "variance_gap_gram")
    result = distill(*plot, "--y", "clean", "--to", tmp_path / "gap.png")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "gap.png").read_bytes().startswith(b"\x89PNG")
    for y, to, sentence in (
        ("pgd", "a.svg", "No job of swp_1 has pgd yet; there are clean, variance_gap_gram."),
        ("clean,variance_gap_gram", "a.svg", "One measure is plotted over another"),
        ("clean", "a.gif", "A figure is an .svg or a .png, not 'a.gif'."),
    ):
        refused = distill(*plot, "--y", y, "--to", tmp_path / to)
        assert (refused.exit_code, refused.stderr.startswith(sentence)) == (2, True), refused.stderr
