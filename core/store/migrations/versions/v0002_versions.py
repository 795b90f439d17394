"""Versions of policies that are kept, beside their checkpoints, and training runs."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What was there becomes checkpoints."""
    name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    with op.batch_alter_table("policy_versions") as table:
        table.drop_constraint("policy_versions_place", type_="unique")
        table.add_column(sa.Column("number", sa.Integer, nullable=True))
        table.add_column(sa.Column("origin", name, nullable=False, server_default="checkpoint"))
        table.add_column(sa.Column("run", name, nullable=False, server_default=""))
        table.add_column(sa.Column("note", name, nullable=False, server_default=""))
        table.create_unique_constraint("policy_versions_number", ["domain", "policy", "number"])
    op.create_index(
        "policy_versions_place", "policy_versions", ["domain", "policy", "config_digest", "position"]
    )
    op.create_table(
        "training_runs",
        sa.Column("id", name, primary_key=True),
        sa.Column("domain", name, nullable=False),
        sa.Column("policy", name, nullable=False),
        sa.Column("status", name, nullable=False),
        sa.Column("trigger", name, nullable=False),
        sa.Column("promote", name, nullable=False),
        sa.Column("started", sa.Double, nullable=False),
        sa.Column("finished", sa.Double, nullable=True),
        sa.Column("heartbeat", sa.Double, nullable=False),
        sa.Column("progress", sa.Double, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("since_time", sa.Double, nullable=True),
        sa.Column("until_time", sa.Double, nullable=True),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("users", sa.BigInteger, nullable=False),
        sa.Column("reward", sa.Double, nullable=True),
        sa.Column("like_rate", sa.Double, nullable=True),
        sa.Column("options", name, nullable=False),
        sa.Column("statistics", name, nullable=False),
        sa.Column("estimates", name, nullable=False),
        sa.Column("version", sa.Integer, nullable=True),
        sa.Column("outcome", name, nullable=False),
        sa.Column("error", name, nullable=False),
    )
    op.create_index("training_runs_by_start", "training_runs", ["domain", "started"])


def downgrade() -> None:
    """Kept versions and runs would be lost: that is for whoever runs the platform to decide."""
    raise NotImplementedError("version 0002 keeps what 0001 has no place for: restore a backup instead")
