"""What every table keeps to."""

import pytest
from sqlalchemy import BigInteger, Table

from gatepost.store.schema import tables as schema

TABLES = list(schema.metadata.tables.values())


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_times_are_milliseconds_in_64_bits_and_names_fit_both_databases(table: Table) -> None:
    assert table.primary_key.columns
    for column in table.columns:
        assert column.name != "pin"
        if column.name.endswith("_ms"):
            assert isinstance(column.type, BigInteger)
    for named in (*table.constraints, *table.indexes):
        assert named.name is not None
        assert len(str(named.name)) <= 63


@pytest.mark.parametrize("name", ["records", "alarm_events", "quarantine"])
def test_an_event_is_unique_by_terminal_and_key(name: str) -> None:
    unique = [
        tuple(column.name for column in constraint.columns)
        for constraint in schema.metadata.tables[name].constraints
        if type(constraint).__name__ == "UniqueConstraint"
    ]
    assert unique == [("terminal_id", "key")]


def test_each_table_stands_after_those_that_it_refers_to() -> None:
    tables = schema.tables()
    assert set(tables) == set(TABLES)
    for position, table in enumerate(tables):
        for key in table.foreign_keys:
            assert key.column.table in tables[: position + 1]
