"""Make, pause, resume and delete destinations.

Secrets come from a file, from ``GATEPOST_FORWARD_SECRET`` or from a prompt, and never from the arguments: other users
of the machine can read those.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from gatepost.cli_text import t
from gatepost.errors import SettingsError
from gatepost.receiver.commands.config import ConfigOption
from gatepost.receiver.commands.forward.common import (
    AsJson,
    FilterText,
    Which,
    item_of,
    note,
    one,
    opened,
    parsed,
    print_json,
)
from gatepost.receiver.commands.tokens import Data, Database

__all__ = ["SECRET", "add", "delete", "pause", "resume"]

SECRET = "GATEPOST_FORWARD_SECRET"  # noqa: S105 - the name of a variable
"""The environment variable with the secret of a destination that is made."""


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help=t("Its name.", "名称。"))],
    url: Annotated[str, typer.Option("--url", help=t("Its address.", "目标地址。"))],
    kind: Annotated[str, typer.Option("--kind", help=t("Its kind.", "目标类型。"))] = "webhook",
    shape: Annotated[
        str, typer.Option("--shape", help=t("cloudevents, flat or push.", "cloudevents、flat 或 push。"))
    ] = "cloudevents",
    chosen: FilterText = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="OPTION=JSON",
            help=t(
                "Another option, such as batch=64 or order='\"terminal\"'; may be repeated.",
                "其他选项，例如 batch=64 或 order='\"terminal\"'；可重复给出。",
            ),
        ),
    ] = None,
    secret_file: Annotated[
        Path | None,
        typer.Option(
            "--secret-file",
            help=t(
                "A file with the signing secret of a webhook, the password of mqtt, kafka and mail, or the token"
                " of another kind.",
                "保存密钥的文件：webhook 为签名密钥，mqtt、kafka 和邮件为密码，其他类型为令牌。",
            ),
        ),
    ] = None,
    secrets_file: Annotated[
        Path | None,
        typer.Option(
            "--secrets-file",
            help=t(
                'A JSON file with further secrets, such as {"headers": {"Authorization": "…"}}.',
                '保存其他密钥的 JSON 文件，例如 {"headers": {"Authorization": "…"}}。',
            ),
        ),
    ] = None,
    ask_secret: Annotated[
        bool, typer.Option("--ask-secret", help=t("Ask for the secret.", "提示输入密钥。"))
    ] = False,
    paused: Annotated[
        bool, typer.Option("--paused", help=t("Send nothing before `resume`.", "在 `resume` 之前不发送。"))
    ] = False,
    data: Data = None,
    database: Database = None,
    config: ConfigOption = None,
    as_json: AsJson = False,
) -> None:
    """Make a destination that is sent what arrives from now on; a secret that is made is printed, once."""
    secret = _secret(secret_file, asks=ask_secret)
    told = {"kind": kind, "url": url, "shape": shape, **dict(map(_option, options or ()))}
    if chosen is not None:
        told["filter"] = parsed("filter", chosen)
    others = None
    if secrets_file is not None:
        others = parsed("secrets_file", secrets_file.read_text(encoding="utf-8"))
    with opened(data, database, config) as here:
        row, made = here.admin.create(name, told, secret=secret or None, others=others, enabled=not paused)
        from gatepost.receiver.api.destinations.audit import host_of

        note(here.accounts, "destination.created", row, kind=row.kind, host=host_of(row))
    if as_json:
        print_json({"id": row.id, "name": row.name, "secret": made})
        return
    typer.echo(t(f"made {row.name}, number {row.id}", f"已创建 {row.name}，编号 {row.id}"))
    if made is not None:
        typer.echo(
            t(
                f"signing secret, not shown again: {made}",
                f"签名密钥（只显示这一次）：{made}",
            )
        )


def _secret(file: Path | None, *, asks: bool) -> str | None:
    """Return the secret that a person types, or that of the file, or that of the environment."""
    secret = os.environ.get(SECRET) if file is None else file.read_text(encoding="utf-8").strip()
    return str(typer.prompt(t("Secret", "密钥"), hide_input=True)) if asks else secret


def _option(text: str) -> tuple[str, Any]:
    name, is_given, value = text.partition("=")
    if not is_given:
        raise SettingsError("set", f"must be like batch=64, not {name}")
    return name, parsed(name, value)


def pause(which: Which, data: Data = None, database: Database = None, as_json: AsJson = False) -> None:
    """Pause a destination with its replays, or one replay by its number."""
    with opened(data, database) as here:
        row = one(here.destinations, which)
        changed = here.admin.pause(row.id)
        note(here.accounts, "destination.paused", row)
        if as_json and changed is not None:
            print_json(item_of(here.destinations, changed))


def resume(which: Which, data: Data = None, database: Database = None, as_json: AsJson = False) -> None:
    """Resume what was paused, or what said that it wants no more."""
    with opened(data, database) as here:
        row = one(here.destinations, which)
        changed = here.admin.resume(row.id)
        note(here.accounts, "destination.resumed", row)
        if as_json and changed is not None:
            print_json(item_of(here.destinations, changed))


def delete(
    which: Which,
    yes: Annotated[bool, typer.Option("--yes", help=t("Do not ask for confirmation.", "不再确认。"))] = False,
    data: Data = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Delete it with its replays and dead letters; what waits is not sent."""
    with opened(data, database) as here:
        row = one(here.destinations, which)
        counts = row.ledger
        if not yes:
            typer.confirm(
                t(
                    f"Delete {row.name}? {counts.waiting} events that wait are not sent, {counts.dead} dead letters"
                    " are forgotten.",
                    f"删除 {row.name}？{counts.waiting} 个等待的事件将不再发送，{counts.dead} 条死信将被清除。",
                ),
                abort=True,
                err=as_json,
            )
        here.destinations.delete(row.id)
        note(here.accounts, "destination.deleted", row, **msgspec.structs.asdict(counts))
    if as_json:
        print_json({"id": row.id, "name": row.name, **msgspec.structs.asdict(counts)})
