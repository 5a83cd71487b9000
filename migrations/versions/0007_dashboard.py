"""What the dashboard shows: attempts and their logs, changes of a project, sessions, results as
rows, notes and aliases, images of data sets, what jobs cost.
"""

from core.store.database.schema import refuse_downgrade
from migrations.parts_0007 import (
    attempts,
    estimates,
    project_events,
    registry,
    results,
    sessions,
)

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for part in (attempts, project_events, sessions, results, registry, estimates):
        part.upgrade()


def downgrade() -> None:
    refuse_downgrade(revision)
