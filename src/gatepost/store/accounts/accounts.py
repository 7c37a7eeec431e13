"""Keep accounts, their sessions, API tokens, and the log of what they did.

Rules:

* Secrets are never stored: of a password its Argon2 hash, of a session and a token a digest.
* What is withdrawn is gone at once: nothing here is cached. A token that an account made may no more than the account
  may at that moment.
* Names are compared as :mod:`gatepost.store.accounts.names` says.
* What is done is kept in the audit log: :mod:`gatepost.store.accounts.audit_log`.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import UNSET, UnsetType
from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import IntegrityError

from gatepost.errors import StoreError
from gatepost.store.accounts.audit_log import AuditLog
from gatepost.store.accounts.names import checked_name, folded_name
from gatepost.store.accounts.rows import (
    TOKENS,
    AccountRow,
    Role,
    TokenRow,
    account_of,
    sites_column,
    size_of,
    token_of,
)
from gatepost.store.interface import Page, Transactions
from gatepost.store.page_bytes import paged
from gatepost.store.schema import tables as t
from gatepost.store.server_keys import kept
from gatepost.store.terminals.registry import Conflict
from gatepost.store.turns import take_turns
from gatepost.store.versions import Versions, check_version

__all__ = ["Accounts"]

_TOUCH_MS = 60_000
"""How exact "last used" is; a write for every request would be paid by the ingest."""


class Accounts(AuditLog):
    """Everything about who may look, on either database. Every method blocks; any thread may call it."""

    def __init__(self, store: Transactions, *, withdrawn: Callable[[], None] = lambda: None) -> None:
        """``withdrawn`` is called, by any thread, after a change by which someone may see less."""
        super().__init__(store)
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
            values: dict[str, Any] = {"role": role, "sites": sites_column(db, sites)}
            row = db.execute(
                update(t.accounts).where(wanted).values(values).returning(*t.accounts.c)
            ).one_or_none()
        if row is not None:
            self._withdrawn()
            return account_of(row)
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
                values["sites"] = sites_column(db, sites)
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
        return None if row is None else account_of(row)

    def accounts_page(self, cursor: str | None, *, beside: int = 0) -> Page[AccountRow]:
        """Return as many accounts as are on a page, in the order of :meth:`accounts`.

        ``beside``: bytes that each has besides. Raises :class:`~gatepost.store.cursor.BadCursor`.
        """
        return paged(
            self.accounts(),
            lambda row: size_of(row) + beside,
            order="accounts",
            place=lambda row: row.id,
            cursor=cursor,
        )

    def accounts(self) -> list[AccountRow]:
        """Every account, by name."""
        with self._store.reading() as db:
            return [account_of(row) for row in db.execute(select(t.accounts).order_by(t.accounts.c.name))]

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
        versions: Versions = None,
    ) -> AccountRow | None:
        """Change an account, and end every session of it; with ``disabled`` its tokens and own views.

        ``None`` if there is none.

        Raises :class:`~gatepost.store.terminals.registry.Conflict` if nobody with a password would be left who may
        administrate every site, and for a password of an account of an identity provider; ``ValueError`` for sites that
        there are not; :class:`~gatepost.store.versions.ChangedMeanwhile` where its version is none of ``versions``.
        """
        values: dict[str, Any] = {}
        if role is not None:
            values["role"] = role
        if password is not None:
            values |= {"password": password, "must_change": int(must_change)}
        if disabled is not None:
            values["disabled_at_ms"] = now_ms if disabled else None
        with self._store.changing() as db:
            take_turns(db)  # or two administrators could disable each other, and leave none
            if versions is not None:
                before = db.execute(select(t.accounts).where(t.accounts.c.id == account_id)).one_or_none()
                if before is not None:
                    check_version(versions, account_of(before).version)
            if sites is not UNSET:
                values["sites"] = sites_column(db, sites)
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
        return account_of(row)

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
            row["sites"] = sites_column(db, sites)
            # Locked, so that an account that is being disabled gets no token afterwards.
            owner = select(t.accounts.c.disabled_at_ms).where(t.accounts.c.id == account_id).with_for_update()
            if account_id is not None and db.execute(owner).scalar_one() is not None:
                raise Conflict("this account is disabled; enable it first")
            new = t.api_tokens.insert().values(row).returning(t.api_tokens.c.id)
            made = db.execute(new).scalar_one()
            return token_of(db.execute(TOKENS.where(t.api_tokens.c.id == made)).one())

    def token(self, digest: bytes, *, now_ms: int) -> TokenRow | None:
        """Return the token with this digest; ``None`` if there is none, it is over, withdrawn, or has no site left."""
        c = t.api_tokens.c
        with self._store.reading() as db:
            row = db.execute(TOKENS.where(c.digest == digest)).one_or_none()
        if row is None or row.revoked_at_ms is not None:
            return None
        if row.expires_at_ms is not None and now_ms >= row.expires_at_ms:
            return None
        if row.last_used_ms is None or now_ms - row.last_used_ms >= _TOUCH_MS:
            with self._store.changing() as db:
                db.execute(update(t.api_tokens).where(c.id == row.id).values(last_used_ms=now_ms))
        found = token_of(row)
        return None if found.sites == () else found

    def tokens_page(self, cursor: str | None, *, beside: int = 0) -> Page[TokenRow]:
        """Return as many tokens as are on a page, in the order of :meth:`tokens`.

        ``beside``: bytes that each has besides. Raises :class:`~gatepost.store.cursor.BadCursor`.
        """
        return paged(
            self.tokens(),
            lambda row: size_of(row) + beside,
            order="tokens",
            place=lambda row: row.id,
            cursor=cursor,
        )

    def tokens(self) -> list[TokenRow]:
        """Return every token, withdrawn ones too, latest first."""
        with self._store.reading() as db:
            rows = db.execute(TOKENS.order_by(t.api_tokens.c.id.desc()))
            return [token_of(row) for row in rows]

    def revoke_token(self, token_id: int, *, now_ms: int) -> bool:
        """Revoke a token. Return false if there is no such token that is still valid."""
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
