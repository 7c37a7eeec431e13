"""``gatepost tokens``: make, list and withdraw API tokens, also while the receiver runs."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatepost.cli_text import app_options, t
from gatepost.errors import SettingsError

if TYPE_CHECKING:
    from gatepost.store.accounts.accounts import Accounts
    from gatepost.store.forwarding.destinations import Feed

__all__ = ["Data", "Database", "app", "opened_accounts", "opened_store"]

app = typer.Typer(
    **app_options(), help=t("API tokens: make, list, withdraw.", "API 令牌：创建、列出、吊销。")
)

Data = Annotated[Path | None, typer.Option("--data", help=t("The data folder.", "数据目录。"))]
Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        envvar="GATEPOST_DATABASE",
        help=t(
            "postgresql://…, if the receiver stores there.", "postgresql://…，接收端使用 PostgreSQL 时给出。"
        ),
    ),
]


class RoleName(StrEnum):
    """Name what a token permits."""

    guard = "guard"
    viewer = "viewer"
    operator = "operator"
    admin = "admin"


@contextmanager
def opened_accounts(data: Path | None, database: str | None) -> Iterator[Accounts]:
    """Open the accounts of a receiver that may be running. Raises :class:`~gatepost.errors.GatepostError`."""
    from gatepost.store.accounts.accounts import Accounts

    with opened_store(data, database) as store:
        yield Accounts(store)


@contextmanager
def opened_store(data: Path | None, database: str | None) -> Iterator[Feed]:
    """Open the store of a receiver that may be running, for what :mod:`gatepost.store.sqlite.second_process` names.

    Raises :class:`~gatepost.errors.GatepostError`.
    """
    if data is not None and not database:
        from gatepost.store.sqlite.second_process import opened

        with opened(data) as beside:
            yield beside
        return
    if not database:
        raise SettingsError("data", "is missing; give the receiver's --data, or its --database")
    from gatepost.store.postgres.store import PostgresStore

    store = PostgresStore.open(database)
    try:
        yield store
    finally:
        store.close()


def _now_ms() -> int:
    return int(time.time() * 1000)


@app.command(help=t("Make a token and print it, once.", "创建令牌并打印一次。"))
def create(
    role: Annotated[RoleName, typer.Option("--role", help=t("What it may do.", "权限角色。"))],
    name: Annotated[str, typer.Option("--name", help=t("What it is for.", "用途。"))],
    data: Data = None,
    database: Database = None,
    site: Annotated[
        list[str] | None,
        typer.Option(
            "--site",
            help=t(
                "Name of a site that it sees, and no other; may be repeated. Without it: every site.",
                "可查看的站点名称，可重复给出；不给出则可查看全部站点。",
            ),
        ),
    ] = None,
    days: Annotated[
        int | None, typer.Option("--days", min=1, help=t("It expires after so many days.", "多少天后失效。"))
    ] = None,
) -> None:
    """Print the secret and nothing else, so that a script can keep it."""
    from gatepost.receiver.auth.issuing import issue_token
    from gatepost.store.accounts.names import COMMAND_LINE

    now = _now_ms()
    expires = None if days is None else int((datetime.now(UTC) + timedelta(days=days)).timestamp() * 1000)
    with opened_accounts(data, database) as accounts:
        sites = [_site(accounts, one) for one in site] if site else None
        secret, row = issue_token(
            accounts, name, role.value, by=COMMAND_LINE, now_ms=now, expires_at_ms=expires, sites=sites
        )
        accounts.note(
            now_ms=now,
            actor=COMMAND_LINE,
            address="",
            action="token.created",
            subject=name,
            detail={"role": role.value, "id": row.id, "sites": row.sites},
        )
    typer.echo(secret)


@app.command(
    help=t(
        "Make a token with which another program pushes for several terminals.",
        "创建供其他程序代表多台终端推送的令牌。",
    )
)
def source(
    name: Annotated[
        str,
        typer.Option(
            "--name", help=t("What pushes with it, one word.", "使用该令牌推送的程序名称，不含空格。")
        ),
    ],
    serial: Annotated[
        list[str] | None,
        typer.Option(
            "--serial",
            help=t(
                "Serial for which it may push; may be repeated; SN-2* stands for all that begin so.",
                "可代表的终端序列号，可重复给出；SN-2* 表示以 SN-2 开头的全部序列号。",
            ),
        ),
    ] = None,
    site: Annotated[
        list[str] | None,
        typer.Option(
            "--site",
            help=t(
                "Name of a site for whose terminals it may push; may be repeated. With --data or --database.",
                "站点名称，可代表该站点的全部终端，可重复给出；需同时给出 --data 或 --database。",
            ),
        ),
    ] = None,
    apart: Annotated[
        bool,
        typer.Option(
            "--apart",
            help=t(
                "Its terminals and sites are its own: they are called NAME/SERIAL and NAME/SITE here.",
                "其终端与站点自成一体，在本接收端显示为 NAME/序列号 与 NAME/站点。",
            ),
        ),
    ] = False,
    data: Data = None,
    database: Database = None,
) -> None:
    """Print the secret, and the line for the setting. Nothing is stored."""
    words = _source_words(name, serial or [], apart=apart)
    if not words and not site:
        raise SettingsError("serial", "is missing; say for which serials or sites it may push")
    if site:
        with opened_accounts(data, database) as accounts:
            words += [f"site:{_site(accounts, one)}" for one in site]
    secret = secrets.token_urlsafe(24)
    entry = _source_entry(name, secret, words)
    typer.echo(secret)
    typer.echo(
        t(
            "Add this line to the receiver's settings, and start it again:",
            "请将以下内容加入接收端的设置并重新启动：",
        ),
        err=True,
    )
    typer.echo(f"source_tokens = [{json.dumps(entry, ensure_ascii=False)}]", err=True)


def _source_words(name: str, serials: Sequence[str], *, apart: bool) -> list[str]:
    """Return the serials of an entry of ``source_tokens``. Raises :class:`~gatepost.errors.SettingsError`."""
    from gatepost.receiver.terminals.sources import APART

    words = [*(serials or (["*"] if apart else [])), *([APART] if apart else [])]
    if len(name.split()) != 1 or any(len(one.split()) != 1 for one in words):
        raise SettingsError("name", "and each serial must be one word without blanks")
    return words


def _source_entry(name: str, secret: str, words: Sequence[str]) -> str:
    """Return an entry of the setting ``source_tokens``. Raises :class:`~gatepost.errors.SettingsError`."""
    from gatepost.receiver.terminals.sources import sources_of, token_digest

    entry = " ".join([name, token_digest(secret).hex(), *words])
    sources_of([entry])
    return entry


def _site(accounts: Accounts, name: str) -> int:
    found = accounts.site_named(name)
    if found is None:
        raise SettingsError(
            "site", f"cannot be {name}: there is no site of this name; the console lists them"
        )
    return found


@app.command("list", help=t("List the tokens.", "列出令牌。"))
def list_tokens(data: Data = None, database: Database = None) -> None:
    """Print a line a token: number, role, sites, name, when it was last used, and whether it is still good."""
    now = datetime.now(UTC)
    with opened_accounts(data, database) as accounts:
        for row in accounts.tokens():
            state = t("good", "有效")
            if row.revoked_at is not None:
                state = t("withdrawn", "已吊销")
            elif row.expires_at is not None and row.expires_at <= now:
                state = t("expired", "已过期")
            used = (
                t("never used", "从未使用")
                if row.last_used_at is None
                else f"{row.last_used_at:%Y-%m-%d %H:%M}Z"
            )
            sites = t("every site", "全部站点") if row.sites is None else ",".join(map(str, row.sites))
            typer.echo(f"{row.id}\t{row.role}\t{sites}\t{row.name}\t{used}\t{state}")


@app.command(help=t("Withdraw a token.", "吊销令牌。"))
def revoke(
    number: Annotated[
        int, typer.Argument(help=t("Number of the token, from `gatepost tokens list`.", "列表中的编号。"))
    ],
    data: Data = None,
    database: Database = None,
) -> None:
    """Withdraw a token; the next request with it is refused."""
    from gatepost.store.accounts.names import COMMAND_LINE

    now = _now_ms()
    with opened_accounts(data, database) as accounts:
        if not accounts.revoke_token(number, now_ms=now):
            raise SettingsError("number", f"cannot be {number}: there is no such token that is still good")
        accounts.note(now_ms=now, actor=COMMAND_LINE, address="", action="token.revoked", subject=str(number))
