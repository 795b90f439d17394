"""Where items come from and when that was last asked for them; accounts of users with other services."""

import time

import orjson
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_PAGE = 2000


def upgrade() -> None:
    """The origin of what is there is in its body; it counts as asked for now: when it was isn't known."""
    name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.add_column("items", sa.Column("origin", name, nullable=False, server_default=""))
    op.add_column("items", sa.Column("refreshed", sa.Double, nullable=False, server_default="0"))
    op.execute(sa.text("UPDATE items SET refreshed = :now").bindparams(now=time.time()))
    _note_origins()
    op.create_index("items_by_age", "items", ["domain", "origin", "refreshed", "id"])
    op.create_table(
        "accounts",
        sa.Column("user", name, primary_key=True),
        sa.Column("service", name, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("updated", sa.Double, nullable=False),
    )


def _note_origins() -> None:
    connection = op.get_bind()
    items = sa.table("items", sa.column("domain"), sa.column("id"), sa.column("body"), sa.column("origin"))
    place = sa.tuple_(items.c.domain, items.c.id)
    page = sa.select(items.c.domain, items.c.id, items.c.body).order_by(items.c.domain, items.c.id)
    page = page.where(items.c.body.is_not(None)).limit(_PAGE)
    change = sa.update(items).where(
        items.c.domain == sa.bindparam("of_domain"), items.c.id == sa.bindparam("of_id")
    )
    change = change.values(origin=sa.bindparam("said"))
    statement = page
    while rows := connection.execute(statement).all():
        known = [
            {"of_domain": domain, "of_id": identity, "said": origin}
            for domain, identity, body in rows
            if (origin := _origin(body))
        ]
        if known:
            connection.execute(change, known)
        statement = page.where(place > sa.tuple_(sa.literal(rows[-1].domain), sa.literal(rows[-1].id)))


def _origin(body: bytes) -> str:
    try:
        origin = orjson.loads(body)["origin"]
    except (ValueError, KeyError, TypeError):
        return ""
    return origin if isinstance(origin, str) else ""


def downgrade() -> None:
    """Accounts would be lost, and with the ages of items what the terms of their origins ask for."""
    raise NotImplementedError("version 0003 keeps what 0002 has no place for: restore a backup instead")
