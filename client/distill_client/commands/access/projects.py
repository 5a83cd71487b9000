"""``distill projects``: their members share an installation and see nothing of each other."""

import typer

from distill_client.client import Distill
from distill_client.display import echo, echo_stderr, format_minute, show_table
from distill_client.responses import Project

app = typer.Typer(
    no_args_is_help=True, help="Projects of the installation; needs a key with the scope operator."
)


@app.command()
def create(name: str) -> None:
    """Create a project and print the secret of its first admin key, which cannot be shown again."""
    with Distill() as service:
        project = service.create_project(name)
    echo_stderr(
        f"{project.id}, with the key {project.key.id}. Save its secret; it is not shown again:"
    )
    echo(project.key.secret or "")


@app.command("list")
def list_projects() -> None:
    """List all projects."""
    with Distill() as service:
        show_table(["id", "name", "created (UTC)"], map(row, service.projects()))


def row(project: Project) -> list[object]:
    return [project.id, project.name, format_minute(project.created_at)]
