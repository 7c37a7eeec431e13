"""``gatepost people inside``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gatepost.cli_text import language, t
from gatepost.client.commands.options import (
    DEFAULT_URL,
    AsJson,
    CaFile,
    Columns,
    FormatName,
    Language,
    Receiver,
    Site,
    Token,
    Zone,
    as_json,
    asking,
    clock,
    format_for,
    line,
    save,
)
from gatepost.items import InsideItem

__all__ = ["register"]


def inside(
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    site: Site = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            help=t("A time with its offset; now unless given.", "时刻，须含时区偏移；不给出则为现在。"),
        ),
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", help=t("Name or id of the group.", "组的名称或编号。"))
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            metavar="employees|visitors|blacklist|all",
            help=t("Who is listed, by the kind of person.", "按人员类型选择：员工、访客、黑名单或全部。"),
        ),
    ] = "all",
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-o",
            help=t(
                "Save to this file (.csv, .xlsx, .jsonl) instead; needs the role operator.",
                "保存到该文件（.csv、.xlsx、.jsonl）；需要操作员权限。",
            ),
        ),
    ] = None,
    form: FormatName = None,
    columns: Columns = None,
    lang: Language = "",
    tz: Zone = None,
    json: AsJson = False,
) -> None:
    """List who is inside: the counts of each site, then id, name, number, site, terminal and time of each person."""
    asked = {"site": site, "at": at, "group": group, "kind": kind}
    with asking(url, token, ca_file) as client:
        if file is not None:
            options = {"columns": columns, "lang": lang or language(), "tz": tz}
            save(client.export("inside", format=format_for(file, form), **asked, **options), file)
            return
        found = client.inside(**asked)
    if json:
        as_json(found)
        return
    _tell(found)


def _tell(found: InsideItem) -> None:
    """Write who is inside for a person: the counts of each site, then a line a person."""
    for one in found.sites:
        typer.echo(
            t(
                f"{one.site}: {one.people} inside, {one.strangers} strangers let in",
                f"{one.site}：在场 {one.people} 人，放行陌生人 {one.strangers} 次",
            )
        )
    for person in found.items:
        words = [person.person_id, person.name or "-", person.user_id or "-", person.site]
        typer.echo(line([*words, person.terminal_name, clock(person.at, person.timezone)]))


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("inside", help=t("List who is inside.", "列出在场人员。"))(inside)
