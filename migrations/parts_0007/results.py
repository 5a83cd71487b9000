"""Results as rows, so that jobs and models can be sorted and filtered by them; masks over the test images."""


def upgrade() -> None:
    pass
