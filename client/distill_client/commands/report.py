"""``distill report``: a job's report on the terminal, in a file, or in the browser."""

import tempfile
import webbrowser
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from distill_client.client import Distill
from distill_client.display import echo, echo_stderr, show_markdown
from distill_client.options import JobId

ReportFormat = Literal["md", "html", "json"]


def report(
    job_id: JobId,
    format: Annotated[
        ReportFormat | None,
        typer.Option("--format", help="Default: by the extension of --to, or md."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Write to this file.")
    ] = None,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open it in the browser, with its figures.")
    ] = False,
) -> None:
    """Show a job's robustness report."""
    default = "html" if open_browser else format_of(to)
    report_format = format or default
    if open_browser and report_format != "html":
        raise typer.BadParameter("--open needs the format html.", param_hint="--format")
    with Distill() as service:
        text = service.report_page(job_id, report_format)
    if to is None and open_browser:
        to = Path(tempfile.mkdtemp(prefix="distill-")) / "report.html"
    if to is not None:
        to.write_text(text, encoding="utf-8")
        echo_stderr(f"The report is in {to}.")
        if open_browser:
            webbrowser.open(to.resolve().as_uri())
    elif report_format == "md":
        show_markdown(text)
    else:
        echo(text)


def format_of(path: Path | None) -> ReportFormat:
    """Return the format that a file's extension names; md for any other."""
    extension = path.suffix.lstrip(".") if path is not None else "md"
    return next((each for each in get_args(ReportFormat) if each == extension), "md")
