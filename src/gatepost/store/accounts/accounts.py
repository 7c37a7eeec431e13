"""Keep accounts, their sessions, API tokens, and the log of what they did.

Rules:

* Secrets are never stored: of a password its Argon2 hash, of a session and a token a digest.
* What is withdrawn is gone at once: nothing here is cached. A token that an account made may no more than the account
  may at that moment.
* Names are compared by their folded form (NFKC, without case, runs of blanks as one). The names under which the
  program itself writes into the audit log are taken.
* The audit log only grows. Nothing changes a line of it; the retention that its owner set takes whole lines off
  its old end. Its lines are chained: :mod:`gatepost.store.accounts.audit_chain`.
"""

import re
import secrets
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, cast, get_args

import msgspec
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import ColumnElement, Connection, Row, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from gatepost.errors import SettingsError, StoreError
from gatepost.store.accounts import audit_chain
from gatepost.store.accounts.audit_chain import Link, Verified
from gatepost.store.conversion.rows import moment, text
from gatepost.store.interface import Counted, Page, Transactions
from gatepost.store.page_bytes import bytes_of, fitting, paged, weight
from gatepost.store.query.counting import COUNT_MOST, counted
from gatepost.store.schema import tables as t
from gatepost.store.server_keys import kept
from gatepost.store.terminals.registry import Conflict

__all__ = [
    "COMMAND_LINE",
    "PROGRAM",
    "TOKEN_PREFIX",
    "UNKNOWN",
    "AccountRow",
    "Accounts",
    "AuditRow",
    "Role",
    "TokenRow",
    "checked_name",
    "folded_name",
]

Role = Literal["guard", "viewer", "operator", "admin"]

PROGRAM = "gatepost"
"""The actor of what the receiver does by itself."""

COMMAND_LINE = "command line"
"""The actor of what is done by a command on the machine."""

UNKNOWN = "unknown"
"""The actor of a login that was refused."""

TOKEN_PREFIX = "token:"  # noqa: S105 - no password
"""How the actors of tokens begin."""

_INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Unicode's categories of characters that are not shown."""

_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Other characters that are not shown: those of Unicode's Default_Ignorable_Code_Point, and the empty Braille one."""

_LOOKS = str.maketrans(
    # Latin, Cyrillic, Greek, Armenian and signs, each with what it looks like, also as a capital.
    "i1|0авԁегһіјкӏмнпорԛѕтуцԝхɡαβεηικμνορτυχωօոսցı∶꞉ː",
    "llloabderhljklmhnopqstyuwxgabenlkmnoptuxwonugl:::",
)

_TOUCH_MS = 60_000
"""How exact "last used" is; a write for every request would be paid by the ingest."""


class AccountRow(Struct, frozen=True, kw_only=True):
    """Somebody who can log in."""

    id: int
    name: str
    role: Role
    password: str
    """Its Argon2 hash; empty for an account of an identity provider."""
    created_at: datetime
    disabled: bool
    must_change: bool
    """The program made the password up: it is good for a change of it only."""
    unlocked_at: datetime | None
    """When a command on the machine unlocked it."""
    sites: tuple[int, ...] | None = None
    """The sites that they see; ``None``: every site."""
    subject: str | None = None
    """Issuer and subject at an identity provider, where they log in; ``None``: they have a password here."""


class TokenRow(Struct, frozen=True, kw_only=True):
    """A program that can ask, with the rights that it has now: at most those of its account."""

    id: int
    name: str
    role: Role
    created_at: datetime
    created_by: str
    account_id: int | None
    """Whose account it came from, also by way of another token; ``None``: from the command line."""
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    sites: tuple[int, ...] | None = None
    """As of an account; empty: its account has none of its sites any more."""


class AuditRow(Struct, frozen=True, kw_only=True):
    """Who did what, to what, from where."""

    id: int
    at: datetime
    actor: str
    address: str
    action: str
    subject: str
    detail: dict[str, Any]


def folded_name(name: str) -> str:
    """Return the form in which names are compared: NFKC without case, and every run of blanks as one."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split())


def _skeleton(folded: str) -> str:
    """Return what is the same of names that look the same."""
    return folded.translate(_LOOKS)


_RESERVED = frozenset(map(_skeleton, (PROGRAM, COMMAND_LINE, UNKNOWN)))


def checked_name(name: str) -> str:
    """Return the name of an account or a token as it is stored.

    Raises :class:`~gatepost.errors.SettingsError` for a name of the program's own or one that looks like it, and for
    one that cannot be read.
    """
    folded = folded_name(name)
    is_hidden = _IGNORABLE.search(name) or any(unicodedata.category(one) in _INVISIBLE for one in name)
    if not folded or is_hidden:
        raise SettingsError("name", "must be a text that can be read, without invisible characters")
    skeleton = _skeleton(folded)
    if skeleton in _RESERVED or skeleton.startswith(TOKEN_PREFIX):
        raise SettingsError(
            "name", "is one under which the audit log has the program itself; give another one"
        )
    return text(name)


class Accounts:
    """Everything about who may look, on either database. Every method blocks; any thread may call it."""

    def __init__(self, store: Transactions, *, withdrawn: Callable[[], None] = lambda: None) -> None:
        """``withdrawn`` is called, by any thread, after a change by which someone may see less."""
        self._store = store
        self._withdrawn = withdrawn

    def key(self, name: str) -> bytes:
        """Return a key that every receiver on this store has, made where it is not there."""
        return kept(self._store, name, lambda: secrets.token_bytes(32))

    # Accounts

    def create(
        self,
        name: str,
        role: Role,
        password: str,
        *,
        now_ms: int,
        must_change: bool = False,
        sites: Sequence[int] | None = None,
    ) -> AccountRow:
        """Make an account. ``password`` is a hash, ``must_change``: of a password that the program made up.

        ``sites`` are those that it sees, ``None`` for every site. Raises
        :class:`~gatepost.store.terminals.registry.Conflict` if the name is taken, ``ValueError`` for sites that there
        are not, and as :func:`checked_name`.
        """
        values: dict[str, Any] = {
            "name": checked_name(name),
            "folded_name": folded_name(name),
            "role": role,
            "password": password,
            "created_at_ms": now_ms,
            "must_change": int(must_change),
        }
        return self._made(values, sites)

    def of_subject(
        self, subject: str, name: str, role: Role, *, now_ms: int, sites: Sequence[int] | None
    ) -> AccountRow:
        """Return the account of a subject at an identity provider, with this role and these sites from now on.

        Where there is none it is made, with this name. Raises as :meth:`create`.
        """
        wanted = t.accounts.c.subject == subject
        with self._store.changing() as db:
            values: dict[str, Any] = {"role": role, "sites": _checked(db, sites)}
            row = db.execute(
                update(t.accounts).where(wanted).values(values).returning(*t.accounts.c)
            ).one_or_none()
        if row is not None:
            self._withdrawn()
            return _account(row)
        new = {
            "name": checked_name(name),
            "folded_name": folded_name(name),
            "role": role,
            "password": "",
            "created_at_ms": now_ms,
            "must_change": 0,
            "subject": subject,
        }
        return self._made(new, sites)

    def _made(self, values: dict[str, Any], sites: Sequence[int] | None) -> AccountRow:
        name = values["name"]
        try:
            with self._store.changing() as db:
                values["sites"] = _checked(db, sites)
                new = db.execute(t.accounts.insert().values(values).returning(t.accounts.c.id)).scalar_one()
        except IntegrityError:
            raise Conflict(f"there is already an account called {name}") from None
        found = self.account(new)
        if found is None:
            raise StoreError(f"the account {name} was removed while it was made; make it again")
        return found

    def account(self, who: int | str) -> AccountRow | None:
        """By id or by name."""
        c = t.accounts.c
        wanted = c.id == who if isinstance(who, int) else c.folded_name == folded_name(who)
        with self._store.reading() as db:
            row = db.execute(select(t.accounts).where(wanted)).one_or_none()
        return None if row is None else _account(row)

    def accounts_page(self, cursor: str | None, *, beside: int = 0) -> Page[AccountRow]:
        """Return as many accounts as are on a page, in the order of :meth:`accounts`.

        ``beside``: bytes that each has besides. Raises :class:`~gatepost.store.cursor.BadCursor`.
        """
        return paged(
            self.accounts(),
            lambda row: _size(row) + beside,
            order="accounts",
            place=lambda row: row.id,
            cursor=cursor,
        )

    def accounts(self) -> list[AccountRow]:
        """Every account, by name."""
        with self._store.reading() as db:
            return [_account(row) for row in db.execute(select(t.accounts).order_by(t.accounts.c.name))]

    def change(
        self,
        account_id: int,
        *,
        now_ms: int,
        role: Role | None = None,
        password: str | None = None,
        must_change: bool = False,
        disabled: bool | None = None,
        sites: Sequence[int] | UnsetType | None = UNSET,
    ) -> AccountRow | None:
        """Change an account, and end every session of it; with ``disabled`` its tokens and own views.

        ``None`` if there is none.

        Raises :class:`~gatepost.store.terminals.registry.Conflict` if nobody with a password would be left who may
        administrate every site, and for a password of an account of an identity provider; ``ValueError`` for sites that
        there are not.
        """
        values: dict[str, Any] = {}
        if role is not None:
            values["role"] = role
        if password is not None:
            values |= {"password": password, "must_change": int(must_change)}
        if disabled is not None:
            values["disabled_at_ms"] = now_ms if disabled else None
        with self._store.changing() as db:
            if sites is not UNSET:
                values["sites"] = _checked(db, sites)
            if password is not None:
                subject = select(t.accounts.c.subject).where(t.accounts.c.id == account_id)
                if db.execute(subject).scalar_one_or_none() is not None:
                    raise Conflict("this account has no password here; it logs in at the identity provider")
            if values:
                db.execute(update(t.accounts).where(t.accounts.c.id == account_id).values(values))
            db.execute(delete(t.sessions).where(t.sessions.c.account_id == account_id))
            if disabled:
                c = t.api_tokens.c
                of_it = update(t.api_tokens).where(c.account_id == account_id, c.revoked_at_ms.is_(None))
                db.execute(of_it.values(revoked_at_ms=now_ms))
                own = select(t.saved_views.c.id).where(t.saved_views.c.account_id == account_id)
                s = t.view_starts.c
                db.execute(delete(t.view_starts).where(or_(s.account_id == account_id, s.view_id.in_(own))))
                db.execute(delete(t.saved_views).where(t.saved_views.c.account_id == account_id))
            admins = select(t.accounts.c.id).where(
                t.accounts.c.role == "admin",
                t.accounts.c.disabled_at_ms.is_(None),
                t.accounts.c.sites.is_(None),
                # Others may be let in no more at any time, by someone at the provider.
                t.accounts.c.subject.is_(None),
            )
            if db.execute(admins.limit(1)).first() is None:
                raise Conflict(
                    "this is the last administrator of every site with a password; make another one first"
                )
        self._withdrawn()
        return self.account(account_id)

    def unlock(self, name: str, *, now_ms: int) -> AccountRow | None:
        """Note that an account is unlocked now; ``None`` if there is none."""
        wanted = t.accounts.c.folded_name == folded_name(name)
        with self._store.changing() as db:
            db.execute(update(t.accounts).where(wanted).values(unlocked_at_ms=now_ms))
        return self.account(name)

    # Sessions

    def open_session(
        self,
        account_id: int,
        digest: bytes,
        *,
        now_ms: int,
        expires_at_ms: int,
        address: str,
        id_token: str | None = None,
    ) -> None:
        """Remember a session, and forget those that are over. ``id_token``: with which it began at the provider."""
        row = {
            "digest": digest,
            "account_id": account_id,
            "created_at_ms": now_ms,
            "last_used_ms": now_ms,
            "expires_at_ms": expires_at_ms,
            "address": address,
            "id_token": id_token,
        }
        with self._store.changing() as db:
            db.execute(delete(t.sessions).where(t.sessions.c.expires_at_ms <= now_ms))
            db.execute(t.sessions.insert().values(row))

    def session(self, digest: bytes, *, now_ms: int, idle_ms: int, is_use: bool = True) -> AccountRow | None:
        """Return whose session this is; ``None`` if there is none, or it is over, unused for ``idle_ms``, or withdrawn.

        ``is_use``: it is used now.
        """
        s = t.sessions.c
        with self._store.reading() as db:
            row = db.execute(
                select(t.accounts, s.last_used_ms, s.expires_at_ms)
                .join(t.sessions, s.account_id == t.accounts.c.id)
                .where(s.digest == digest)
            ).one_or_none()
        if row is None or row.disabled_at_ms is not None:
            return None
        if now_ms >= row.expires_at_ms or now_ms - row.last_used_ms >= idle_ms:
            return None
        if is_use and now_ms - row.last_used_ms >= min(_TOUCH_MS, idle_ms // 2):
            with self._store.changing() as db:
                db.execute(update(t.sessions).where(s.digest == digest).values(last_used_ms=now_ms))
        return _account(row)

    def close_session(self, digest: bytes) -> tuple[str, str | None] | None:
        """End a session; return the name of its account and its ID token, if any; ``None`` if there was none."""
        s = t.sessions.c
        owner = select(t.accounts.c.name, s.id_token).join(t.sessions, s.account_id == t.accounts.c.id)
        with self._store.changing() as db:
            row = db.execute(owner.where(s.digest == digest)).one_or_none()
            db.execute(delete(t.sessions).where(s.digest == digest))
        if row is not None:
            self._withdrawn()
        return None if row is None else (row.name, row.id_token)

    def end_sessions_of(self, subject: str) -> None:
        """End every session of the account of a subject at an identity provider."""
        owned = select(t.accounts.c.id).where(t.accounts.c.subject == subject)
        with self._store.changing() as db:
            db.execute(delete(t.sessions).where(t.sessions.c.account_id.in_(owned)))
        self._withdrawn()

    # Tokens

    def create_token(
        self,
        name: str,
        role: Role,
        digest: bytes,
        *,
        by: str,
        account_id: int | None = None,
        now_ms: int,
        expires_at_ms: int | None = None,
        sites: Sequence[int] | None = None,
    ) -> TokenRow:
        """Make a token. ``sites`` are those that it sees, ``None`` for every site.

        Raises as :func:`checked_name`, ``ValueError`` for sites that there are not, and
        :class:`~gatepost.store.terminals.registry.Conflict` if the account is disabled.
        """
        row: dict[str, Any] = {
            "name": checked_name(name),
            "role": role,
            "digest": digest,
            "created_at_ms": now_ms,
            "created_by": by,
            "account_id": account_id,
            "expires_at_ms": expires_at_ms,
        }
        with self._store.changing() as db:
            row["sites"] = _checked(db, sites)
            # Locked, so that an account that is being disabled gets no token afterwards.
            owner = select(t.accounts.c.disabled_at_ms).where(t.accounts.c.id == account_id).with_for_update()
            if account_id is not None and db.execute(owner).scalar_one() is not None:
                raise Conflict("this account is disabled; enable it first")
            new = t.api_tokens.insert().values(row).returning(t.api_tokens.c.id)
            made = db.execute(new).scalar_one()
            return _token(db.execute(_TOKENS.where(t.api_tokens.c.id == made)).one())

    def token(self, digest: bytes, *, now_ms: int) -> TokenRow | None:
        """Return the token with this digest; ``None`` if there is none, it is over, withdrawn, or has no site left."""
        c = t.api_tokens.c
        with self._store.reading() as db:
            row = db.execute(_TOKENS.where(c.digest == digest)).one_or_none()
        if row is None or row.revoked_at_ms is not None:
            return None
        if row.expires_at_ms is not None and now_ms >= row.expires_at_ms:
            return None
        if row.last_used_ms is None or now_ms - row.last_used_ms >= _TOUCH_MS:
            with self._store.changing() as db:
                db.execute(update(t.api_tokens).where(c.id == row.id).values(last_used_ms=now_ms))
        found = _token(row)
        return None if found.sites == () else found

    def tokens_page(self, cursor: str | None, *, beside: int = 0) -> Page[TokenRow]:
        """Return as many tokens as are on a page, in the order of :meth:`tokens`.

        ``beside``: bytes that each has besides. Raises :class:`~gatepost.store.cursor.BadCursor`.
        """
        return paged(
            self.tokens(),
            lambda row: _size(row) + beside,
            order="tokens",
            place=lambda row: row.id,
            cursor=cursor,
        )

    def tokens(self) -> list[TokenRow]:
        """Every token, withdrawn ones too, latest first."""
        with self._store.reading() as db:
            rows = db.execute(_TOKENS.order_by(t.api_tokens.c.id.desc()))
            return [_token(row) for row in rows]

    def revoke_token(self, token_id: int, *, now_ms: int) -> bool:
        """False if there is no such token that is still good."""
        c = t.api_tokens.c
        statement = update(t.api_tokens).where(c.id == token_id, c.revoked_at_ms.is_(None))
        with self._store.changing() as db:
            done = db.execute(statement.values(revoked_at_ms=now_ms)).rowcount == 1
        if done:
            self._withdrawn()
        return done

    def site_named(self, name: str) -> int | None:
        """Return the id of the site with this name."""
        with self._store.reading() as db:
            return db.execute(select(t.sites.c.id).where(t.sites.c.name == name)).scalar_one_or_none()

    # The audit log

    def note(
        self,
        *,
        now_ms: int,
        actor: str,
        address: str,
        action: str,
        subject: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down what was done. ``detail`` has no name of a person, no number and no secret in it."""
        row = {
            "at_ms": now_ms,
            "actor": actor,
            "address": address,
            "action": action,
            "subject": subject,
            "detail": msgspec.json.encode(detail or {}).decode(),
        }
        with self._store.changing() as db:
            audit_chain.append(db, row)

    def verify_audit(self, known: Link | None = None) -> Verified:
        """Verify the audit log: see :func:`gatepost.store.accounts.audit_chain.verify`."""
        return audit_chain.verify(self._store, known)

    def audit_lines(self) -> Iterator[tuple[Link, Row[Any] | None]]:
        """Yield the audit log as :func:`gatepost.store.accounts.audit_chain.lines` does."""
        return audit_chain.lines(self._store)

    def count_audit(self, **filters: Any) -> Counted:
        """Count the lines of :meth:`audit` with these filters, up to 10,000."""
        lines = select(t.audit.c.id).where(*_audited(**filters)).limit(COUNT_MOST + 1).subquery()
        with self._store.reading() as db:
            return counted(db.execute(select(func.count()).select_from(lines)).scalar_one())

    def audit(
        self,
        *,
        limit: int = 100,
        cursor: str | None = None,
        action: str | None = None,
        actor: str | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
    ) -> Page[AuditRow]:
        """Latest first, from ``since_ms`` to before ``until_ms``. Raises ``ValueError`` for a cursor that is none."""
        c = t.audit.c
        size = bytes_of(c.detail, texts=(c.actor, c.subject))
        statement = select(c.id, size).order_by(c.id.desc()).limit(limit + 1)
        if cursor is not None:
            if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
                raise ValueError("cursor is none that this list gave; leave it out to start anew")
            statement = statement.where(c.id < int(cursor))
        wanted = _audited(action=action, actor=actor, since_ms=since_ms, until_ms=until_ms)
        statement = statement.where(*wanted)
        with self._store.reading() as db:
            sized = db.execute(statement).all()
            ids = [row.id for row in sized[: fitting([row.size for row in sized[:limit]])]]
            shown = select(t.audit).where(c.id.in_(ids)).order_by(c.id.desc())
            items = tuple(_audit(row) for row in db.execute(shown)) if ids else ()
        return Page(items, str(ids[-1]) if len(sized) > len(ids) else None)


def _audited(
    *,
    action: str | None = None,
    actor: str | None = None,
    since_ms: int | None = None,
    until_ms: int | None = None,
) -> list[ColumnElement[bool]]:
    """Return what is wanted of lines of the audit log."""
    c = t.audit.c
    wanted = {c.action: action, c.actor: actor}
    found = [column == value for column, value in wanted.items() if value is not None]
    found += [c.at_ms >= since_ms] if since_ms is not None else []
    return found + ([c.at_ms < until_ms] if until_ms is not None else [])


def _checked(db: Connection, sites: Sequence[int] | None) -> str | None:
    """Return the column of sites. Raises ``ValueError`` for one that there is not, and for none at all."""
    if sites is None:
        return None
    known = set(db.execute(select(t.sites.c.id)).scalars())
    if missing := sorted(set(sites) - known):
        raise ValueError(f"sites: there is no site {missing[0]}; see /api/v1/sites")
    if not sites:
        raise ValueError("sites: give one site at least, or leave it out for every site")
    return msgspec.json.encode(sorted(set(sites))).decode()


def _sites(row: Row[Any]) -> tuple[int, ...] | None:
    return None if row.sites is None else msgspec.json.decode(row.sites, type=tuple[int, ...])


def _account(row: Row[Any]) -> AccountRow:
    return AccountRow(
        id=row.id,
        name=row.name,
        role=row.role,
        password=row.password,
        created_at=moment(row.created_at_ms),
        disabled=row.disabled_at_ms is not None,
        must_change=bool(row.must_change),
        unlocked_at=moment(row.unlocked_at_ms),
        sites=_sites(row),
        subject=row.subject,
    )


_TOKENS = select(
    t.api_tokens, t.accounts.c.role.label("account_role"), t.accounts.c.sites.label("account_sites")
).outerjoin(t.accounts, t.accounts.c.id == t.api_tokens.c.account_id)

_LADDER: tuple[Role, ...] = get_args(Role)


def _token(row: Row[Any]) -> TokenRow:
    """Return a token with the rights that it has now: at most those of its account."""
    role, sites = row.role, _sites(row)
    if row.account_role is not None:
        role = min(role, row.account_role, key=_LADDER.index)
    if row.account_sites is not None:
        own = msgspec.json.decode(row.account_sites, type=tuple[int, ...])
        sites = own if sites is None else tuple(site for site in sites if site in own)
    return TokenRow(
        id=row.id,
        name=row.name,
        role=role,
        created_at=moment(row.created_at_ms),
        created_by=row.created_by,
        account_id=row.account_id,
        expires_at=moment(row.expires_at_ms),
        last_used_at=moment(row.last_used_ms),
        revoked_at=moment(row.revoked_at_ms),
        sites=sites,
    )


def _size(row: AccountRow | TokenRow) -> int:
    by = row.created_by if isinstance(row, TokenRow) else None
    return weight(row.name, by) + 20 * len(row.sites or ())


def _audit(row: Row[Any]) -> AuditRow:
    return AuditRow(
        id=row.id,
        at=moment(row.at_ms),
        actor=row.actor,
        address=row.address,
        action=row.action,
        subject=row.subject,
        detail=cast("dict[str, Any]", msgspec.json.decode(row.detail)),
    )
