"""Changes of a project, in order, for its event stream."""


def upgrade() -> None:
    pass
