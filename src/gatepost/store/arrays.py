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
    empty = values.count(None)
    head = _HEAD.pack(1, 1 if empty else 0, element, len(values), 1)
    return Array(head + (_NULL * empty if empty == len(values) else encode(values, bool(empty))))


@cache
def _fixed(code: str, count: int) -> struct.Struct:
    return struct.Struct(">" + f"i{code}" * count)


def _numbers(code: str, size: int, values: Sequence[Any], some_empty: bool) -> bytes:
    if some_empty:
        one = _fixed(code, 1).pack
        return b"".join([_NULL if value is None else one(size, value) for value in values])
    return _fixed(code, len(values)).pack(*[part for value in values for part in (size, value)])


def _bytes(values: Sequence[bytes | None], some_empty: bool) -> bytes:
    parts: list[bytes] = []
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            parts.append(len(value).to_bytes(4, "big"))
            parts.append(value)
    return b"".join(parts)


def _texts(values: Sequence[str | None], some_empty: bool) -> bytes:
    return _bytes([None if value is None else value.encode() for value in values], some_empty)


_ENCODERS: dict[type[Any], tuple[int, Callable[[Sequence[Any], bool], bytes]]] = {
    BigInteger: (20, partial(_numbers, "q", 8)),
    Integer: (23, partial(_numbers, "i", 4)),
    SmallInteger: (21, partial(_numbers, "h", 2)),
    Float: (701, partial(_numbers, "d", 8)),
    Text: (25, _texts),
    LargeBinary: (17, _bytes),
}
"""By the type of a column: the number that PostgreSQL gives that type (``pg_type.oid``), and how it is written."""
