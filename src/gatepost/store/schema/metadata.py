"""Define what all tables have in common: their ``MetaData``, and the type of their ids."""

from sqlalchemy import BigInteger, Integer, MetaData

__all__ = ["metadata", "Id"]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# SQLite gives its fast row id only to a column that is declared INTEGER.
Id = BigInteger().with_variant(Integer(), "sqlite")
