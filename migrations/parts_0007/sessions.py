"""Sessions of the dashboard, one-time sign-in addresses."""


def upgrade() -> None:
    pass
