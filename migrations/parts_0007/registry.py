"""Notes, aliases and versions of models; images of data sets."""


def upgrade() -> None:
    pass
