"""The filters of the pages, as they stand in an address, in a form and in a question to the store.

Rules:

* An address says what the page shows, so it can be kept and sent. Times in it are local (``2024-05-06T08:00``), of
  the site that is filtered by, else of the first one; with a zone (``…Z``) they are that instant.
* What finds a person by what they are called is sealed there (``q``, ``name``); an address with plain words in it is
  answered by one with sealed ones.
* A value that makes no sense does not filter, and is said so: a link may come from elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

from msgspec.structs import replace

from gatepost.console.desk import View
from gatepost.console.forms import Form
from gatepost.console.seal import MARK
from gatepost.store.days import parse_time, zone
from gatepost.store.people import Kind, PeopleQuery
from gatepost.store.places import Place, place_of
from gatepost.store.store import RecordQuery

__all__ = ["ATTENDANCE", "Filters", "KINDS", "PEOPLE", "RECORDS", "SEALED"]

SEALED = ("q", "name")

KINDS = get_args(Kind)
"""Whose attendance may be asked for; the first of them is what is shown without a choice."""

_CODED = {
    "type": "user_type",
    "recognition_type": "recognition_type",
    "abnormal_type": "abnormal_type",
    "entry_mode": "entry_mode",
}
_WORDS = {
    "passed": {"true": "records.passed", "false": "records.refused"},
    "has_image": {"true": "records.with_image", "false": "records.without_image"},
    "strangers": {"true": "frame.yes"},
    "outside_time": {"true": "frame.yes"},
    "order": {"oldest": "records.oldest"},
    "kind": {kind: f"attendance.{kind}" for kind in KINDS},
}
_TITLES = {
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
}

PEOPLE = ("q", "site", "group", "type")
"""The filters of people, in the order of the form."""

ATTENDANCE = ("q", "site", "group", "kind")
"""The filters of attendance, in the order of the form."""

RECORDS = tuple(name for name in _TITLES if name not in ("group", "type", "kind"))
"""The filters of records."""


class Filters:
    """What an address filters by."""

    def __init__(self, view: View, names: Sequence[str] = RECORDS) -> None:
        self._view = view
        self._names = names
        self._given = {name: view.query[name].strip() for name in names if view.query.get(name, "").strip()}
        self.wrong: list[str] = []
        """Names of filters whose value makes no sense."""
        self.unsealed = False
        """A seal could not be opened: another receiver's."""
        self.plain: dict[str, str] = {}
        """What a form shows: opened."""
        for name, value in self._given.items():
            opened = self._open(name, value)
            if opened is not None:
                self.plain[name] = opened
        self.place: Place | None = None
        if terminal := self.plain.get("terminal"):
            with view.desk.store.reading() as db:
                self.place = place_of(db, terminal)

    def _open(self, name: str, value: str) -> str | None:
        if name not in SEALED or not value.startswith(MARK):
            return value
        opened = self._view.desk.seal.open(value)
        if opened is None:
            self.unsealed = True
        return opened

    def sealed(self) -> str | None:
        """The address to go to instead, if somebody's name stands in this one."""
        found = {
            name: self._view.desk.seal.close(value)
            for name, value in self._given.items()
            if name in SEALED and not value.startswith(MARK)
        }
        return self._view.here(**found).removeprefix(self._view.root) if found else None

    def address(self, path: str, form: Form, **kept: object) -> str:
        """What a form asks for, as an address without the proxy's prefix."""
        values = {name: str(value) for name, value in kept.items() if value}
        for name in self._names:
            value = form(name)
            if value:
                values[name] = self._view.desk.seal.close(value) if name in SEALED else value
        return self._view.at(path, **values).removeprefix(self._view.root)

    @property
    def zone(self) -> str:
        """Whose clocks ``since`` and ``until`` are of."""
        if self.place is not None:
            return self.place.timezone
        if (site_id := self._number("site")) is not None:
            for site in self._view.desk.store.sites():
                if site.id == site_id:
                    return site.timezone
        return self._view.show.zone

    def records(self) -> RecordQuery:
        """The question to the store."""
        terminal: str | int | None = self.plain.get("terminal")
        if self.place is not None:
            terminal = self.place.id
        return RecordQuery(
            since=self._moment("since"),
            until=self._moment("until"),
            terminal=terminal,
            site_id=self._number("site"),
            person=self.plain.get("person"),
            name=self.plain.get("name"),
            job_number=self.plain.get("job_number"),
            recognition_type=self._number("recognition_type"),
            passed=self._flag("passed"),
            abnormal_type=self._number("abnormal_type"),
            entry_mode=self._number("entry_mode"),
            has_image=self._flag("has_image"),
            strangers=self._flag("strangers") or False,
            outside_time=self._flag("outside_time") or False,
            q=self.plain.get("q"),
            order="oldest" if self.plain.get("order") == "oldest" else "newest",
        )

    def people(self) -> PeopleQuery:
        """The question to the store, of people."""
        return PeopleQuery(
            q=self.plain.get("q"),
            site_id=self._number("site"),
            group=self.plain.get("group"),
            type=self._number("type"),
        )

    def attendance(self) -> PeopleQuery:
        """Return the question to the store, of people's attendance."""
        kind = self.plain.get("kind", KINDS[0])
        if kind not in KINDS:
            self._says_nothing("kind")
            kind = KINDS[0]
        return replace(self.people(), kind=kind)

    def chips(self) -> list[tuple[str, str, str]]:
        """What is filtered by: title, value in words, and the address without it."""
        words = self._view.words
        return [
            (words(_TITLES[name]), self._in_words(name, value), self._view.here(**{name: None}, cursor=None))
            for name, value in self.plain.items()
        ]

    @property
    def seldom(self) -> bool:
        """One of the filters is set that a form keeps folded."""
        usual = ("q", "since", "until", "terminal", "passed", "recognition_type")
        return any(name not in usual for name in self.plain)

    def as_query(self, **more: str) -> Mapping[str, str]:
        """As it stands in an address, for links that go on with it."""
        return self._given | more

    def _in_words(self, name: str, value: str) -> str:
        if name in _CODED and (code := self._number(name)) is not None:
            return self._view.show.code(_CODED[name], code)
        if (key := _WORDS.get(name, {}).get(value)) is not None:
            return self._view.words(key)
        if name in ("since", "until"):
            return self.clock(name).replace("T", " ")
        if name == "terminal" and self.place is not None:
            return self.place.label
        return value

    def clock(self, name: str) -> str:
        """Return a time of the address as the clocks of :attr:`zone` show it, or as it came if it is no time."""
        value = self.plain.get(name, "")
        if not value or (at := self._moment(name)) is None:
            return value
        here = at.astimezone(zone(self.zone)).replace(tzinfo=None)
        return here.isoformat(timespec="seconds" if here.second or here.microsecond else "minutes")

    def _number(self, name: str) -> int | None:
        value = self.plain.get(name)
        if value is None:
            return None
        if value.isascii() and value.removeprefix("-").isdigit() and len(value) < 18:
            return int(value)
        self._says_nothing(name)
        return None

    def _flag(self, name: str) -> bool | None:
        value: Any = self.plain.get(name)
        if value not in (None, "true", "false"):
            self._says_nothing(name)
        return {"true": True, "false": False}.get(value)

    def _moment(self, name: str) -> datetime | None:
        value = self.plain.get(name)
        if value is None:
            return None
        try:
            return parse_time(value, local=zone(self.zone))
        except ValueError:
            self._says_nothing(name)
            return None

    def _says_nothing(self, name: str) -> None:
        title = self._view.words(_TITLES[name])
        if title not in self.wrong:
            self.wrong.append(title)
