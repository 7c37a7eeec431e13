"""What is asked of a receiver with everything in it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.queries import _record_filters, on_sqlite
from benchmarks.varied import Varied

from gatepost.store.interface import RecordQuery

NO_FILTERS = {"order", "limit", "cursor", "include_held"}


def test_every_filter_of_the_api_is_asked_for() -> None:
    at = datetime(2024, 5, 6, tzinfo=UTC)
    known = Varied(
        begins=at,
        ends=at + timedelta(days=365),
        step=timedelta(seconds=16),
        common_terminal="A",
        rare_terminal="B",
        silent_terminal="C",
        common_site=1,
        rare_site=2,
        silent_site=3,
        month="2025-04",
        day="2025-05-03",
    )
    assert _record_filters(known).keys() == set(RecordQuery.__struct_fields__) - NO_FILTERS


def test_a_small_run_answers_every_kind_of_question(tmp_path: Path) -> None:
    said: list[str] = []
    rows = on_sqlite(Bench(root=tmp_path, rounds=1, scale=0.001, say=said.append))
    targets = [row.target for row in rows]
    assert targets == [50, 150, None, 150, 1_000, None, 1_000, 200, 200, None]
    assert all(row.value > 0 and row.at_most for row in rows)
    assert rows[-1].peer == "reading all"
    assert list(tmp_path.iterdir()) == []
