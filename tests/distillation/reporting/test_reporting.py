"""A whole job with every analysis, its report as a program and as a person reads it, looked at in a real browser."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from playwright.sync_api import Page, sync_playwright

from core.distillation.evaluation.analyses import ANALYSES
from core.distillation.reporting.report import warnings
from core.folder import FileReady, JobFolder
from core.spec.data import DIGITS
from core.spec.evaluation import Analysis
from core.spec.fit import resolve
from core.spec.report import Report
from tests.distillation.folders import distillation, laid_out, run, training

NAME = "<script>alert(1)</script> & co"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    analyses: list[dict[str, Any]] = [{"name": name} for name in ANALYSES]
    evaluation = {"attacks": [{"name": "pgd"}, {"name": "autoattack", "queries": 20, "iterations": 5}], "limit": 60}
    spec = distillation(name=NAME, evaluation={**evaluation, "analyses": analyses, "batch_size": 30}, export=["torch_export"])
    made = laid_out(tmp_path_factory.mktemp("report") / "job", spec)
    assert run(made).outcome == "succeeded"
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
    assert "png" not in text


def test_every_file_is_announced_with_its_kind(folder: JobFolder) -> None:
    kinds = {event.name: event.kind for event in folder.read_events()[0] if isinstance(event, FileReady)}
    assert {name for name in kinds if kinds[name] == "report"} == {
        "report.json",
        "report.md",
        "report.html",
        "MODEL_CARD.md",
    }
    assert {"radius_sweep.svg", "grad_cam.png", "spectra.svg"} <= {name for name, kind in kinds.items() if kind == "figure"}
    assert kinds["student.pt2"] == "export"


def test_the_model_card_names_the_hash_of_the_weights(folder: JobFolder) -> None:
    card = (folder.output / "MODEL_CARD.md").read_text()
    (event,) = [it for it in folder.read_events()[0] if isinstance(it, FileReady) and it.name == "best.safetensors"]
    assert event.sha256 in card
    assert card.startswith("---\nlibrary_name: pytorch\n")


def test_the_markdown_has_a_row_for_each_network_and_class(folder: JobFolder) -> None:
    text = (folder.output / "report.md").read_text()
    assert re.search(r"^\| Best epoch \| [0-9.]+ \|", text, re.MULTILINE)
    assert len(re.findall(r"^\| [0-9] \|", text, re.MULTILINE)) == 10
    assert "Only 60 test images were used." in text


@pytest.fixture(scope="module")
def opened() -> Iterator[Page]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "Chromium is missing. Install it with:  apt-get install -y chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium.new_page()
        chromium.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser_the_report_fits_runs_nothing_and_fetches_nothing(folder: JobFolder, opened: Page, width: int) -> None:
    trouble: list[str] = []
    opened.on("console", lambda message: trouble.append(message.text))
    opened.on("dialog", lambda dialog: trouble.append(dialog.message))
    opened.on("request", lambda request: trouble.append(request.url) if request.url.startswith("http") else None)
    opened.set_viewport_size({"width": width, "height": 900})
    opened.goto((folder.output / "report.html").as_uri())
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert NAME in opened.inner_text("h1")
    assert "under AutoAttack" in opened.inner_text(".verdict")
    assert opened.locator("figure img").count() == 7
    assert opened.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert not trouble


# -- warnings


def sentences(measured: dict[str, Any] | None = None, **changes: Any) -> list[str]:
    evaluation = {"attacks": [{"name": "pgd"}, {"name": "autoattack"}], **changes.pop("evaluation", {})}
    body = {"data": {"dataset": "digits", "held_out": 0.1}, "evaluation": evaluation, **changes}
    return warnings(resolve(training(**body), DIGITS), measured or {})


def test_a_standard_evaluation_has_no_warning() -> None:
    assert sentences() == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"evaluation": {"limit": 10}}, "Only 10 test images"),
        ({"data": {"dataset": "digits", "limit": 200, "held_out": 0.1}}, "Only 200 training images"),
        ({"evaluation": {"attacks": [{"name": "pgd"}]}}, "AutoAttack was not run"),
        ({"evaluation": {"attacks": [{"name": "autoattack", "queries": 100}]}}, "100 queries of 5000"),
        ({"evaluation": {"attacks": [{"name": "autoattack", "stages": ["apgd-ce"]}]}}, "stages apgd-ce"),
        ({"evaluation": {"attacks": [{"name": "autoattack"}, {"name": "pgd", "steps": 10}]}}, "10 steps"),
        ({"evaluation": {"attacks": [{"name": "autoattack", "radius": 0.01}]}}, "radius 0.01"),
        ({"evaluation": {"every_epochs": 2}}, "one in 2"),
        ({"averaging": {"name": "ema"}}, "average of its weights"),
    ],
    ids=str,
)
def test_whatever_makes_a_number_less_than_standard_is_said(changes: dict[str, Any], words: str) -> None:
    (sentence,) = sentences(**changes)
    assert words in sentence


def test_square_finding_what_gradients_did_not_is_said() -> None:
    stages = {"square": {"standing": 0.4, "broken": 3, "seconds": 1.0}}
    entry = {"value": 0.4, "values": {}, "images": 1000, "stages": stages, "notes": [], "non_finite": 2}
    found = sentences({"best": {"autoattack": entry}})
    assert any("mask its gradients" in sentence for sentence in found)
    assert any("2 images met logits" in sentence for sentence in found)
    entry["stages"] = {"square": {"standing": 0.4, "broken": 2, "seconds": 1.0}}
    assert not any("mask" in sentence for sentence in sentences({"best": {"autoattack": entry}}))


def test_figures_of_the_same_data_are_the_same_bytes(folder: JobFolder, tmp_path: Path) -> None:
    from core import figures

    report = json.loads((folder.output / "report.json").read_text())
    names = tuple(report["data"]["description"]["class_names"])
    results = {name: it for name, it in report["results"]["best"].items() if name != "grad_cam"}
    first, second = (figures.draw(results, report["history"], names) for _ in range(2))
    assert first == second
