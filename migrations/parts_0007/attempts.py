"""Attempts are rows, with their logs."""


def upgrade() -> None:
    pass
