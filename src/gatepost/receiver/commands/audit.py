"""Define ``gatepost audit``: verify and export the audit log, also while the receiver runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from gatepost.cli_text import app_options, t
from gatepost.errors import SettingsError
from gatepost.receiver.commands.tokens import Data, Database, opened_accounts

if TYPE_CHECKING:
    from gatepost.store.accounts.audit_chain import Link

__all__ = ["app"]

app = typer.Typer(**app_options(), help=t("The audit log: verify, export.", "审计日志：校验、导出。"))


@app.command(help=t("Tell whether every line is as it was written.", "检查每一行是否与写入时一致。"))
def verify(
    data: Data = None,
    database: Database = None,
    known: Annotated[
        str,
        typer.Option(
            "--known",
            metavar="ID:DIGEST",
            help=t(
                "A line that was verified before; the log has to hold it.",
                "此前校验过的一行；日志中必须仍有该行。",
            ),
        ),
    ] = "",
) -> None:
    """Print the last line's number and digest, to be kept elsewhere.

    Exit code 1: a line does not fit, or lines are gone that retention did not take.
    """
    with opened_accounts(data, database) as accounts:
        found = accounts.verify_audit(_known(known))
    head = f"{found.head.id}:{found.head.digest.hex()}"
    if not found.is_left_noted:
        typer.echo(
            t(
                f"lines up to {found.left.id} are gone, and no line says that retention took them;"
                f" {found.lines} lines after them fit, the last is {head}",
                f"第 {found.left.id} 行及之前的行已不在，且没有记录表明它们因保留期限到期而删除；"
                f"其后 {found.lines} 行一致，最后一行 {head}",
            )
        )
        raise typer.Exit(1)
    if found.broken is None:
        typer.echo(
            t(f"{found.lines} lines fit; the last is {head}", f"{found.lines} 行全部一致；最后一行 {head}")
        )
        return
    typer.echo(
        t(
            f"line {found.broken} does not fit: it or the one before was changed, removed or put in later;"
            f" the last that fits is {head}",
            f"第 {found.broken} 行不一致：该行或其前一行被修改、删除，或为事后插入；最后一致的一行为 {head}",
        )
    )
    raise typer.Exit(1)


@app.command(help=t("Print the log as JSON lines, oldest first.", "以 JSON 逐行输出日志，最早的在前。"))
def export(data: Data = None, database: Database = None) -> None:
    """Print first what the oldest line continues; ``detail`` is the JSON text that the digest is of."""
    with opened_accounts(data, database) as accounts:
        for number, (before, row) in enumerate(accounts.audit_lines()):
            if number == 0:
                typer.echo(_line({"after": before.id, "digest": before.digest.hex()}))
            if row is not None:
                typer.echo(_line({**row._asdict(), "digest": row.digest.hex()}))


def _line(values: dict[str, object]) -> str:
    return msgspec.json.encode(values).decode()


def _known(text: str) -> Link | None:
    from gatepost.store.accounts.audit_chain import Link

    if not text:
        return None
    found = re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", text)
    if found is None:
        raise SettingsError("known", "is ID:DIGEST, as gatepost audit verify prints it")
    return Link(int(found[1]), bytes.fromhex(found[2]))
