"""Options and arguments that several commands share."""

from typing import Annotated

import typer

JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of a job.")]
SweepId = Annotated[str, typer.Argument(metavar="ID", help="Id of a sweep.")]
IdOrName = Annotated[str, typer.Argument(help="Id or name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

EXIT_DETACHED = 130
"""Ctrl-C has ended the watching, not what was watched."""
