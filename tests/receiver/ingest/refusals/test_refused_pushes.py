"""Refused pushes on their way to the list: bounded, told in the log once, without tokens."""

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.receiver.kit import Clock, opened

from gatepost.errors import StoreUnavailable
from gatepost.receiver.http.redact import MAX_SAMPLE
from gatepost.receiver.ingest.refusals import refused_pushes
from gatepost.receiver.ingest.refusals.refused_pushes import (
    LINES_A_MINUTE,
    MAX_ROWS,
    MAX_ROWS_OF_A_PEER,
    MAX_SHOWN,
    RefusedPushes,
)
from gatepost.store.interface import RefusedPush
from gatepost.store.sqlite.store import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Any:
    store = opened(tmp_path / "data")
    yield store
    store.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pushes(clock: Clock) -> RefusedPushes:
    return RefusedPushes(now=clock)


def push(**said: Any) -> RefusedPush:
    return RefusedPush(**{"peer": "10.0.0.1", "reason": "no JSON", "status": 400, "path": "/Record", **said})


def flush(pushes: RefusedPushes, store: Any) -> None:
    taken = pushes.take()
    try:
        store.note_refused(*taken)
    except StoreUnavailable:
        pushes.put_back(*taken)


class Away:
    """A store that takes nothing."""

    def note_refused(self, *_: object) -> None:
        raise StoreUnavailable("away")


def test_rows_reach_the_store_once_with_the_times_at_which_it_happened(
    store: SqliteStore, pushes: RefusedPushes, clock: Clock
) -> None:
    start = clock.at
    for _ in range(3):
        pushes.add(push(), detail="is no JSON")
        clock.at += 0.25
    flush(pushes, store)
    flush(pushes, store)
    (row,) = store.refused()
    assert (row.count, row.detail) == (3, "is no JSON")
    assert (row.first_at.timestamp(), row.last_at.timestamp()) == (start, start + 0.5)


def test_a_store_that_is_away_loses_nothing(store: SqliteStore, pushes: RefusedPushes, clock: Clock) -> None:
    pushes.add(push(), detail="first", body=b"{")
    start = clock.at
    flush(pushes, Away())
    clock.at += 60
    pushes.add(push(), detail="last", body=b"{")
    flush(pushes, store)
    (row,) = store.refused()
    assert (row.count, row.detail, row.first_at.timestamp()) == (2, "last", start)
    kept = store.refusal_sample(row.sample_id or 0)
    assert kept is not None
    assert kept.at.timestamp() == start


def test_memory_stays_bounded_whatever_is_sent(pushes: RefusedPushes) -> None:
    for number in range(2 * MAX_ROWS):
        pushes.add(push(peer=f"10.1.{number}", serial="x" * 100_000), detail="", body=b"{" * 100_000)
    taken, samples = pushes.take()
    assert len(taken) == MAX_ROWS
    assert {len(one.serial) for one in taken} == {MAX_SHOWN}
    assert 0 < len(samples) <= refused_pushes.MAX_SAMPLES
    assert all(len(kept.content) <= MAX_SAMPLE for kept in samples.values())
    pushes.put_back(taken, samples)
    for number in range(2 * MAX_ROWS):
        pushes.add(push(peer=f"10.2.{number}"), detail="", body=b"{")
    pushes.put_back({}, samples)
    taken, samples = pushes.take()
    assert len(taken) == MAX_ROWS
    assert len(samples) == refused_pushes.MAX_SAMPLES
    assert len(pushes._told) <= MAX_ROWS
    assert len(pushes._sampled) <= MAX_ROWS


def test_a_peer_that_makes_up_serials_does_not_keep_others_off_the_list(pushes: RefusedPushes) -> None:
    for number in range(5 * MAX_ROWS):
        pushes.add(push(serial=f"SN-{number}"), detail="")
    pushes.add(push(peer="10.0.0.2"), detail="")
    taken, _ = pushes.take()
    assert len(taken) == MAX_ROWS_OF_A_PEER + 2
    assert push(peer="10.0.0.2") in taken
    assert sum(times.count for times in taken.values()) == 5 * MAX_ROWS + 1


def test_a_token_in_a_path_is_shown_by_its_first_characters_only(pushes: RefusedPushes) -> None:
    pushes.add(push(path="/in/0123456789-0123456789_abcdef/x"), detail="")
    pushes.add(push(path="/a-path-of-many/words"), detail="")
    assert sorted(one.path for one in pushes.take()[0]) == ["/a-path-of-many/words", "/in/0123…/x"]


def test_a_path_is_cut_and_made_printable_before_it_is_shown(pushes: RefusedPushes) -> None:
    pushes.add(push(path="/\x1b[31m" + "x" * 5000, serial="SN\x00"), detail="")
    (row,) = pushes.take()[0]
    assert len(row.path) == MAX_SHOWN
    assert row.path.isprintable()
    assert row.serial.isprintable()


def test_a_sample_is_taken_of_what_could_not_be_read_and_of_nothing_else(pushes: RefusedPushes) -> None:
    for status in (400, 403, 404, 405, 408, 413, 415, 429, 431, 503):
        pushes.add(push(reason=f"reason {status}", status=status), detail="", body=b"{")
    assert sorted(kept.status for kept in pushes._samples.values()) == [400, 413, 415]


def test_another_sample_of_a_peer_and_reason_is_taken_after_an_hour(
    store: SqliteStore, pushes: RefusedPushes, clock: Clock
) -> None:
    for text in (b"first", b"second"):
        pushes.add(push(), detail="", body=text)
        flush(pushes, store)
    assert [
        kept.content for row in store.refused() if (kept := store.refusal_sample(row.sample_id or 0))
    ] == [b"first"]
    clock.at += 3600
    pushes.add(push(), detail="", body=b"third")
    flush(pushes, store)
    assert [
        kept.content for row in store.refused() if (kept := store.refusal_sample(row.sample_id or 0))
    ] == [b"third"]


def test_samples_in_memory_are_dropped_when_somebody_is_erased(
    store: SqliteStore, pushes: RefusedPushes
) -> None:
    pushes.add(push(), detail="", body=b"{")
    pushes.forget()
    flush(pushes, store)
    (row,) = store.refused()
    assert row.sample_id is None


def test_the_log_tells_each_peer_and_reason_once_and_nothing_of_the_push(
    pushes: RefusedPushes, clock: Clock
) -> None:
    with capture_logs() as lines:
        for _ in range(5):
            pushes.add(
                push(serial="SN-1", path="/Record/王五"), detail="about 王五", body='{"name":"王五"'.encode()
            )
            clock.at += 60
        pushes.add(push(reason="slow", status=408), detail="")
        clock.at += 3600
        pushes.add(push(), detail="")
    told = {"event": "push.refused", "log_level": "warning", "peer": "10.0.0.1"}
    assert lines == [
        {**told, "reason": "no JSON", "status": 400, "serial": "SN-1"},
        {**told, "reason": "slow", "status": 408, "serial": ""},
        {**told, "reason": "no JSON", "status": 400, "serial": ""},
    ]


def test_the_log_has_so_many_lines_a_minute_and_then_how_many_there_were_more(
    pushes: RefusedPushes, clock: Clock
) -> None:
    with capture_logs() as lines:
        for number in range(LINES_A_MINUTE + 7):
            pushes.add(push(peer=f"10.1.{number}"), detail="")
        assert len(lines) == LINES_A_MINUTE
        clock.at += 60
        pushes.take()
        pushes.add(push(peer=f"10.1.{LINES_A_MINUTE}"), detail="")
    assert lines[LINES_A_MINUTE]["count"] == 7
    assert lines[-1]["peer"] == f"10.1.{LINES_A_MINUTE}"
