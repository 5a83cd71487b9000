"""What the import of a data set says of it: how its files were understood, which were ignored."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from core.store.database.schema import refuse_downgrade

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.add_column("datasets", sa.Column("report", JSON, nullable=True))


def downgrade() -> None:
    refuse_downgrade(revision)
