"""The filters of the pages, as they stand in an address, in a form and in a question to the store.

Rules:

* An address says what the page shows, so it can be kept and sent. Times in it are local (``2024-05-06T08:00``), of
  the site that is filtered by, else of the first one; with a zone (``…Z``) they are that instant.
* What finds a person by what they are called is sealed there (``q``, ``name``); an address with plain words in it is
  answered by one with sealed ones.
* A value that makes no sense does not filter, and is said so: a link may come from elsewhere. A file is refused then,
  for a file does not show what it leaves out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from litestar.exceptions import ClientException
from msgspec.structs import replace

from gatepost.console.desk import View
from gatepost.console.input.filter_names import CODED, KINDS, RECORDS, SEALED, TITLES, WITHOUT_SERIAL, WORDS
from gatepost.console.input.forms import Form
from gatepost.console.input.seal import MARK
from gatepost.receiver.api.events.filters import site_named
from gatepost.store.interface import AlarmQuery, QuarantineQuery, RecordQuery, SiteRow
from gatepost.store.local_days import parse_time, zone
from gatepost.store.page_bytes import fitting, weight
from gatepost.store.people.groups import Group, groups_named
from gatepost.store.people.inside import InsideQuery
from gatepost.store.people.person import PeopleQuery
from gatepost.store.query.statistics import StatisticsQuery
from gatepost.store.terminals.terminal_labels import TerminalLabel

__all__ = ["CHOICE_BYTES", "Filters"]

CHOICE_BYTES = 1024 * 1024
"""Of what can be chosen in one field. It takes some 4,000 terminals; others are asked for by their own page."""

_OPTION_BYTES = 128
"""Bytes of an option in a page, without its texts."""


class Filters:
    """Hold what an address filters by."""

    def __init__(self, view: View, names: Sequence[str] = RECORDS, *, groups: Sequence[Group] = ()) -> None:
        """Read the filters. ``groups``: those that there are, where one can be filtered by."""
        self.groups = groups
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
        self._places: list[TerminalLabel] = []
        self._terminals: list[TerminalLabel] = []
        if "terminal" in names:
            self._look_up_terminals()
        self.sites: list[SiteRow] = view.store.sites() if "site" in names else []
        self.site = self._chosen_site()

    def _look_up_terminals(self) -> None:
        """Read all terminals, and which of them are meant."""
        asked = self.plain.get("terminal")
        store = self._view.store
        self._places = store.all_labels()
        meant = set() if asked in (None, WITHOUT_SERIAL) else set(store.terminals_named(asked))
        self._terminals = [place for place in self._places if place.id in meant]

    def _chosen_site(self) -> SiteRow | None:
        asked = self.plain.get("site")
        if asked is None:
            return None
        by_id = next((site for site in self.sites if str(site.id) == asked), None)  # as the form has it
        site = by_id or site_named(self.sites, asked)
        if site is None:
            self._says_nothing("site")
        return site

    def _open(self, name: str, value: str) -> str | None:
        if name not in SEALED or not value.startswith(MARK):
            return value
        opened = self._view.desk.seal.open(value)
        if opened is None:
            self.unsealed = True
        return opened

    def sealed(self) -> str | None:
        """Return the address to go to instead, if this one has a person's name in it."""
        found = {
            name: self._view.desk.seal.close(value)
            for name, value in self._given.items()
            if name in SEALED and not value.startswith(MARK)
        }
        return self._view.here(**found).removeprefix(self._view.root) if found else None

    def address(self, path: str, form: Form, **kept: object) -> str:
        """Return what a form asks for, as an address without the proxy's prefix."""
        values = {name: str(value) for name, value in kept.items() if value}
        for name in self._names:
            value = form(name)
            if value:
                values[name] = self._view.desk.seal.close(value) if name in SEALED else value
        if not values and form("view"):
            values["view"] = "all"  # no filter, and not the view that the page begins with
        return self._view.at(path, **values).removeprefix(self._view.root)

    @property
    def zone(self) -> str:
        """Whose clocks ``since`` and ``until`` are of."""
        zones = {place.timezone for place in self._terminals}
        if len(zones) == 1:
            return zones.pop()
        return self._view.show.zone if self.site is None else self.site.timezone

    def _where(self) -> dict[str, Any]:
        """Return what every question to the store has about terminals and sites."""
        terminal = self.plain.get("terminal")
        without_serial = terminal == WITHOUT_SERIAL
        return {
            "terminal": None if without_serial else terminal,
            "without_serial": without_serial,
            "site_id": None if self.site is None else self.site.id,
        }

    def for_file(self, *others: str, wrong: Sequence[str] = ()) -> None:
        """Refuse a file of what would not be filtered as asked; call it after the question is made.

        ``others``: what the address may have besides filters. ``wrong``: which of them make no sense. Raises
        ``ClientException``, which is a 400.
        """
        taken = (*self._names, *others, "view")
        wrong = [*self.wrong, *wrong, *(name for name in self._view.query if name not in taken)]
        if self.unsealed:
            wrong += [self._view.words(TITLES[name]) for name in self._given if name not in self.plain]
        if wrong:
            raise ClientException(f"no file is made, because these filters make no sense: {', '.join(wrong)}")

    def records(self) -> RecordQuery:
        """Return the query for the store."""
        return RecordQuery(
            **self._where(),
            since=self._moment("since"),
            until=self._moment("until"),
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

    def alarms(self, **more: Any) -> AlarmQuery:
        """Return the question to the store, of alarms."""
        return AlarmQuery(
            **self._where(),
            since=self._moment("since"),
            until=self._moment("until"),
            code=self._number("code"),
            **more,
        )

    def quarantine(self, **more: Any) -> QuarantineQuery:
        """Return the question to the store, of the quarantine."""
        return QuarantineQuery(**self._where(), **more)

    def statistics(self, first: date, last: date) -> StatisticsQuery:
        """Return the question to the store, of statistics."""
        return StatisticsQuery(**self._where(), first=first, last=last)

    def people(self) -> PeopleQuery:
        """Return the query for people in the store."""
        return PeopleQuery(
            q=self.plain.get("q"),
            site_id=None if self.site is None else self.site.id,
            group=self.plain.get("group"),
            type=self._number("type"),
        )

    def inside(self) -> InsideQuery:
        """Return the question to the store, of who is inside. A time to come is taken for now."""
        now = self._view.show.now
        kind = self.plain.get("kind", "all")
        if kind not in KINDS:
            self._says_nothing("kind")
        at = self._moment("at")
        if at is not None and at > now:
            self._says_nothing("at")
            at = None
        return InsideQuery(
            at=at or now,
            is_now=at is None,
            site_id=None if self.site is None else self.site.id,
            group=self.plain.get("group"),
            kind=next((one for one in KINDS if one == kind), "all"),
        )

    def attendance(self) -> PeopleQuery:
        """Return the question to the store, of people's attendance."""
        kind = self.plain.get("kind", KINDS[0])
        if kind not in KINDS:
            self._says_nothing("kind")
            kind = KINDS[0]
        return replace(self.people(), kind=kind)

    def chips(self) -> list[tuple[str, str, str]]:
        """Return what is filtered by: title, value in words, and the address without it."""
        words = self._view.words
        found = [
            (words(TITLES[name]), self._in_words(name, value), self._view.here(**{name: None}, cursor=None))
            for name, value in self.plain.items()
        ]
        return [chip for chip in found if chip[0] not in self.wrong]

    def site_options(self) -> list[tuple[int, str]]:
        """Return the sites to choose from."""
        return [(site.id, site.name) for site in self.sites]

    def group_options(self) -> list[tuple[str, str]]:
        """Return the groups to choose from, value and name, as many as fit; and what the address has besides."""
        listed = self.groups[: fitting([2 * group.size for group in self.groups], CHOICE_BYTES)]
        found = [(group.value, self._group_name(group)) for group in listed]
        asked = self.plain.get("group")
        if asked is not None and self.group_value not in [value for value, _ in found]:
            found.append((asked, self._in_words("group", asked)))
        return found

    @property
    def group_value(self) -> str | None:
        """Return the value of the group that is chosen."""
        asked = self.plain.get("group")
        found = groups_named(self.groups, asked) if asked is not None else []
        return found[0].value if len(found) == 1 else asked

    def terminal_options(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Return the terminals to choose from, by site: value and name.

        Held terminals have nothing to show. The serial stands beside names that several have. There are as many as fit
        on a page; the others are found by their own page.
        """
        names = self._labels()
        by_site: dict[str, list[tuple[str, str]]] = {}
        shown = [place for place in self._places if place.state != "held"]
        shown.sort(key=lambda each: (each.site, each.label.casefold(), each.id))
        options = [(place.site, _value(place), _label(place, names)) for place in shown]
        sizes = [weight(value, label, row=_OPTION_BYTES) for _, value, label in options]
        for site, value, label in options[: fitting(sizes, CHOICE_BYTES)]:
            by_site.setdefault(site, []).append((value, label))
        return list(by_site.items())

    def _labels(self) -> Counter[str]:
        """Return how many terminals are called so."""
        return Counter(place.label for place in self._places)

    @property
    def terminal_value(self) -> str | None:
        """Return the value of the terminal that is chosen; a name of several, or an unknown serial, as it came."""
        if len(self._terminals) == 1 and self._terminals[0].state != "held":
            return _value(self._terminals[0])
        return self.plain.get("terminal")

    @property
    def other_terminal(self) -> tuple[str, str] | None:
        """Return what the address asks for that is none of :meth:`terminal_options`: value and name."""
        asked = self.plain.get("terminal")
        listed = len(self._terminals) == 1 and self._terminals[0].state != "held"
        if asked is None or asked == WITHOUT_SERIAL or listed:
            return None
        return asked, self._in_words("terminal", asked)

    @property
    def seldom(self) -> bool:
        """One of the filters is set that a form keeps folded."""
        usual = ("q", "since", "until", "terminal", "passed", "recognition_type")
        return any(name not in usual for name in self.plain)

    def as_query(self, **more: str) -> Mapping[str, str]:
        """As it stands in an address, for links that go on with it."""
        return self._given | more

    def _in_words(self, name: str, value: str) -> str:
        if name in CODED and (code := self._number(name)) is not None:
            return self._view.show.code(CODED[name], code)
        if (key := WORDS.get(name, {}).get(value)) is not None:
            return self._view.words(key)
        if name in ("since", "until", "at"):
            return self.clock(name).replace("T", " ")
        if name == "terminal":
            if value == WITHOUT_SERIAL:
                return self._view.words("records.without_serial")
            return _label(self._terminals[0], self._labels()) if len(self._terminals) == 1 else value
        if name == "site" and self.site is not None:
            return self.site.name
        if name == "group":
            return " · ".join(map(self._group_name, groups_named(self.groups, value))) or value
        return value

    def _group_name(self, group: Group) -> str:
        return group.name.strip() or self._view.words("people.unnamed_group", id=group.id)

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
        title = self._view.words(TITLES[name])
        if title not in self.wrong:
            self.wrong.append(title)


def _value(place: TerminalLabel) -> str:
    """Return what an address has for a terminal."""
    return place.serial or f"#{place.id}"


def _label(place: TerminalLabel, names: Mapping[str, int]) -> str:
    """Return what a terminal is called, with its serial where several are called so."""
    return f"{place.label} ({_value(place)})" if names[place.label] > 1 else place.label
