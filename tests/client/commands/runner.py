"""The ``distill`` command, run in this process."""

from typer.testing import CliRunner, Result

from distill_client.main import app


def distill(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])
