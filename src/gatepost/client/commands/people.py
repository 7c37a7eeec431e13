"""``gatepost people list | attendance | import | inside | mark | join | erase``, and what belongs to these."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from gatepost.cli_text import language, t
from gatepost.client.commands import inside, person
from gatepost.client.commands.options import (
    DEFAULT_URL,
    AsJson,
    CaFile,
    Columns,
    File,
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
from gatepost.items import SomeoneItem

__all__ = ["person_line", "register"]


def person_line(person: SomeoneItem) -> str:
    """Return a person in one line, for a person."""
    words = [person.id, person.user_id, person.name or "-", person.job_number or "-", person.site]
    return line([*words, clock(person.last_seen, person.timezone)])


def list_people(
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    search: Annotated[
        str | None,
        typer.Option("--search", "-q", help=t("Part of the name or of a number.", "在姓名和各编号中查找。")),
    ] = None,
    limit: Annotated[
        int,
        typer.Option("--limit", min=0, help=t("Maximum number of rows; 0 for all.", "最多条数；0 为全部。")),
    ] = 100,
    json: AsJson = False,
) -> None:
    """List who has been seen: id, user_id, name, job number, site, when last."""
    with asking(url, token, ca_file) as client:
        for person in islice(client.people(q=search), limit or None):
            if json:
                as_json(person)
            else:
                typer.echo(person_line(person))


def erase(
    user_id: Annotated[
        str | None, typer.Argument(help=t("Whose number it is.", "人员编号 user_id。"))
    ] = None,
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    person: Annotated[
        str | None,
        typer.Option(
            "--id", help=t("The id of 'people list', instead of the number.", "“people list”中的 id。")
        ),
    ] = None,
    site: Annotated[
        int | None, typer.Option("--site", min=1, help=t("Only at this site.", "仅限该站点编号。"))
    ] = None,
    terminal: Annotated[
        int | None, typer.Option("--terminal", min=1, help=t("Only of this terminal.", "仅限该终端编号。"))
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help=t("Do not ask for confirmation.", "不再询问。"))] = False,
    json: AsJson = False,
) -> None:
    """Erase a person: their images and personal fields, everywhere."""
    if (user_id is None) == (person is None):
        raise typer.BadParameter(t("give a user_id or --id, and not both", "请给出 user_id 或 --id 之一"))
    if not yes:
        typer.confirm(
            t(
                f"Erase {person or user_id} for good, images and all?",
                f"确定永久删除 {person or user_id} 的全部图片和个人信息吗？",
            ),
            abort=True,
            err=True,
        )
    with asking(url, token, ca_file) as client:
        if person is not None:
            done = client.erase_person(person)
        else:
            done = client.erase_number(user_id or "", site_id=site, terminal_id=terminal)
    if json:
        as_json(done)
        return
    typer.echo(
        t(
            f"erased: {done.records} records, {done.alarm_steps} alarm reports, {done.quarantined} quarantined",
            f"已删除：{done.records} 条记录、{done.alarm_steps} 条告警上报、{done.quarantined} 条隔离数据",
        )
    )


def attendance(
    file: File,
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    month: Annotated[
        str | None, typer.Option("--month", help=t("Such as 2024-03.", "月份，如 2024-03。"))
    ] = None,
    day: Annotated[
        str | None, typer.Option("--day", help=t("Such as 2024-03-01.", "日期，如 2024-03-01。"))
    ] = None,
    first: Annotated[str | None, typer.Option("--first", help=t("From this day …", "起始日期"))] = None,
    last: Annotated[
        str | None, typer.Option("--last", help=t("… to this one, both included.", "结束日期（含）"))
    ] = None,
    search: Annotated[
        str | None,
        typer.Option("--search", "-q", help=t("Part of the name or of a number.", "在姓名和各编号中查找。")),
    ] = None,
    site: Site = None,
    group: Annotated[
        str | None, typer.Option("--group", help=t("Name or id of the group.", "组的名称或编号。"))
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            metavar="employees|visitors|blacklist|all",
            help=t("Whose attendance, by the kind of person.", "按人员类型选择：员工、访客、黑名单或全部。"),
        ),
    ] = "employees",
    layout: Annotated[
        str,
        typer.Option(
            "--layout",
            metavar="shifts|matrix",
            help=t(
                "A row a shift, or a row a person with totals and a column a day.",
                "每个班次一行；或每人一行，含合计，每天一列。",
            ),
        ),
    ] = "shifts",
    form: FormatName = None,
    columns: Columns = None,
    lang: Language = "",
    tz: Zone = None,
) -> None:
    """Save when people came first and went last. Needs a token with the role operator."""
    stretch = {"month": month, "day": day, "first": first, "last": last}
    options = {"q": search, "site": site, "group": group, "kind": kind, "columns": columns, "tz": tz}
    options["layout"] = layout
    with asking(url, token, ca_file) as client:
        pieces = client.export(
            "attendance", format=format_for(file, form), lang=lang or language(), **stretch, **options
        )
        save(pieces, file)


def import_people(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help=t("CSV file with the columns number, name, department.", "CSV 文件，含编号、姓名、部门列。"),
        ),
    ],
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    site: Annotated[
        int | None,
        typer.Option("--site", min=1, help=t("Only for this site, by its id.", "仅用于该站点编号。")),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help=t("Say what it would do, store nothing.", "仅检查，不保存。"))
    ] = False,
    json: AsJson = False,
) -> None:
    """Import names and departments for numbers. Needs a token with the role operator of every site."""
    content = file.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("gb18030", "replace")
    with asking(url, token, ca_file) as client:
        found = client.import_people(text, site_id=site, check=check)
    if json:
        as_json(found)
    else:
        typer.echo(
            t(
                f"{found.rows} rows: {found.new} new, {found.changed} changed, {found.same} as before",
                f"{found.rows} 行：新增 {found.new}，修改 {found.changed}，未变 {found.same}",
            )
        )
        for fault in found.faults:
            typer.echo(t(f"line {fault.line} {fault.why}", f"第 {fault.line} 行：{fault.why}"), err=True)
    if found.faults:
        typer.echo(t("nothing was stored", "未保存任何内容"), err=True)
        raise typer.Exit(1)


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("list", help=t("List who has been seen.", "列出出现过的人员。"))(list_people)
    group.command("attendance", help=t("Save when people came and went.", "导出考勤。"))(attendance)
    group.command("import", help=t("Import names and departments.", "导入姓名和部门。"))(import_people)
    inside.register(group)
    person.register(group)
    group.command("erase", help=t("Erase a person for good.", "永久删除一名人员。"))(erase)
