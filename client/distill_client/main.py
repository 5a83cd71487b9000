"""The ``distill`` command.

Exit status: 0 success; 1 a watched job failed or was cancelled; 2 wrong usage, or a request that
the service refused; 3 no response from the service; 130 stopped watching a job that goes on.
"""

from typing import Any

import typer
from typer.core import TyperGroup

from distill_client.commands import (
    catalogue,
    datasets,
    events,
    jobs,
    logs,
    models,
    report,
    results,
    sweeps,
)
from distill_client.commands.access import audit, dashboard, keys, projects, sessions
from distill_client.commands.service import backup, installation, storage, up, workers
from distill_client.credentials import home
from distill_client.display import echo_stderr
from distill_client.errors import ClientError, DistillProblem, Unreachable

EXIT_REFUSED = 2
EXIT_UNREACHABLE = 3


class CommandGroup(TyperGroup):
    """The only place where errors become a sentence and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except Unreachable as error:
            echo_stderr(str(error))
            echo_stderr(
                "`distill up` starts a service on this machine; "
                "DISTILL_URL is the address of another."
            )
            raise typer.Exit(EXIT_UNREACHABLE) from error
        except (ClientError, OSError) as error:
            echo_stderr(str(error))
            if isinstance(error, DistillProblem):
                print_advice(error)
            raise typer.Exit(EXIT_REFUSED) from error


def print_advice(problem: DistillProblem) -> None:
    """Print what a user can do about a problem, where that is known."""
    if problem.status == 401:
        echo_stderr(
            "The API key is taken from DISTILL_API_KEY or, for a service on this machine, from "
            f"{home() / 'admin.key'} (see DISTILL_HOME)."
        )
    if problem.status >= 500 and problem.request_id:
        echo_stderr(f"The service's log has details under the request id {problem.request_id}.")


app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Adversarially robust knowledge distillation as a service. DISTILL_URL and "
    "DISTILL_API_KEY select the service; the default is the one that `distill up` has started on "
    "this machine.",
)
app.command()(up.up)
app.command()(dashboard.dashboard)
app.command()(backup.backup)
app.command()(backup.restore)
app.command()(jobs.submit)
app.command("jobs")(jobs.list_jobs)
app.command()(jobs.show)
app.command()(jobs.watch)
app.command()(logs.logs)
app.command()(logs.attempts)
app.command()(jobs.cancel)
app.command()(jobs.pause)
app.command()(jobs.resume)
app.command()(jobs.retry)
app.command()(jobs.edit)
app.command()(jobs.delete)
app.command()(jobs.undelete)
app.command()(events.events)
app.command()(report.report)
app.command()(results.leaderboard)
app.command()(results.compare)
app.command()(jobs.download)
app.add_typer(sweeps.app, name="sweep")
app.add_typer(models.app, name="models")
app.add_typer(datasets.app, name="datasets")
app.add_typer(workers.app, name="workers")
app.add_typer(keys.app, name="keys")
app.add_typer(sessions.app, name="sessions")
app.add_typer(storage.app, name="storage")
app.add_typer(projects.app, name="projects")
app.command("service")(installation.installation)
app.command()(audit.audit)
app.command()(catalogue.methods)
app.command()(catalogue.architectures)
app.command()(catalogue.examples)
app.command()(catalogue.schema)

if __name__ == "__main__":
    app()
