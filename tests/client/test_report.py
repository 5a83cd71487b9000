import sys
import webbrowser
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from distill_client import Distill, display
from distill_client.main import app
from tests.client.fake import Answer, Fake, Request, problem

REPORT = "GET /v1/jobs/job_1/report"
PAGES = {
    "md": "# A report\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nÜmlaut \x1b[2J",
    "html": "<h1>A report</h1>",
    "json": '{"a": 1}',
}


@pytest.fixture(autouse=True)
def reports(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    def page(request: Request) -> Answer:
        return Answer(body=PAGES[request.query["format"][0]].encode())

    monkeypatch.setenv("DISTILL_URL", fake.url)
    monkeypatch.setenv("DISTILL_API_KEY", "dk_secret")
    fake.on(REPORT, page)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", addresses.append)
    return addresses


def report(*options: object) -> Result:
    return CliRunner().invoke(app, ["report", "job_1", *map(str, options)])


def test_in_a_pipe_the_report_is_its_markdown_without_what_steers_terminals() -> None:
    result = report()
    assert (result.exit_code, result.stdout) == (0, PAGES["md"].replace("\x1b", "\ufffd") + "\n")


def test_on_a_terminal_the_markdown_is_laid_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(display, "console", lambda: Console(width=60))
    display.show_markdown(PAGES["md"])
    shown = capsys.readouterr().out
    assert "A report" in shown
    assert "# A report" not in shown
    assert "|---|" not in shown
    assert "\x1b[2J" not in shown


@pytest.mark.parametrize("form", ["html", "json"])
def test_another_form_is_printed_as_it_is(form: str) -> None:
    assert report("--format", form).stdout == PAGES[form] + "\n"


@pytest.mark.parametrize(
    ("name", "options", "form"),
    [
        ("a.html", [], "html"),
        ("a.json", [], "json"),
        ("a", [], "md"),
        ("a.txt", ["--format", "html"], "html"),
    ],
)
def test_a_file_gets_the_form_of_its_ending_unless_another_is_asked_for(
    tmp_path: Path, name: str, options: list[str], form: str
) -> None:
    result = report("--to", tmp_path / name, *options)
    assert (result.exit_code, result.stdout) == (0, "")
    assert str(tmp_path / name) in result.stderr
    assert (tmp_path / name).read_bytes() == PAGES[form].encode()


def test_the_browser_is_shown_a_file_on_this_machine(opened: list[str], tmp_path: Path) -> None:
    assert report("--open").exit_code == 0
    (address,) = opened
    assert Path(address.removeprefix("file://")).read_text() == PAGES["html"]
    assert report("--open", "--to", tmp_path / "kept.html").exit_code == 0
    assert opened[1] == (tmp_path / "kept.html").as_uri()


def test_the_browser_is_not_shown_json(fake: Fake, opened: list[str]) -> None:
    assert report("--open", "--format", "json").exit_code == 2
    assert (fake.requests, opened) == ([], [])


def test_a_job_without_a_report_says_so(fake: Fake) -> None:
    fake.on(REPORT, problem(404, "no_report_yet", "Job job_1 is running and has no report yet."))
    result = report()
    assert (result.exit_code, result.stderr) == (2, "Job job_1 is running and has no report yet.\n")


def test_a_programs_report_is_always_json(fake: Fake) -> None:
    with Distill() as service:
        assert service.report("job_1") == {"a": 1}
