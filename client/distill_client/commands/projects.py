"""``distill projects``: those who share an installation, and see nothing of each other."""

import typer

from distill_client.client import Distill
from distill_client.display import minute, say, show_table, tell

app = typer.Typer(
    no_args_is_help=True, help="Projects of the installation; needs a key with the scope operator."
)


@app.command()
def create(name: str) -> None:
    """Make a project and print the secret of its first admin key, which cannot be had again."""
    with Distill() as service:
        project = service.create_project(name)
    tell(f"{project.id}, with the key {project.key.id}; keep its secret, it is not shown again:")
    say(project.key.secret or "")


@app.command("list")
def list_projects() -> None:
    """List all projects."""
    with Distill() as service:
        found = list(service.projects())
    show_table(
        ["id", "name", "made (UTC)"], ([it.id, it.name, minute(it.created_at)] for it in found)
    )
