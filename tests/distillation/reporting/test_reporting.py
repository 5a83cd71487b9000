"""The report of a job with every analysis, as programs read it, and as people do in a browser."""

import html
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import pytest
from huggingface_hub import ModelCard
from jsonschema import Draft202012Validator
from markdown_it import MarkdownIt
from PIL import Image
from playwright.sync_api import Page

from api.endpoints.results import REPORT_CONTENT_POLICY
from core import figures
from core.distillation.evaluation import MEASURES
from core.distillation.reporting import analysis_tables, rendering
from core.distillation.reporting.masking_checks import CHECKS
from core.job_folder import FileReady, JobFolder
from core.jobspec.evaluation import Analysis
from core.reportspec.measures import ANALYSIS_NUMBERS, describe, measure_title
from core.reportspec.report import InputIdentity, Report
from tests.browser import open_chromium
from tests.distillation.folders import create_job_folder, distillation_spec, run_job

NOT_ANALYSES = {"clean", "pgd", "cw", "autoattack", "gradient_checks"}
ANALYSES = [name for name in MEASURES if name not in NOT_ANALYSES]
AUTOATTACK = "autoattack:queries=20:iterations=5"
ATTACK_KEYS = [
    "pgd-20@linf:0.15",
    f"{AUTOATTACK}@linf:0.15",
    f"{AUTOATTACK}@l2:0.5",
    "pgd-20@linf:8/255",
]
TEACHER = InputIdentity(id="mdl_1", name="the teacher", sha256="1" * 64)
DATASET = InputIdentity(id="ds_digits", name="digits", sha256=None)
"""As the supervisor writes it: the store has nothing of the digits."""
DIGITS_SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
"""Of scikit-learn's digits.csv.gz, by sha256sum."""
NAME = "<script>alert(1)</script> & co"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    analyses: list[dict[str, Any]] = [{"name": name} for name in ANALYSES]
    short = {"name": "autoattack", "queries": 20, "iterations": 5}
    attacks = [
        {"name": "pgd"},
        short,
        {**short, "norm": "l2", "radius": 0.5},
        {"name": "pgd", "radius": "8/255"},
    ]
    evaluation = {"attacks": attacks, "limit": 60}
    spec = distillation_spec(
        name=NAME,
        student={"architecture": "small_cnn", "width": 4},
        schedule={"epochs": 4, "batch_size": 32, "checkpoint_seconds": 3600},
        evaluation={**evaluation, "analyses": analyses, "batch_size": 30},
        adversary={"name": "pgd", "radius": 0.15, "step_size": 0.0375, "steps": 2},
        export=["torch_export"],
        license="cc-by-4.0",
    )
    folder = create_job_folder(tmp_path_factory.mktemp("report") / "job", spec)
    identities = {"teacher": TEACHER.model_dump(), "dataset": DATASET.model_dump()}
    folder.inputs.write_text(json.dumps(identities))
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
    names = [describe(key).name for key in report.results["best"]]
    assert set(names) == {"clean", "pgd", "autoattack", "gradient_checks", *ANALYSES}
    assert set(report.results["last"]) >= {"clean", *ATTACK_KEYS}
    assert report.threat_model.title == "L∞, 0.15"
    assert report.data.identity == DATASET.model_copy(update={"sha256": DIGITS_SHA256})
    assert report.reference is not None
    assert report.reference.model == TEACHER
    assert report.data.images == {"training": 270, "held_out": 30, "test": 60}
    assert report.reference is not None
    numbers = {describe(key).name for entry in report.main_results.values() for key in entry.values}
    assert numbers == set(ANALYSIS_NUMBERS)
    assert '"png' not in text


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
    figure_names = {f"{name}.{suffix}" for name in plots for suffix in ("svg", "png")}
    assert figure_names | {"adversarial_examples.png"} == {
        name for name, kind in kinds.items() if kind == "figure"
    }
    assert kinds["student.pt2"] == "export"


def test_adversarial_examples_are_in_every_document(folder: JobFolder, report: Report) -> None:
    """The counts as text, and the pixels as a file with a row of three tiles for each example."""
    entry = report.main_results["examples"].model_dump()
    counts = entry["outcomes"]
    assert sum(counts.values()) == entry["images"] == 60
    markdown = (folder.output / "report.md").read_text()
    html = (folder.output / "report.html").read_text()
    assert "Of 60 test images under PGD-20, L∞, 0.15, made for the network:" in markdown
    assert f"| The network falls, the reference holds | {counts['network_falls']} |" in markdown
    assert "Under PGD-20, L∞, 0.15, made for the network" in html
    assert f'<th scope="row">Both fall</th><td>{counts["both_fall"]}</td>' in html
    picture = Image.open(folder.output / entry["picture"]["file"])
    assert picture.size == (3 * 8, len(entry["examples"]) * 8)
    assert files_of(folder)[entry["picture"]["file"]].media_type == "image/png"


def test_the_model_card_has_the_digest_of_the_weights(folder: JobFolder) -> None:
    card = (folder.output / "MODEL_CARD.md").read_text()
    assert files_of(folder)["best.safetensors"].sha256 in card
    assert "student.onnx" not in card  # this job did not export it


def test_the_hub_reads_every_result_with_its_threat_model(
    folder: JobFolder, report: Report
) -> None:
    card = ModelCard.load(folder.output / "MODEL_CARD.md")
    assert (card.data.license, card.data.datasets) == ("cc-by-4.0", ["digits"])
    results = card.data.eval_results
    assert results is not None
    values = {result.metric_name: result.metric_value for result in results}
    clean = 100 * (report.main_results["clean"].value or 0)
    assert values["Clean accuracy"] == pytest.approx(clean, abs=1e-3)
    robust = report.main_results[f"{AUTOATTACK}@l2:0.5"]
    assert values["Robust accuracy, AutoAttack (queries 20, iterations 5), L2, 0.5"] == (
        pytest.approx(100 * (robust.value or 0), abs=1e-3)
    )
    assert {"Robust accuracy, PGD-20, L∞, 0.15", "Robust accuracy, PGD-20, L∞, 8/255"} <= set(
        values
    )
    assert {result.dataset_name for result in results} == {"digits"}
    assert results[0].dataset_args == {
        "test_images": 60,
        "id": "ds_digits",
        "sha256": DIGITS_SHA256,
    }


def test_every_result_says_attack_norm_and_radius(report: Report) -> None:
    measure = report.main_results[f"{AUTOATTACK}@l2:0.5"].measure
    assert (measure.name, measure.norm, measure.radius) == ("autoattack", "l2", 0.5)
    assert measure.version == "queries=20:iterations=5"
    measure = report.main_results["pgd-20@linf:8/255"].measure
    assert (measure.name, measure.norm, measure.radius, measure.steps) == (
        "pgd",
        "linf",
        8 / 255,
        20,
    )


def test_headline_compares_no_unlike_threat_models(report: Report) -> None:
    """Each threat model has an attack that decides; that of the training comes first."""

    def with_values(values: dict[str, float]) -> str:
        results = dict(report.main_results)
        for key, value in values.items():
            results[key] = results[key].model_copy(update={"value": value})
        return rendering.headline(report.model_copy(update={"results": {"best": results}}))

    short = "AutoAttack (queries 20, iterations 5)"
    values = dict(zip(["clean", *ATTACK_KEYS], [0.9, 0.4, 0.3, 0.1, 0.7], strict=True))
    assert with_values(values) == (
        "The network classifies 90.00 % of 60 test images correctly, and 30.00 % under "
        f"{short}, L∞, 0.15. Under another threat model: 10.00 % under {short}, L2, 0.5; "
        "70.00 % under PGD-20, L∞, 8/255."
    )
    tied = with_values({**values, "pgd-20@linf:0.15": 0.3})
    assert f"30.00 % under {short}, L∞, 0.15." in tied
    lower = with_values({**values, "pgd-20@linf:0.15": 0.2})
    assert f"30.00 % under {short}, L∞, 0.15 (but only 20.00 % under PGD-20)." in lower


def test_headline_says_where_no_attack_was_run(report: Report) -> None:
    results = {key: report.main_results[key] for key in ("clean", "pgd-20@linf:8/255")}
    foreign = rendering.headline(report.model_copy(update={"results": {"best": results}}))
    assert "correctly; no attack was run under L∞, 0.15. Under another threat model: " in foreign
    alone = {"clean": report.main_results["clean"]}
    sentence = rendering.headline(report.model_copy(update={"results": {"best": alone}}))
    assert sentence.endswith("correctly; no attack was run.")


def test_threat_models_stand_apart_in_tables(folder: JobFolder) -> None:
    page = (folder.output / "report.html").read_text()
    groups = re.findall(r'<th scope="colgroup"[^>]*>([^<]*)</th>', page)
    assert groups[:4] == ["no attack", "L∞, 0.15", "L∞, 8/255", "L2, 0.5"]
    card = (folder.output / "MODEL_CARD.md").read_text()
    assert re.search(r"^\| L2, 0\.5 \| AutoAttack \(queries 20, iterations 5\) \| ", card, re.M)


def test_report_says_which_masking_checks_were_run(folder: JobFolder, report: Report) -> None:
    statuses = {check.name: check.status for check in report.masking_checks}
    assert set(statuses) == set(CHECKS)
    assert "not_run" not in statuses.values()
    for name in ("report.md", "report.html", "MODEL_CARD.md"):
        text = html.unescape((folder.output / name).read_text())
        assert all(check.title in text for check in report.masking_checks)


def test_the_markdown_has_a_row_per_network_and_class(folder: JobFolder) -> None:
    text = (folder.output / "report.md").read_text()
    assert re.search(r"^\| Best epoch \| [0-9.]+ \([0-9.]+–[0-9.]+\) \|", text, re.MULTILINE)
    assert len(re.findall(r"^\| [0-9] \|", text, re.MULTILINE)) == 10
    assert "Only 60 of 360 test images were used." in text


@pytest.mark.parametrize(("name", "tables"), [("report.md", 5), ("MODEL_CARD.md", 3)])
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
    with open_chromium() as browser:
        yield browser.new_page()


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
    assert ", L∞, 0.15" in page.inner_text(".headline")
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
    """With its threat model, and the reference's number beside it, where it has one."""
    rows = {row.title: row for row in analysis_tables.analysis_rows(report.main_results)}
    for name, number in ANALYSIS_NUMBERS.items():
        threat_model = "L∞, 0.5" if name == "masking_large_radius" else "L∞, 0.15"
        title = number.title if name == "ece" else f"{number.title}, {threat_model}"
        assert title in rows
    rank = rows["Effective rank of the joint covariance under PGD-20, L∞, 0.15"]
    assert rank.reference is not None
    assert rows["Expected calibration error, clean"].reference is None


@pytest.mark.parametrize(
    ("measure", "title"),
    [
        ("pgd-20@linf:8/255", "PGD-20, L∞, 8/255"),
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
    results = {name: entry for name, entry in best.items() if name not in ("grad_cam", "examples")}
    first = figures.draw_figures(results, report["history"], class_names, "L∞, 0.15")
    second = figures.draw_figures(results, report["history"], class_names, "L∞, 0.15")
    assert first == second
