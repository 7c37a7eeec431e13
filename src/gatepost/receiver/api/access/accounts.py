"""``/api/v1/accounts``, ``/api/v1/tokens`` and ``/api/v1/audit``: who may look, and who did what."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Response, delete, get, patch, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE, AnyRequest, TheAccess
from gatepost.receiver.api.shapes import MAX_ID, MAX_LIMIT, Listing, read
from gatepost.receiver.api.versions import ChangedByAnother, IfMatch, naming_who, tagged, wanted_versions
from gatepost.receiver.auth.audit_changes import changes
from gatepost.receiver.auth.issuing import issue_token
from gatepost.store.accounts.rows import AccountRow, Role, TokenRow

__all__ = ["AccountsController", "AuditController", "TokensController"]

Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^\S(.*\S)?$")]


Sites = Annotated[list[Annotated[int, Meta(ge=1, le=MAX_ID)]], Meta(min_length=1, max_length=1000)]


class AccountItem(Struct, frozen=True, kw_only=True):
    """Describe a user who can log in."""

    id: int
    name: str
    role: Role
    sites: list[int] | None
    """The ids of the sites that they see; ``null``: every site."""
    created_at: datetime
    disabled: bool
    version: str
    """A change with it as ``If-Match`` is refused where another one came first."""


class NewAccount(Struct, frozen=True, kw_only=True):
    name: Name
    role: Role
    password: str
    sites: Sites | None = None


class AccountChange(Struct, frozen=True, kw_only=True):
    """Change what is given. Every change ends the account's sessions; ``disabled`` withdraws its tokens, too."""

    role: Role | None = None
    password: str | None = None
    disabled: bool | None = None
    sites: Sites | UnsetType | None = UNSET
    """``null``: every site."""


class TokenItem(Struct, frozen=True, kw_only=True):
    """A program that can ask; its secret is told once, when it is made."""

    id: int
    name: str
    role: Role
    sites: list[int] | None
    """As of an account."""
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    token: str | None = None


class NewToken(Struct, frozen=True, kw_only=True):
    name: Name
    role: Role
    sites: Sites | None = None
    expires_at: datetime | None = None


class AuditItem(Struct, frozen=True, kw_only=True):
    """Describe who did what, to what, from where."""

    id: int
    at: datetime
    actor: str
    address: str
    action: str
    subject: str
    detail: dict[str, Any]


def _account(row: AccountRow) -> AccountItem:
    return AccountItem(
        id=row.id,
        name=row.name,
        role=row.role,
        sites=_listed(row.sites),
        created_at=row.created_at,
        disabled=row.disabled,
        version=row.version,
    )


def _token(row: TokenRow, secret: str | None = None) -> TokenItem:
    values = {name: getattr(row, name) for name in TokenRow.__struct_fields__ if name != "account_id"}
    return TokenItem(**values | {"sites": _listed(row.sites)}, token=secret)


def _listed(sites: Sequence[int] | None) -> list[int] | None:
    return None if sites is None else list(sites)


class AccountsController(Controller):
    path = "/api/v1/accounts"
    tags = ("accounts",)

    @get(opt=ADMIN | EVERY_SITE, sync_to_thread=True, summary="List accounts")
    def list_accounts(self, access: TheAccess, cursor: FromQuery[str | None] = None) -> Listing[AccountItem]:
        page = read(lambda: access.doors.accounts.accounts_page(cursor))
        return Listing([_account(row) for row in page.items], page.next_cursor)

    @post(opt=ADMIN | EVERY_SITE, sync_to_thread=True, summary="Make an account")
    def create_account(
        self, request: AnyRequest, data: JSONBody[NewAccount], access: TheAccess
    ) -> AccountItem:
        doors = access.doors
        encoded = doors.hash(data.password, name=data.name)
        row = read(
            lambda: doors.accounts.create(
                data.name, data.role, encoded, now_ms=doors.now_ms(), sites=data.sites
            )
        )
        access.note(request, "account.created", row.name, role=row.role, sites=_listed(row.sites))
        return _account(row)

    @patch(
        "/{account_id:int}",
        opt=ADMIN | EVERY_SITE,
        sync_to_thread=True,
        summary="Change an account",
        raises=[ChangedByAnother],
    )
    def change_account(
        self,
        request: AnyRequest,
        account_id: FromPath[int],
        data: JSONBody[AccountChange],
        access: TheAccess,
        if_match: IfMatch = None,
    ) -> Response[AccountItem]:
        wanted = wanted_versions(if_match)
        doors = access.doors
        account = doors.accounts.account(account_id) if 0 < account_id <= MAX_ID else None
        if account is None:
            raise NotFoundException("there is no such account")
        password = None if data.password is None else doors.hash(data.password, name=account.name)
        with naming_who(access, ["account.changed"], account.name):
            row = read(
                lambda: doors.accounts.change(
                    account_id,
                    now_ms=doors.now_ms(),
                    role=data.role,
                    password=password,
                    disabled=data.disabled,
                    sites=data.sites,
                    versions=wanted,
                )
            )
        if row is None:
            raise NotFoundException("there is no such account")
        changed = [name for name in ("role", "password", "disabled") if getattr(data, name) is not None]
        if data.sites is not UNSET:
            changed.append("sites")
        access.note(
            request,
            "account.changed",
            row.name,
            changed=changed,
            **{"role": row.role, "disabled": row.disabled, "sites": _listed(row.sites)}
            | changes(account, row, ("role", "disabled", "sites")),
        )
        return tagged(_account(row), row.version)


class TokensController(Controller):
    path = "/api/v1/tokens"
    tags = ("accounts",)

    @get(opt=ADMIN | EVERY_SITE, sync_to_thread=True, summary="List API tokens")
    def list_tokens(self, access: TheAccess, cursor: FromQuery[str | None] = None) -> Listing[TokenItem]:
        page = read(lambda: access.doors.accounts.tokens_page(cursor))
        return Listing([_token(row) for row in page.items], page.next_cursor)

    @post(opt=ADMIN | EVERY_SITE, sync_to_thread=True, summary="Make an API token")
    def create_token(self, request: AnyRequest, data: JSONBody[NewToken], access: TheAccess) -> TokenItem:
        """``token`` in the answer is the secret; it is not told again."""
        doors = access.doors
        expires = None
        if data.expires_at is not None:
            if data.expires_at.tzinfo is None:
                raise ClientException("expires_at needs a time zone, such as 2030-01-01T00:00:00Z")
            expires = int(data.expires_at.timestamp() * 1000)
        secret, row = read(
            lambda: issue_token(
                doors.accounts,
                data.name,
                data.role,
                by=request.user.name,
                owner_id=request.user.owner_id,
                now_ms=doors.now_ms(),
                expires_at_ms=expires,
                sites=data.sites,
            )
        )
        access.note(request, "token.created", row.name, role=row.role, id=row.id, sites=_listed(row.sites))
        return _token(row, secret)

    @delete("/{token_id:int}", opt=ADMIN | EVERY_SITE, sync_to_thread=True, summary="Withdraw an API token")
    def revoke_token(self, request: AnyRequest, token_id: FromPath[int], access: TheAccess) -> None:
        doors = access.doors
        if not 0 < token_id <= MAX_ID or not doors.accounts.revoke_token(token_id, now_ms=doors.now_ms()):
            raise NotFoundException("there is no such token, or it is withdrawn already")
        access.note(request, "token.revoked", str(token_id))


class AuditController(Controller):
    path = "/api/v1/audit"
    tags = ("audit",)

    @get(opt=ADMIN | EVERY_SITE, sync_to_thread=True, summary="Who did what, latest first")
    def list_audit(
        self,
        access: TheAccess,
        action: FromQuery[str | None] = None,
        actor: FromQuery[str | None] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT)] = 100,
        cursor: FromQuery[str | None] = None,
    ) -> Listing[AuditItem]:
        page = read(
            lambda: access.doors.accounts.audit(limit=limit, cursor=cursor, action=action, actor=actor)
        )
        names = AuditItem.__struct_fields__
        items = [AuditItem(**{name: getattr(row, name) for name in names}) for row in page.items]
        return Listing(items, page.next_cursor)
