"""The filters of records and alarms, once: of their lists, their exports, and whatever else chooses among them."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar.di import NamedDependency, Provide
from litestar.exceptions import ClientException
from litestar.params import FromQuery, QueryParameter, SkipValidation

from gatepost.receiver.api.shapes import MAX_ID, moment, word
from gatepost.store.store import AlarmQuery, RecordQuery

__all__ = ["ALARM_FILTERS", "RECORD_FILTERS", "AlarmFilters", "RecordFilters", "told"]

Code = Annotated[int | None, QueryParameter(ge=-MAX_ID, le=MAX_ID)]
Id = Annotated[int | None, QueryParameter(ge=1, le=MAX_ID)]

RecordFilters = NamedDependency[SkipValidation[RecordQuery]]
AlarmFilters = NamedDependency[SkipValidation[AlarmQuery]]


def _record_filters(
    since: FromQuery[str | None] = None,
    until: FromQuery[str | None] = None,
    terminal: FromQuery[str | None] = None,
    terminal_id: Id = None,
    site_id: Id = None,
    person: FromQuery[str | None] = None,
    name: FromQuery[str | None] = None,
    job_number: FromQuery[str | None] = None,
    recognition_type: Code = None,
    passed: FromQuery[bool | None] = None,
    abnormal_type: Code = None,
    entry_mode: Code = None,
    has_image: FromQuery[bool | None] = None,
    strangers: FromQuery[bool] = False,
    outside_time: FromQuery[bool] = False,
    q: FromQuery[str | None] = None,
) -> RecordQuery:
    return RecordQuery(
        since=moment("since", since),
        until=moment("until", until),
        terminal=_which(terminal, terminal_id),
        site_id=site_id,
        person=word("person", person),
        name=word("name", name),
        job_number=word("job_number", job_number),
        recognition_type=recognition_type,
        passed=passed,
        abnormal_type=abnormal_type,
        entry_mode=entry_mode,
        has_image=has_image,
        strangers=strangers,
        outside_time=outside_time,
        q=word("q", q),
    )


def _alarm_filters(
    # `state` is a name that the framework keeps for itself
    alarm_state: Annotated[
        Literal["open", "clear_failed", "cleared"] | None, QueryParameter(name="state")
    ] = None,
    terminal: FromQuery[str | None] = None,
    terminal_id: Id = None,
    acknowledged: FromQuery[bool | None] = None,
    since: FromQuery[str | None] = None,
    until: FromQuery[str | None] = None,
) -> AlarmQuery:
    return AlarmQuery(
        state=alarm_state,
        terminal=_which(terminal, terminal_id),
        acknowledged=acknowledged,
        since=moment("since", since),
        until=moment("until", until),
    )


RECORD_FILTERS = {"filters": Provide(_record_filters, sync_to_thread=False)}
ALARM_FILTERS = {"filters": Provide(_alarm_filters, sync_to_thread=False)}


def _which(serial: str | None, number: int | None) -> str | int | None:
    serial = word("terminal", serial)
    if serial is not None and number is not None:
        raise ClientException("terminal and terminal_id say the same; give one of them")
    return number if serial is None else serial


_PERSONAL = frozenset({"person", "name", "job_number", "q"})


def told(query: RecordQuery | AlarmQuery) -> dict[str, object]:
    """The filters in use, for the audit log: whom somebody looked for is not repeated there."""
    used: dict[str, object] = {}
    nothing = type(query)()
    for name in query.__struct_fields__:
        value = getattr(query, name)
        if name in ("limit", "cursor", "include_held") or value == getattr(nothing, name):
            continue
        if name in _PERSONAL:
            used[name] = "given"
        else:
            used[name] = value if isinstance(value, str | int | bool) else str(value)
    return used
