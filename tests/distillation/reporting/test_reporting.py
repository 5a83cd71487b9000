"""The report of a job with every analysis, as programs read it, and as people do in a browser."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
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
from tests.distillation.folders import create_job_folder, distillation_spec, run_job

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
    folder = create_job_folder(tmp_path_factory.mktemp("report") / "job", spec)
    assert run_job(folder).outcome == "succeeded"
    return folder


@pytest.fixture
def report(folder: JobFolder) -> Report:
    return Report.model_validate_json((folder.output / "report.json").read_text())


def test_every_analysis_of_the_spec_is_measured() -> None:
    names = {kind.model_fields["name"].default for kind in get_args(get_args(Analysis)[0])}
    assert names == set(ANALYSES)


def test_the_report_has_its_schema_and_every_result(folder: JobFolder) -> None:
    text = (folder.output / "report.json").read_text()
    report = Report.model_validate_json(text)
    assert set(report.results["best"]) == {"clean", "pgd", "autoattack", *ANALYSES}
    assert set(report.results["last"]) >= {"clean", "pgd", "autoattack"}
    assert report.data.images == {"training": 270, "held_out": 30, "test": 60}
    assert report.reference is not None
    numbers = {name for entry in report.main_results.values() for name in entry.values}
    assert numbers == set(ANALYSIS_NUMBERS)
    assert "png" not in text


def test_a_program_can_validate_the_report(folder: JobFolder) -> None:
    """It needs the JSON schema alone."""
    validator = Draft202012Validator(Report.json_schema())
    report = json.loads((folder.output / "report.json").read_text())
    assert list(validator.iter_errors(report)) == []
    assert list(validator.iter_errors({**report, "warnings": "none"}))
    incomplete = {key: value for key, value in report.items() if key != "results"}
    assert list(validator.iter_errors(incomplete))


def test_every_accuracy_has_its_interval(folder: JobFolder, report: Report) -> None:
    """In the JSON, and in the documents for people."""
    for results in report.results.values():
        for entry in results.values():
            if entry.value is not None:
                assert entry.interval is not None
                assert entry.interval[0] < entry.value < entry.interval[1] or entry.value in (0, 1)
    low, high = report.main_results["clean"].interval or (0, 0)
    for name in ("report.md", "report.html", "MODEL_CARD.md"):
        assert f"{100 * low:.1f}–{100 * high:.1f}" in (folder.output / name).read_text()


def files_of(folder: JobFolder) -> dict[str, FileReady]:
    """Return the events of the files that the job saved, by file name."""
    events, _ = folder.read_events()
    return {event.name: event for event in events if isinstance(event, FileReady)}


def test_every_file_has_its_kind(folder: JobFolder) -> None:
    kinds = {name: event.kind for name, event in files_of(folder).items()}
    assert {name for name in kinds if kinds[name] == "report"} == {
        "report.json",
        "report.md",
        "report.html",
        "MODEL_CARD.md",
    }
    plots = ("training", "per_class", *ANALYSES)
    assert {f"{name}.{suffix}" for name in plots for suffix in ("svg", "png")} == {
        name for name, kind in kinds.items() if kind == "figure"
    }
    assert kinds["student.pt2"] == "export"


def test_the_model_card_has_the_digest_of_the_weights(folder: JobFolder) -> None:
    card = (folder.output / "MODEL_CARD.md").read_text()
    assert files_of(folder)["best.safetensors"].sha256 in card
    assert card.startswith("---\nlibrary_name: pytorch\n")


def test_the_markdown_has_a_row_per_network_and_class(folder: JobFolder) -> None:
    text = (folder.output / "report.md").read_text()
    assert re.search(r"^\| Best epoch \| [0-9.]+ \([0-9.]+–[0-9.]+\) \|", text, re.MULTILINE)
    assert len(re.findall(r"^\| [0-9] \|", text, re.MULTILINE)) == 10
    assert "Only 60 of 360 test images were used." in text


@pytest.mark.parametrize(("name", "tables"), [("report.md", 3), ("MODEL_CARD.md", 2)])
def test_every_markdown_table_parses_as_a_table(folder: JobFolder, name: str, tables: int) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse((folder.output / name).read_text())
    assert sum(token.type == "table_open" for token in tokens) == tables
    broken = [
        token.content
        for token in tokens
        if token.type == "inline" and token.content.startswith("|")
    ]
    assert broken == []


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
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
def test_the_html_fits_runs_nothing_and_fetches_nothing(
    folder: JobFolder, page: Page, width: int, scheme: Literal["light", "dark"]
) -> None:
    problems: list[str] = []
    page.emulate_media(color_scheme=scheme)
    page.on("console", lambda message: problems.append(message.text))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.on(
        "request",
        lambda request: problems.append(request.url) if request.url.startswith("http") else None,
    )
    page.set_viewport_size({"width": width, "height": 900})
    page.goto((folder.output / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert NAME in page.inner_text("h1")
    assert "under AutoAttack" in page.inner_text(".headline")
    assert page.locator("figure img").count() == 2 + len(ANALYSES)
    assert page.locator("script, link, iframe, [onload], [onerror]").count() == 0
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert not problems


def test_a_browser_renders_it_under_the_content_policy(folder: JobFolder, page: Page) -> None:
    """The API sends the report with a policy that allows inline style and inline images only."""
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": REPORT_CONTENT_POLICY,
    }
    body = (folder.output / "report.html").read_text()
    page.route(
        "http://service.test/report", lambda route: route.fulfill(body=body, headers=headers)
    )
    page.goto("http://service.test/report")
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    border = "getComputedStyle(document.querySelector('.warnings')).borderLeftStyle"
    assert page.evaluate(border) == "solid"
    assert not problems


def test_known_energy_is_in_every_document(report: Report) -> None:
    """Unknown energy is in none."""
    environment = report.environment.model_copy(update={"energy_of": "the GPU (NVML)"})
    known = report.model_copy(
        update={"joules": {"training": 3.6e6, "evaluating": 1.8e6}, "environment": environment}
    )
    unknown = report.model_copy(update={"joules": {"training": 3.6e6, "evaluating": None}})
    renderers: tuple[Callable[[Report], str], ...] = (
        rendering.render_markdown,
        lambda report: rendering.render_html(report, {}),
        lambda report: rendering.render_model_card(report, {}),
    )
    for render in renderers:
        assert "1.5 kWh, as counted for the GPU (NVML)" in render(known)
        assert "kWh" not in render(unknown)


def test_every_number_of_an_analysis_has_a_row(report: Report) -> None:
    """With the reference's number beside it, where the reference has one."""
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


def test_figures_of_the_same_data_are_the_same_bytes(folder: JobFolder) -> None:
    report = json.loads((folder.output / "report.json").read_text())
    class_names = tuple(report["data"]["description"]["class_names"])
    best = report["results"]["best"]
    results = {name: entry for name, entry in best.items() if name != "grad_cam"}
    first = figures.draw_figures(results, report["history"], class_names)
    second = figures.draw_figures(results, report["history"], class_names)
    assert first == second
