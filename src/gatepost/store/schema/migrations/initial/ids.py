"""The type of ids: SQLite numbers rows by itself where it is an ``INTEGER``."""

import sqlalchemy as sa

__all__ = ["ID"]

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
