"""Columns of a batch, as PostgreSQL reads arrays in binary: one array a column, whatever the number of rows.

psycopg has this too, for any nesting and any type, value by value: a third of the time that storing a batch takes on
our side (``docs/decisions/sqlite-writes.md``). Here the type is known, and there is one dimension.

The form is what ``array_send`` writes: 1 dimension, whether there are nulls, the type of the elements, how many there
are, the first one's number; then each element behind its length, -1 for a null. A statement has to say what it is
given (``%b::bigint[]``), for the parameter itself does not.
"""

import struct
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import Column
from sqlalchemy.types import BigInteger, Float, Integer, LargeBinary, SmallInteger, Text

__all__ = ["Array", "array", "register"]

_HEAD = struct.Struct(">iiIii")
_SIZE = struct.Struct(">i").pack
_NULL = b"\xff\xff\xff\xff"


class Array(bytes):
    """One column, encoded."""


class _AsItIs(Dumper):
    format = Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        return obj


def register(connection: psycopg.Connection[Any]) -> None:
    """Let this connection take what :func:`array` makes."""
    connection.adapters.register_dumper(Array, _AsItIs)


def array(column: Column[Any], values: Sequence[Any]) -> Array:
    """Encode the values of one column. Raises ``struct.error`` or ``AttributeError`` for what is not of its type."""
    element, encode = _ENCODERS[type(column.type)]
    count, first = len(values), values[0] if values else None
    # In a batch, most columns say the same in every row. Of the floating zero there are two, which are equal.
    if (first or type(first) is not float) and values.count(first) == count:
        return Array(_HEAD.pack(1, first is None, element, count, 1) + encode(values[:1]) * count)
    return Array(_HEAD.pack(1, None in values, element, count, 1) + encode(values))


@cache
def _fixed(code: str, count: int) -> struct.Struct:
    return struct.Struct(">" + f"i{code}" * count)


def _numbers(code: str, size: int, values: Sequence[Any]) -> bytes:
    if None in values:
        one = _fixed(code, 1).pack
        return b"".join([_NULL if value is None else one(size, value) for value in values])
    parts = [size] * (2 * len(values))
    parts[1::2] = values
    return _fixed(code, len(values)).pack(*parts)


def _bytes(values: Sequence[bytes | None]) -> bytes:
    if None in values:
        return b"".join([_NULL if value is None else _SIZE(len(value)) + value for value in values])
    parts: list[Any] = [b""] * (2 * len(values))
    parts[::2], parts[1::2] = map(_SIZE, map(len, values)), values  # type: ignore[arg-type]
    return b"".join(parts)


def _texts(values: Sequence[str | None]) -> bytes:
    return _bytes([None if value is None else value.encode() for value in values])


_ENCODERS: dict[type[Any], tuple[int, Callable[[Sequence[Any]], bytes]]] = {
    BigInteger: (20, partial(_numbers, "q", 8)),
    Integer: (23, partial(_numbers, "i", 4)),
    SmallInteger: (21, partial(_numbers, "h", 2)),
    Float: (701, partial(_numbers, "d", 8)),
    Text: (25, _texts),
    LargeBinary: (17, _bytes),
}
"""By the type of a column: the number that PostgreSQL gives that type (``pg_type.oid``), and how it is written."""
