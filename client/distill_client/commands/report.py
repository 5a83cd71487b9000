"""``distill report``: a job's report on the terminal, in a file, or in the browser."""

import tempfile
import webbrowser
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from distill_client.client import Distill
from distill_client.commands.jobs import JobId
from distill_client.display import say, show_markdown, tell

Form = Literal["md", "html", "json"]
Asked = Annotated[Form | None, typer.Option("--format", help="Default: by the ending of --to; md.")]


def report(
    job_id: JobId,
    form: Asked = None,
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Write it there.")
    ] = None,
    open_it: Annotated[
        bool, typer.Option("--open", help="Show it in the browser, with its figures.")
    ] = False,
) -> None:
    """Show a job's robustness report."""
    wanted = form or ("html" if open_it else form_of(to))
    if open_it and wanted != "html":
        raise typer.BadParameter("A browser is shown the report as html.", param_hint="--format")
    with Distill() as service:
        text = service.report_page(job_id, wanted)
    if to is None and open_it:
        to = Path(tempfile.mkdtemp(prefix="distill-")) / "report.html"
    if to is not None:
        to.write_text(text, encoding="utf-8")
        tell(f"The report is in {to}.")
        if open_it:
            webbrowser.open(to.resolve().as_uri())
    elif wanted == "md":
        show_markdown(text)
    else:
        say(text)


def form_of(path: Path | None) -> Form:
    ending = path.suffix.lstrip(".") if path is not None else "md"
    return next((each for each in get_args(Form) if each == ending), "md")
