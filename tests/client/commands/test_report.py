"""``distill report``."""

import sys
import webbrowser
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import Result

from distill_client import Distill, display
from tests.client.commands.runner import distill
from tests.client.fake_server import FakeResponse, FakeServer, Request, problem_response

REPORT = "GET /v1/jobs/job_1/report"
PAGES = {
    "md": "# A report\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nÜmlaut \x1b[2J",
    "html": "<h1>A report</h1>",
    "json": '{"a": 1}',
}


@pytest.fixture(autouse=True)
def reports(server: FakeServer) -> None:
    def page(request: Request) -> FakeResponse:
        return FakeResponse(body=PAGES[request.query["format"][0]].encode())

    server.respond(REPORT, page)


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", addresses.append)
    return addresses


def report(*options: object) -> Result:
    return distill("report", "job_1", *options)


def test_report_in_a_pipe_is_its_markdown() -> None:
    """Without characters that control a terminal."""
    result = report()
    assert (result.exit_code, result.stdout) == (0, PAGES["md"].replace("\x1b", "\ufffd") + "\n")


def test_report_on_a_terminal_is_rendered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(display, "console", lambda: Console(width=60))
    display.show_markdown(PAGES["md"])
    output = capsys.readouterr().out
    assert "A report" in output
    assert "# A report" not in output
    assert "|---|" not in output
    assert "\x1b[2J" not in output


@pytest.mark.parametrize("name", ["html", "json"])
def test_other_formats_are_printed_unchanged(name: str) -> None:
    assert report("--format", name).stdout == PAGES[name] + "\n"


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("a.html", [], "html"),
        ("a.json", [], "json"),
        ("a", [], "md"),
        ("a.txt", ["--format", "html"], "html"),
    ],
)
def test_extension_selects_the_format_of_a_file(
    tmp_path: Path, name: str, options: list[str], expected: str
) -> None:
    """Unless another format is requested."""
    result = report("--to", tmp_path / name, *options)
    assert (result.exit_code, result.stdout) == (0, "")
    assert str(tmp_path / name) in result.stderr
    assert (tmp_path / name).read_bytes() == PAGES[expected].encode()


def test_browser_opens_a_file_on_this_machine(browser: list[str], tmp_path: Path) -> None:
    assert report("--open").exit_code == 0
    (address,) = browser
    assert Path(address.removeprefix("file://")).read_text() == PAGES["html"]
    assert report("--open", "--to", tmp_path / "report.html").exit_code == 0
    assert browser[1] == (tmp_path / "report.html").as_uri()


def test_browser_does_not_open_json(server: FakeServer, browser: list[str]) -> None:
    assert report("--open", "--format", "json").exit_code == 2
    assert (server.requests, browser) == ([], [])


def test_missing_report_is_a_sentence(server: FakeServer) -> None:
    detail = "Job job_1 is running and has no report yet."
    server.respond(REPORT, problem_response(404, "no_report_yet", detail))
    result = report()
    assert (result.exit_code, result.stderr) == (2, f"{detail}\n")


def test_report_of_the_python_client_is_json(server: FakeServer) -> None:
    with Distill() as service:
        assert service.report("job_1") == {"a": 1}
