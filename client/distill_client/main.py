"""The ``distill`` command.

Exit status: 0 done; 1 a watched job failed or was cancelled; 2 bad usage, or a request that was refused; 3 no answer from
the service; 130 detached from a job that goes on.
"""

from typing import Any

import typer
from typer.core import TyperGroup

from distill_client.commands import (
    audit,
    backup,
    catalogue,
    datasets,
    jobs,
    keys,
    models,
    projects,
    report,
    storage,
    sweeps,
    up,
    workers,
)
from distill_client.credentials import home
from distill_client.display import tell
from distill_client.errors import ClientError, DistillProblem, Unreachable


class OneEdge(TyperGroup):
    """Every error becomes a sentence and an exit status here, and nowhere else."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except Unreachable as error:
            tell(f"{error}\n`distill up` starts one on this machine; DISTILL_URL names another.")
            raise typer.Exit(3) from error
        except (ClientError, OSError) as error:
            tell(str(error))
            if isinstance(error, DistillProblem):
                explain(error)
            raise typer.Exit(2) from error


def explain(problem: DistillProblem) -> None:
    if problem.status == 401:
        tell(
            f"The key is DISTILL_API_KEY, or for a service on this machine that in {home() / 'admin.key'} (see DISTILL_HOME)."
        )
    if problem.status >= 500 and problem.request_id:
        tell(f"The service's log has more under {problem.request_id}.")


app = typer.Typer(
    cls=OneEdge,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Adversarially robust knowledge distillation as a service. DISTILL_URL and DISTILL_API_KEY say which service; "
    "without them it is the one that `distill up` started here.",
)
app.command()(up.up)
app.command()(backup.backup)
app.command()(backup.restore)
app.command()(jobs.submit)
app.command("jobs")(jobs.list_jobs)
app.command()(jobs.show)
app.command()(jobs.watch)
app.command()(jobs.cancel)
app.command()(jobs.pause)
app.command()(jobs.resume)
app.command()(jobs.retry)
app.command()(jobs.delete)
app.command()(jobs.undelete)
app.command()(report.report)
app.command()(jobs.download)
app.add_typer(sweeps.app, name="sweep")
app.add_typer(models.app, name="models")
app.add_typer(datasets.app, name="datasets")
app.add_typer(workers.app, name="workers")
app.add_typer(keys.app, name="keys")
app.add_typer(storage.app, name="storage")
app.add_typer(projects.app, name="projects")
app.command()(audit.audit)
app.command()(catalogue.methods)
app.command()(catalogue.architectures)

if __name__ == "__main__":
    app()
