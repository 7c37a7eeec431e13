"""Views: the filters of a page, saved under a name, for oneself or for all users.

Rules:

* A view holds filters and no events: what it shows is asked for under the rights of the user who opens it. A shared
  view that filters by a site or a terminal that a user does not see is not listed for them. One of a terminal that was
  deleted stays listed: the page says that it is gone.
* Its owner, or who shared it, may change and delete it; so may an administrator of every site, if it is shared.
* A user may begin each page with one view.
* A user's own views are deleted when the user is disabled: accounts.py. Erasing a person deletes every view that finds
  them.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, get_args

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, and_, delete, func, or_, select, update

from gatepost.store.accounts.rows import Role
from gatepost.store.conversion.values import moment, text
from gatepost.store.dialect import insert
from gatepost.store.fold import alike, fold
from gatepost.store.interface import ForUser, Transactions
from gatepost.store.page_bytes import weight
from gatepost.store.schema import tables as t
from gatepost.store.terminals.registry import Conflict
from gatepost.store.terminals.terminal_labels import at_sites, terminals_named
from gatepost.store.turns import take_turns

__all__ = ["MAX_NAME", "MAX_VALUE", "PAGES", "PERIODS", "Page", "Reader", "SavedView", "SavedViews", "forget"]

MAX_NAME = 64
"""Characters of a name."""

MAX_VALUE = 1000
"""Characters of a filter."""

MAX_FILTERS = 2000
"""Characters of all filters of a view."""

MAX_VIEWS = 100
"""Of one user, and of all that are shared."""

PERIODS = ("today", "day", "week")
"""Values of the filter ``period``: since midnight, in the last 24 hours, in the last 7 days."""


class Page(Struct, frozen=True):
    """Describe a page of which filters are saved."""

    role: Role
    """That the page needs."""
    filters: tuple[str, ...]
    every_site: bool = False
    """The page is for users of every site."""


_RECORDS = (
    *(
        "q",
        "since",
        "until",
        "period",
        "terminal",
        "site",
        "person",
        "name",
        "job_number",
        "recognition_type",
    ),
    *("passed", "abnormal_type", "entry_mode", "has_image", "strangers", "outside_time", "order"),
)

PAGES: Mapping[str, Page] = {
    "live": Page("guard", ("site", "terminals")),
    "records": Page("viewer", _RECORDS),
    "alarms": Page("guard", ("since", "until", "terminal", "site", "code", "show")),
    "people": Page("viewer", ("q", "site", "group", "type")),
    "attendance": Page("viewer", ("q", "site", "group", "kind")),
    "statistics": Page("viewer", ("terminal", "site")),
    "terminals": Page("viewer", ("show", "q")),
    "quarantine": Page("viewer", ("terminal", "site")),
    "audit": Page("admin", ("actor", "action", "since", "until"), every_site=True),
}
"""The pages whose filters can be saved, by name."""

_WITHOUT_SERIAL = "without-serial"
_PERSONAL = ("q", "name", "person", "job_number")
_LADDER: tuple[Role, ...] = get_args(Role)


class Reader(Struct, frozen=True, kw_only=True):
    """Say who asks for views."""

    account_id: int | None
    """``None`` for a token that belongs to no user."""
    role: Role
    every_site: bool


class SavedView(Struct, frozen=True, kw_only=True):
    """Hold a view as a user sees it."""

    id: int
    page: str
    name: str
    filters: Mapping[str, str]
    is_shared: bool
    made_by: str
    made_at: datetime
    may_change: bool
    """Whether the user who asked may change and delete it."""
    is_start: bool
    """The page begins with it, for the user who asked."""

    @property
    def size(self) -> int:
        """Return what it counts with on a page: see page_bytes.py."""
        return weight(self.name, self.made_by, *self.filters.values(), row=512)


class _ForUser(ForUser, Transactions, Protocol):
    """The store as the user sees it, to change as well."""


class SavedViews:
    """Save views. Every method blocks; any thread may call it.

    Raises :class:`~gatepost.errors.StoreUnavailable`.
    """

    def __init__(self, store: _ForUser, reader: Reader) -> None:
        """``store`` is as the user sees it."""
        self._store = store
        self._reader = reader

    def all(self, page: str | None = None) -> list[SavedView]:
        """Return the user's own views and the shared ones, of all pages or of one, by page and name."""
        with self._store.reading() as db:
            return self._found(db, page=page)

    def view(self, view_id: int) -> SavedView | None:
        """Return one view; ``None`` if there is none that the user sees."""
        with self._store.reading() as db:
            return next(iter(self._found(db, view_id=view_id)), None)

    def save(
        self, page: str, name: str, filters: Mapping[str, str], *, shared: bool, by: str, now_ms: int
    ) -> SavedView:
        """Save a view. Raises ``ValueError``, and ``Conflict`` for a name that is taken."""
        owner = self._reader.account_id
        if owner is None and not shared:
            raise ValueError("shared: this token belongs to no user, so its views have to be shared")
        if page not in PAGES or not self._may_open(page):
            raise ValueError(f"page: choose one of {', '.join(filter(self._may_open, PAGES))}")
        values = {
            "account_id": None if shared else owner,
            "maker_id": owner,
            "page": page,
            **_named(name),
            "filters": _filters(page, filters),
            "made_by": by,
            "made_at_ms": now_ms,
        }
        v = t.saved_views.c
        with self._store.changing() as db:
            take_turns(db)
            self._check_name(db, page, values["name"])
            of_it = v.account_id.is_(None) if shared else v.account_id == owner
            if (
                db.execute(select(func.count()).select_from(t.saved_views).where(of_it)).scalar_one()
                >= MAX_VIEWS
            ):
                raise Conflict(f"there are {MAX_VIEWS} views already; delete one first")
            made = db.execute(t.saved_views.insert().values(values).returning(v.id)).scalar_one()
            return self._one(db, made)

    def change(
        self,
        view_id: int,
        *,
        name: str | None = None,
        filters: Mapping[str, str] | None = None,
        shared: bool | None = None,
    ) -> SavedView | None:
        """Change a view; ``None`` if there is none that the user may change.

        Raises as :meth:`save`. A shared view that is shared no more is the user's own.
        """
        v = t.saved_views.c
        with self._store.changing() as db:
            take_turns(db)
            found = next(iter(self._found(db, view_id=view_id)), None)
            if found is None or not found.may_change:
                return None
            values: dict[str, Any] = {}
            if name is not None and name != found.name:
                values |= _named(name)
                self._check_name(db, found.page, values["name"], but=view_id)
            if filters is not None:
                values["filters"] = _filters(found.page, filters)
            if shared is not None and shared != found.is_shared:
                if not shared and self._reader.account_id is None:
                    raise ValueError("shared: this token belongs to no user, so its views have to be shared")
                values["account_id"] = None if shared else self._reader.account_id
                if not shared:
                    starts = t.view_starts.c
                    others = starts.account_id != self._reader.account_id
                    db.execute(delete(t.view_starts).where(starts.view_id == view_id, others))
            if values:
                db.execute(update(t.saved_views).where(v.id == view_id).values(values))
            return self._one(db, view_id)

    def begin_with(self, view_id: int, *, start: bool) -> SavedView | None:
        """Begin its page with a view, or no more; ``None`` if there is none that the user sees.

        Raises ``ValueError`` for a token that belongs to no user.
        """
        account = self._reader.account_id
        if account is None:
            raise ValueError("start: this token belongs to no user, who could begin a page with a view")
        s = t.view_starts.c
        with self._store.changing() as db:
            found = next(iter(self._found(db, view_id=view_id)), None)
            if found is None:
                return None
            if start:
                new = insert(db, t.view_starts).values(account_id=account, page=found.page, view_id=view_id)
                db.execute(
                    new.on_conflict_do_update(
                        index_elements=["account_id", "page"], set_={"view_id": new.excluded.view_id}
                    )
                )
            else:
                db.execute(delete(t.view_starts).where(s.account_id == account, s.view_id == view_id))
            return self._one(db, view_id)

    def delete(self, view_id: int) -> SavedView | None:
        """Delete a view, and return it as it was; ``None`` if there is none that the user may change."""
        with self._store.changing() as db:
            found = next(iter(self._found(db, view_id=view_id)), None)
            if found is None or not found.may_change:
                return None
            _delete(db, [view_id])
        return found

    def _may_open(self, page: str) -> bool:
        known, reader = PAGES[page], self._reader
        return _LADDER.index(reader.role) >= _LADDER.index(known.role) and (
            reader.every_site or not known.every_site
        )

    def _one(self, db: Connection, view_id: int) -> SavedView:
        return next(iter(self._found(db, view_id=view_id, whole=True)))

    def _found(
        self, db: Connection, *, page: str | None = None, view_id: int | None = None, whole: bool = False
    ) -> list[SavedView]:
        """Return views that the user sees. ``whole``: also one with filters that the user does not see."""
        v, s = t.saved_views.c, t.view_starts.c
        account = self._reader.account_id
        mine = (
            v.account_id.is_(None)
            if account is None
            else or_(v.account_id.is_(None), v.account_id == account)
        )
        wanted = [mine, v.page.in_([name for name in PAGES if self._may_open(name)])]
        if page is not None:
            wanted.append(v.page == page)
        if view_id is not None:
            wanted.append(v.id == view_id)
        starts = t.saved_views.outerjoin(
            t.view_starts, and_(s.view_id == v.id, s.account_id == (-1 if account is None else account))
        )
        rows = db.execute(
            select(t.saved_views, s.view_id.label("start"))
            .select_from(starts)
            .where(*wanted)
            .order_by(v.page, v.folded_name, v.id)
        ).all()
        found = map(self._row, rows)
        return [one for one in found if whole or not one.is_shared or self._sees(db, one.filters)]

    def _sees(self, db: Connection, filters: Mapping[str, str]) -> bool:
        """Return whether the user sees the site and the terminals of a filter."""
        visible = self._store.visible
        if visible.sites is None:
            return True
        site, terminal = filters.get("site"), filters.get("terminal")
        if site is not None and site not in map(str, visible.sites):
            return False
        if terminal not in (None, _WITHOUT_SERIAL) and not terminals_named(db, terminal, visible):
            return False
        ids = [int(one) for one in filters.get("terminals", "").split(",") if _is_id(one)]
        there = select(t.terminals.c.id).where(t.terminals.c.id.in_(ids))
        seen = set(db.execute(there.where(*at_sites(visible))).scalars())
        return set(db.execute(there).scalars()) <= seen

    def _check_name(self, db: Connection, page: str, name: str, *, but: int = 0) -> None:
        v, account = t.saved_views.c, self._reader.account_id
        seen = (
            v.account_id.is_(None)
            if account is None
            else or_(v.account_id.is_(None), v.account_id == account)
        )
        same = select(v.id).where(seen, v.page == page, v.folded_name == alike(name), v.id != but)
        if db.execute(same).first() is not None:
            raise Conflict(f"name: there is a view `{name}` of this page already; choose another name")

    def _row(self, row: Row[Any]) -> SavedView:
        reader = self._reader
        is_shared = row.account_id is None
        made = reader.account_id is not None and reader.account_id in (row.account_id, row.maker_id)
        return SavedView(
            id=row.id,
            page=row.page,
            name=row.name,
            filters=msgspec.json.decode(row.filters, type=dict[str, str]),
            is_shared=is_shared,
            made_by=row.made_by,
            made_at=moment(row.made_at_ms),
            may_change=made or (is_shared and reader.role == "admin" and reader.every_site),
            is_start=row.start is not None,
        )


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _named(name: str) -> dict[str, Any]:
    """Return the columns of a name."""
    name = " ".join(text(name).split())
    if not 1 <= len(name) <= MAX_NAME:
        raise ValueError(f"name: use 1 to {MAX_NAME} characters")
    return {"name": name, "folded_name": alike(name)}


def _filters(page: str, filters: Mapping[str, str]) -> str:
    """Return the column of filters. Raises ``ValueError`` for one that the page does not have."""
    known = PAGES[page].filters
    if unknown := sorted(set(filters) - set(known)):
        raise ValueError(f"filters: {page} has no `{unknown[0]}`; it has {', '.join(known)}")
    kept = {name: text(filters[name]).strip() for name in known if filters.get(name, "").strip()}
    if long := [name for name, value in kept.items() if len(value) > MAX_VALUE]:
        raise ValueError(f"filters: {long[0]} has more than {MAX_VALUE} characters")
    if sum(map(len, kept.values())) > MAX_FILTERS:
        raise ValueError(f"filters: together they have more than {MAX_FILTERS} characters")
    if kept.get("period", PERIODS[0]) not in PERIODS:
        raise ValueError(f"filters: period is one of {', '.join(PERIODS)}")
    return msgspec.json.encode(kept).decode()


def forget(db: Connection, texts: Iterable[str]) -> None:
    """Delete the views that find a person by one of these texts: names and numbers of an erased person."""
    known = {fold(one) for one in texts if one}
    v = t.saved_views.c
    gone: Sequence[int] = [
        row.id
        for row in db.execute(select(v.id, v.filters))
        if any(
            fold(value) in known
            for name, value in msgspec.json.decode(row.filters, type=dict[str, str]).items()
            if name in _PERSONAL
        )
    ]
    _delete(db, gone)


def _delete(db: Connection, ids: Sequence[int]) -> None:
    """Delete views, and that pages begin with them."""
    db.execute(delete(t.view_starts).where(t.view_starts.c.view_id.in_(ids)))
    db.execute(delete(t.saved_views).where(t.saved_views.c.id.in_(ids)))
