"""What a store really has on disk: the bytes of its files, or of every column of every table."""

import psycopg

from gatepost.store.base import BaseStore
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.sqlite.store import SqliteStore


def bytes_of(store: BaseStore) -> bytes:
    """Everything, while it is open: the database, its log, the days of images."""
    if isinstance(store, SqliteStore):
        files = sorted(path for path in store.folder.rglob("*") if path.is_file())
        return b"\n".join(path.read_bytes() for path in files)
    assert isinstance(store, PostgresStore)
    with psycopg.connect(store._server.conninfo) as db:
        names = db.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        rows = [row for (name,) in names for row in db.execute(f'SELECT * FROM "{name}"')]
    values = (value for row in rows for value in row if value is not None)
    return b"\n".join(v if isinstance(v, bytes) else str(v).encode() for v in values)
