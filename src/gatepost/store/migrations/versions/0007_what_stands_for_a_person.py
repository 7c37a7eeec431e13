"""Key the digests of people with a secret of the store, and keep the text that a search compares.

Count two things of each terminal: records that repeat an id, and events whose id tells nothing apart.
"""

from hashlib import blake2b
from secrets import token_bytes
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from alembic import op

from gatepost.store.fold import fold_person

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NEW: dict[str, list[sa.Column[Any]]] = {
    "identities": [sa.Column("folded", sa.Text(), server_default="", nullable=False)],
    "tallies": [
        sa.Column("repeated_ids", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unusable_ids", sa.BigInteger(), server_default="0", nullable=False),
    ],
}
# As they are part of a digest.
_PERSON = (
    "site_id", "user_id", "name", "type", "job_number", "ic_number", "id_number", "remark", "guest_from_ms",
    "guest_until_ms", "groups",
)  # fmt: skip
_FOLDED = ("name", "user_id", "job_number", "ic_number", "id_number")
_STEP = 1000


def upgrade() -> None:
    db = op.get_bind()
    # SQLite would write an added column behind the constraints, where nobody who creates the table has it.
    recreate: Literal["always", "never"] = "always" if db.dialect.name == "sqlite" else "never"
    for name, columns in _NEW.items():
        rowid = {"sqlite_with_rowid": name != "tallies"}
        with op.batch_alter_table(name, recreate=recreate, table_kwargs=rowid) as table:
            for column in columns:
                table.add_column(column)
    secret = token_bytes(32)
    db.execute(
        sa.text("INSERT INTO meta (name, value) VALUES ('key:identity', :value)"), {"value": secret.hex()}
    )
    _key_and_fold(db, secret)


def _key_and_fold(db: sa.Connection, secret: bytes) -> None:
    """Key the digest of each person, so that they stay who they are, and fold their text. Who was erased has none."""
    after = 0
    people = sa.text(
        "SELECT * FROM identities WHERE id > :after AND erased_at_ms IS NULL ORDER BY id LIMIT :step"
    )
    change = sa.text("UPDATE identities SET digest = :digest, folded = :folded WHERE id = :id")
    while rows := db.execute(people, {"after": after, "step": _STEP}).mappings().all():
        after = rows[-1]["id"]
        changes = []
        for row in rows:
            said = msgspec.json.encode([row[name] for name in _PERSON])
            digest = blake2b(said, digest_size=16, key=secret).digest()
            folded = fold_person([row[name] for name in _FOLDED])
            changes.append({"id": row["id"], "digest": digest, "folded": folded})
        db.execute(change, changes)
