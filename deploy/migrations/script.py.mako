"""${message}."""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
# pre_release runs before the new code is rolled out, post_release after the old code is gone.
branch_labels = None
depends_on = None


def upgrade() -> None:
    """${message}."""
