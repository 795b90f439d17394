"""The log, users, items, vectors and policy versions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything, and an empty log."""
    name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "log",
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("kind", name, nullable=False),
        sa.Column("id", name, nullable=False),
        sa.Column("domain", name, nullable=False),
        sa.Column("user", name, nullable=False),
        sa.Column("time", sa.Double, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("kind", "id", name="log_kind_id"),
    )
    op.create_index("log_by_user", "log", ["user", "domain", "position", "kind"])
    log_end = op.create_table(
        "log_end",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("time", sa.Double, nullable=False),
    )
    op.bulk_insert(log_end, [{"id": 1, "position": 0, "time": 0.0}])
    op.create_table(
        "users",
        sa.Column("id", name, primary_key=True),
        sa.Column("profile", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("updated", sa.Double, nullable=False),
    )
    op.create_table(
        "items",
        sa.Column("domain", name, primary_key=True),
        sa.Column("id", name, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=True),
        sa.Column("changed", sa.BigInteger, nullable=False),
    )
    op.create_index("items_by_change", "items", ["domain", "changed", "id"])
    op.create_table(
        "vectors",
        sa.Column("domain", name, primary_key=True),
        sa.Column("id", name, primary_key=True),
        sa.Column("model", name, primary_key=True),
        sa.Column("version", name, nullable=False),
        sa.Column("digest", name, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "policy_versions",
        sa.Column("id", name, primary_key=True),
        sa.Column("domain", name, nullable=False),
        sa.Column("policy", name, nullable=False),
        sa.Column("config_digest", name, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("checksum", name, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("domain", "policy", "config_digest", "position", name="policy_versions_place"),
    )
    op.create_table(
        "notes",
        sa.Column("key", name, primary_key=True),
        sa.Column("value", name, nullable=False),
    )


def downgrade() -> None:
    """There is nothing before the first version."""
    raise NotImplementedError("version 0001 is the first: delete the database instead")
