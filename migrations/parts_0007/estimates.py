"""What finished jobs cost, and what workers run on."""


def upgrade() -> None:
    pass
