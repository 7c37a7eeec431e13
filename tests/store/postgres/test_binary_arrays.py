"""Arrays, read back by a real PostgreSQL."""

import math
import struct
from typing import Any

import psycopg
import pytest
from sqlalchemy import Column
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import BigInteger, Float, Integer, LargeBinary, SmallInteger, Text, TypeEngine

from gatepost.store.postgres.binary_arrays import array, register


@pytest.fixture
def connection(postgres_url: str) -> Any:
    with psycopg.connect(postgres_url) as connection:
        register(connection)
        yield connection


def read_back(connection: psycopg.Connection[Any], kind: TypeEngine[Any], values: list[Any]) -> list[Any]:
    name = kind.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
    row = connection.execute(
        f"SELECT ARRAY(SELECT * FROM unnest(%b::{name}[]))", [array(Column("x", kind), values)]
    ).fetchone()
    assert row is not None
    return list(row[0])


VALUES = [
    (BigInteger(), [0, 1, -1, 2**63 - 1, -(2**63)]),
    (Integer(), [0, 1, -1, 2**31 - 1, -(2**31)]),
    (SmallInteger(), [0, 1, -1, 2**15 - 1, -(2**15)]),
    (Float(), [0.0, 1, -1.5, 1e300, float("inf")]),
    (Text(), ["", "NULL", "王五", '{"a": [1, "\\\\"]}', "x" * 100_000]),
    (LargeBinary(), [b"", b"\0", b"\xff\xd8\xff" * 10_000]),
]


@pytest.mark.parametrize(("kind", "values"), VALUES, ids=lambda value: type(value).__name__)
def test_what_is_written_is_what_postgresql_reads(
    connection: psycopg.Connection[Any], kind: TypeEngine[Any], values: list[Any]
) -> None:
    for some in (values, values[:1], values[1:2] * 3, [None, *values, None], [None], [None, None]):
        assert read_back(connection, kind, some) == some


def test_both_zeros_are_kept(connection: psycopg.Connection[Any]) -> None:
    found = read_back(connection, Float(), [0.0, -0.0, 0.0])
    assert [math.copysign(1, value) for value in found] == [1, -1, 1]


def test_a_number_that_does_not_fit_is_refused_before_it_is_sent() -> None:
    for kind in (BigInteger(), Integer(), SmallInteger()):
        with pytest.raises(struct.error):
            array(Column("x", kind), [2**63])
