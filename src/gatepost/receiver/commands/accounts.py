"""Define ``gatepost accounts``: list, unlock, and a new password, also while the receiver runs."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from gatepost.cli_text import app_options, t
from gatepost.errors import SettingsError
from gatepost.receiver.commands.tokens import Data, Database, opened_accounts

__all__ = ["app"]

app = typer.Typer(
    **app_options(), help=t("Accounts: list, unlock, new password.", "账号：列出、解锁、重设密码。")
)

Name = Annotated[str, typer.Argument(metavar="NAME", help=t("Name of the account.", "账号名。"))]


@app.command("list", help=t("List the accounts.", "列出账号。"))
def list_accounts(data: Data = None, database: Database = None) -> None:
    """Print a line for each account: number, role, name and state."""
    with opened_accounts(data, database) as accounts:
        for row in accounts.accounts():
            state = t("may log in", "可登录")
            if row.disabled:
                state = t("disabled", "已禁用")
            elif row.must_change:
                state = t("must change the password", "须修改密码")
            typer.echo(f"{row.id}\t{row.role}\t{row.name}\t{state}")


@app.command(
    help=t(
        "Let an account log in from unknown devices for ten minutes, whatever was tried before.",
        "十分钟内允许账号在未知设备上登录，不受此前失败次数限制。",
    )
)
def unlock(name: Name, data: Data = None, database: Database = None) -> None:
    """Lift the limit of an account; the limit of the network that it is tried from stays."""
    from gatepost.store.accounts.names import COMMAND_LINE

    now_ms = int(time.time() * 1000)
    with opened_accounts(data, database) as accounts:
        row = accounts.unlock(name, now_ms=now_ms)
        if row is None:
            raise _unknown(name)
        accounts.note(
            now_ms=now_ms, actor=COMMAND_LINE, address="", action="account.unlocked", subject=row.name
        )
    typer.echo(t(f"{row.name}: log in within ten minutes", f"{row.name}：请在十分钟内登录"))
    if row.disabled:
        typer.echo(
            t(
                "the account is disabled; an administrator can let it in again",
                "该账号已禁用，需由管理员启用",
            ),
            err=True,
        )


@app.command(
    "reset-password",
    help=t(
        "Make up a password and print it, once; it has to be changed at the next login.",
        "生成新密码并打印一次；下次登录后须修改。",
    ),
)
def reset_password(name: Name, data: Data = None, database: Database = None) -> None:
    """Print the password and nothing else. Ends the account's sessions, and unlocks it."""
    import argon2

    from gatepost.receiver.auth.issuing import made_up_password
    from gatepost.store.accounts.names import COMMAND_LINE

    now_ms, password = int(time.time() * 1000), made_up_password()
    encoded = argon2.PasswordHasher().hash(password)
    with opened_accounts(data, database) as accounts:
        row = accounts.unlock(name, now_ms=now_ms)
        if row is None:
            raise _unknown(name)
        accounts.change(row.id, now_ms=now_ms, password=encoded, must_change=True)
        accounts.note(
            now_ms=now_ms, actor=COMMAND_LINE, address="", action="account.password_reset", subject=row.name
        )
    typer.echo(password)


def _unknown(name: str) -> SettingsError:
    return SettingsError("name", f"cannot be {name!r}: there is no such account; see gatepost accounts list")
