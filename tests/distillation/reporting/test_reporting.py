"""A whole job with every analysis, its report as a program and as a person reads it, looked at in a real browser."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
from jsonschema import Draft202012Validator
from markdown_it import MarkdownIt
from playwright.sync_api import Page, sync_playwright

from api.endpoints.results import REPORT_CONTENT_POLICY
from core import figures
from core.distillation.evaluation import MEASURES
from core.distillation.reporting import analysis_tables, rendering
from core.job_folder import FileReady, JobFolder
from core.jobspec.evaluation import Analysis
from core.reportspec.measures import ANALYSIS_NUMBERS, measure_title
from core.reportspec.report import Report
from tests.distillation.folders import distillation_spec, create_job_folder, run_job

ANALYSES = [name for name in MEASURES if name not in {"clean", "pgd", "cw", "autoattack"}]
NAME = "<script>alert(1)</script> & co"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    analyses: list[dict[str, Any]] = [{"name": name} for name in ANALYSES]
    evaluation = {
        "attacks": [{"name": "pgd"}, {"name": "autoattack", "queries": 20, "iterations": 5}],
        "limit": 60,
    }
    spec = distillation_spec(
        name=NAME,
        student={"architecture": "small_cnn", "width": 4},
        schedule={"epochs": 4, "batch_size": 32, "checkpoint_seconds": 3600},
        evaluation={**evaluation, "analyses": analyses, "batch_size": 30},
        export=["torch_export"],
    )
    made = create_job_folder(tmp_path_factory.mktemp("report") / "job", spec)
    assert run_job(made).outcome == "succeeded"
    return made


def test_every_analysis_of_the_spec_is_in_the_contents() -> None:
    names = {kind.model_fields["name"].default for kind in get_args(get_args(Analysis)[0])}
    assert names == set(ANALYSES)


def test_the_report_is_of_its_published_schema_and_has_every_result(folder: JobFolder) -> None:
    text = (folder.output / "report.json").read_text()
    report = Report.model_validate_json(text)
    assert set(report.results["best"]) == {"clean", "pgd", "autoattack", *ANALYSES}
    assert set(report.results["last"]) >= {"clean", "pgd", "autoattack"}
    assert report.data.images == {"training": 270, "held_out": 30, "test": 60}
    assert report.reference is not None
    assert {name for entry in report.main_results.values() for name in entry.values} == set(ANALYSIS_NUMBERS)
    assert "png" not in text


def test_a_program_that_knows_the_schema_alone_can_check_the_report(folder: JobFolder) -> None:
    validator = Draft202012Validator(Report.json_schema())
    report = json.loads((folder.output / "report.json").read_text())
    assert list(validator.iter_errors(report)) == []
    assert list(validator.iter_errors({**report, "warnings": "none"}))
    assert list(
        validator.iter_errors({key: value for key, value in report.items() if key != "results"})
    )


def test_every_accuracy_has_its_interval_in_the_data_and_in_the_pages(folder: JobFolder) -> None:
    report = Report.model_validate_json((folder.output / "report.json").read_text())
    for results in report.results.values():
        for entry in results.values():
            if entry.value is not None:
                assert entry.interval is not None
                assert entry.interval[0] < entry.value < entry.interval[1] or entry.value in (0, 1)
    low, high = report.main_results["clean"].interval or (0, 0)
    for name in ("report.md", "report.html", "MODEL_CARD.md"):
        assert f"{100 * low:.1f}–{100 * high:.1f}" in (folder.output / name).read_text()


def test_every_file_is_announced_with_its_kind(folder: JobFolder) -> None:
    kinds = {
        event.name: event.kind for event in folder.read_events()[0] if isinstance(event, FileReady)
    }
    assert {name for name in kinds if kinds[name] == "report"} == {
        "report.json",
        "report.md",
        "report.html",
        "MODEL_CARD.md",
    }
    drawn = ("training", "per_class", *ANALYSES)
    assert {f"{name}.{ending}" for name in drawn for ending in ("svg", "png")} == {
        name for name, kind in kinds.items() if kind == "figure"
    }
    assert kinds["student.pt2"] == "export"


def test_the_model_card_names_the_hash_of_the_weights(folder: JobFolder) -> None:
    card = (folder.output / "MODEL_CARD.md").read_text()
    (event,) = [
        it
        for it in folder.read_events()[0]
        if isinstance(it, FileReady) and it.name == "best.safetensors"
    ]
    assert event.sha256 in card
    assert card.startswith("---\nlibrary_name: pytorch\n")


def test_the_markdown_has_a_row_for_each_network_and_class(folder: JobFolder) -> None:
    text = (folder.output / "report.md").read_text()
    assert re.search(r"^\| Best epoch \| [0-9.]+ \([0-9.]+–[0-9.]+\) \|", text, re.MULTILINE)
    assert len(re.findall(r"^\| [0-9] \|", text, re.MULTILINE)) == 10
    assert "Only 60 of 360 test images were used." in text


@pytest.mark.parametrize(("name", "tables"), [("report.md", 3), ("MODEL_CARD.md", 2)])
def test_every_table_of_the_markdown_is_one_to_a_parser(
    folder: JobFolder, name: str, tables: int
) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse((folder.output / name).read_text())
    assert sum(token.type == "table_open" for token in tokens) == tables
    broken = [
        token.content
        for token in tokens
        if token.type == "inline" and token.content.startswith("|")
    ]
    assert broken == []


@pytest.fixture(scope="module")
def opened() -> Iterator[Page]:
    program = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    assert program, "Chromium is missing. Install it with:  apt-get install -y chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium.new_page()
        chromium.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser_the_report_fits_runs_nothing_and_fetches_nothing(
    folder: JobFolder, opened: Page, width: int, scheme: Literal["light", "dark"]
) -> None:
    trouble: list[str] = []
    opened.emulate_media(color_scheme=scheme)
    opened.on("console", lambda message: trouble.append(message.text))
    opened.on("dialog", lambda dialog: trouble.append(dialog.message))
    opened.on(
        "request",
        lambda request: trouble.append(request.url) if request.url.startswith("http") else None,
    )
    opened.set_viewport_size({"width": width, "height": 900})
    opened.goto((folder.output / "report.html").as_uri())
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert NAME in opened.inner_text("h1")
    assert "under AutoAttack" in opened.inner_text(".verdict")
    assert opened.locator("figure img").count() == 2 + len(ANALYSES)
    assert opened.locator("script, link, iframe, [onload], [onerror]").count() == 0
    assert opened.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert not trouble


def test_under_the_services_policy_a_browser_draws_all_of_it(
    folder: JobFolder, opened: Page
) -> None:
    """The API sends it with a policy that forbids everything but inline style and inline images."""
    trouble: list[str] = []
    opened.on("console", lambda message: trouble.append(message.text))
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": REPORT_CONTENT_POLICY}
    body = (folder.output / "report.html").read_text()
    opened.route(
        "http://service.test/report", lambda route: route.fulfill(body=body, headers=headers)
    )
    opened.goto("http://service.test/report")
    assert opened.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert (
        opened.evaluate("getComputedStyle(document.querySelector('.warnings')).borderLeftStyle")
        == "solid"
    )
    assert not trouble


def test_energy_is_in_every_page_where_it_is_known_and_in_none_where_it_is_not(
    folder: JobFolder,
) -> None:
    report = Report.model_validate_json((folder.output / "report.json").read_text())
    environment = report.environment.model_copy(update={"energy_of": "the GPU (NVML)"})
    known = report.model_copy(
        update={"joules": {"training": 3.6e6, "evaluating": 1.8e6}, "environment": environment}
    )
    unknown = report.model_copy(update={"joules": {"training": 3.6e6, "evaluating": None}})
    for page in (
        rendering.render_markdown,
        lambda it: rendering.render_html(it, {}),
        lambda it: rendering.render_model_card(it, {}),
    ):
        assert "1.5 kWh, of the GPU (NVML)" in page(known)
        assert "kWh" not in page(unknown)


def test_every_number_of_an_analysis_has_a_row_with_the_references_beside_it(
    folder: JobFolder,
) -> None:
    report = Report.model_validate_json((folder.output / "report.json").read_text())
    rows = {row.title: row for row in analysis_tables.analysis_rows(report.main_results)}
    assert set(rows) == {number.title for number, _ in analysis_tables.NUMBER_PATHS}
    assert {number.title for number in ANALYSIS_NUMBERS.values()} <= set(rows)
    assert rows["Effective rank of the joint covariance"].reference is not None
    assert rows["Expected calibration error, clean"].reference is None


@pytest.mark.parametrize(
    ("measure", "title"),
    [
        ("pgd", "PGD"),
        ("pgd_2", "PGD 2"),
        ("autoattack_10", "AutoAttack 10"),
        ("grad_cam", "Grad-CAM"),
        ("spectra", "Spectra"),
    ],
)
def test_a_measure_has_a_title_for_people(measure: str, title: str) -> None:
    assert measure_title(measure) == title


def test_figures_of_the_same_data_are_the_same_bytes(folder: JobFolder, tmp_path: Path) -> None:
    report = json.loads((folder.output / "report.json").read_text())
    names = tuple(report["data"]["description"]["class_names"])
    results = {name: it for name, it in report["results"]["best"].items() if name != "grad_cam"}
    first, second = (figures.draw(results, report["history"], names) for _ in range(2))
    assert first == second
