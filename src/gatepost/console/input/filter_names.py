"""Names of the filters of each page, and the keys of their words."""

from __future__ import annotations

from typing import get_args

from gatepost.store.people.person import Kind

__all__ = [
    "ALARMS",
    "ATTENDANCE",
    "CODED",
    "INSIDE",
    "KINDS",
    "PEOPLE",
    "PLACES",
    "RECORDS",
    "SEALED",
    "TITLES",
    "WITHOUT_SERIAL",
    "WORDS",
]

SEALED = ("q", "name")

KINDS = get_args(Kind)
"""The kinds of people in attendance. The first one is the default."""

WITHOUT_SERIAL = "without-serial"
"""In place of a terminal: those of which no serial is known."""

CODED = {
    "type": "user_type",
    "recognition_type": "recognition_type",
    "abnormal_type": "abnormal_type",
    "entry_mode": "entry_mode",
    "code": "alarm_code",
}
"""Which table of codes a filter's value is of."""

WORDS = {
    "passed": {"true": "records.passed", "false": "records.refused"},
    "has_image": {"true": "records.with_image", "false": "records.without_image"},
    "strangers": {"true": "frame.yes"},
    "outside_time": {"true": "frame.yes"},
    "order": {"oldest": "records.oldest"},
    "kind": {kind: f"attendance.{kind}" for kind in KINDS},
}
"""The key of the words for a value of a filter."""

TITLES = {
    "q": "records.search",
    "since": "records.since",
    "until": "records.until",
    "terminal": "records.terminal",
    "site": "records.site",
    "person": "records.user_id",
    "name": "records.name",
    "job_number": "records.job_number",
    "recognition_type": "records.who",
    "passed": "records.result",
    "abnormal_type": "records.abnormal",
    "entry_mode": "records.how",
    "has_image": "records.image",
    "strangers": "records.strangers",
    "outside_time": "records.outside_time",
    "order": "records.order",
    "group": "people.group",
    "type": "records.type",
    "kind": "attendance.kind",
    "code": "alarms.code",
    "at": "inside.at",
}
"""The key of the title of each filter."""


ALARMS = ("since", "until", "terminal", "site", "code")
"""The filters of alarms."""

PLACES = ("terminal", "site")
"""The filters of statistics and of the quarantine."""

PEOPLE = ("q", "site", "group", "type")
"""The filters of people, in the order of the form."""

ATTENDANCE = ("q", "site", "group", "kind")
"""The filters of attendance, in the order of the form."""

INSIDE = ("site", "group", "kind", "at")
"""The filters of who is inside, in the order of the form."""

RECORDS = tuple(name for name in TITLES if name not in ("group", "type", "kind", "at", "code"))
"""The filters of records."""
