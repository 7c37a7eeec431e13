"""``gatepost events list | tail | export``."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any, Literal

import typer

from gatepost.cli_text import language, t
from gatepost.client.commands.alarms import AlarmKind, State, alarm_line
from gatepost.client.commands.options import (
    DEFAULT_URL,
    AsJson,
    CaFile,
    Columns,
    File,
    FormatName,
    Language,
    Original,
    Receiver,
    Since,
    Site,
    Terminal,
    Token,
    Until,
    WithoutSerial,
    Zone,
    as_json,
    asking,
    clock,
    format_for,
    line,
    save,
)
from gatepost.items import RecordItem
from gatepost.wire.codes import AbnormalType, EntryMode, RecognitionType, label

__all__ = ["record_line", "register"]

Person = Annotated[str | None, typer.Option("--person", help=t("A user_id.", "人员编号 user_id。"))]
Name = Annotated[str | None, typer.Option("--name", help=t("Part of the name.", "姓名的一部分。"))]
JobNumber = Annotated[str | None, typer.Option("--job-number", help=t("The job number.", "工号。"))]
Kind = Annotated[
    int | None,
    typer.Option("--recognition-type", help=t("1 employee, 2 visitor, 3 stranger, …", "识别类型代码。")),
]
Passed = Annotated[
    bool | None, typer.Option("--passed/--refused", help=t("Whether the door opened.", "是否通行。"))
]
Abnormal = Annotated[
    int | None, typer.Option("--abnormal-type", help=t("Code of the abnormal type.", "异常类型代码。"))
]
Entry = Annotated[
    int | None, typer.Option("--entry-mode", help=t("Code of the way of entry.", "开门方式代码。"))
]
Image = Annotated[
    bool | None, typer.Option("--image/--no-image", help=t("Whether there is an image.", "是否有图片。"))
]
OutsideTime = Annotated[
    bool,
    typer.Option("--outside-time", help=t("Only visitors outside their time.", "仅不在有效期内的访客。")),
]
Strangers = Annotated[bool, typer.Option("--strangers", help=t("Only unknown faces.", "仅陌生人。"))]
Search = Annotated[
    str | None,
    typer.Option("--search", "-q", help=t("Part of the name or of a number.", "在姓名和各编号中查找。")),
]
Order = Annotated[
    str, typer.Option("--order", metavar="newest|oldest", help=t("By when it happened.", "按发生时间排序。"))
]


def record_line(record: RecordItem) -> str:
    """Return a record in one line, for a person."""
    lang = language()
    person = record.person
    who = "-" if person is None else f"{person.name} ({person.user_id})"
    passed = {True: t("passed", "通行"), False: t("refused", "拒绝"), None: "-"}[record.passed]
    words = [
        clock(record.listed_at, record.timezone),
        record.terminal or f"#{record.terminal_id}",
        who,
        label(RecognitionType, record.recognition_type, lang),
        passed,
        label(EntryMode, record.entry_mode, lang),
    ]
    if record.abnormal_type:
        words.append(label(AbnormalType, record.abnormal_type, lang))
    return line(words)


def list_events(
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    since: Since = None,
    until: Until = None,
    terminal: Terminal = None,
    without_serial: WithoutSerial = False,
    site: Site = None,
    person: Person = None,
    name: Name = None,
    job_number: JobNumber = None,
    recognition_type: Kind = None,
    passed: Passed = None,
    abnormal_type: Abnormal = None,
    entry_mode: Entry = None,
    image: Image = None,
    strangers: Strangers = False,
    outside_time: OutsideTime = False,
    search: Search = None,
    order: Order = "newest",
    limit: Annotated[
        int,
        typer.Option("--limit", min=0, help=t("Maximum number of rows; 0 for all.", "最多条数；0 为全部。")),
    ] = 100,
    json: AsJson = False,
    original: Original = False,
) -> None:
    """List records."""
    filters = _filters(locals())
    with asking(url, token, ca_file) as client:
        found = client.records(order=_order(order), **filters)
        for record in islice(found, limit or None):
            if json:
                as_json(record)
            else:
                typer.echo(record_line(record))


def tail(
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    terminal: Terminal = None,
    site: Site = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", metavar="record|alarm", help=t("Only events of this kind.", "仅此类事件。")),
    ] = None,
    after: Annotated[
        int | None,
        typer.Option(
            "--after",
            min=0,
            help=t("Go on behind this place (id in --json).", "从该位置（--json 的 id）之后继续。"),
        ),
    ] = None,
    json: AsJson = False,
    original: Original = False,
) -> None:
    """Print what arrives, as it arrives, until Ctrl-C."""
    with asking(url, token, ca_file) as client:
        for event in client.live(
            after=after, terminal=terminal, site=site, kind=kind, include="original" if original else None
        ):
            if json:
                as_json({"id": event.id, "event": event.kind, "data": event.record or event.alarm})
            elif event.record is not None:
                typer.echo(record_line(event.record))
            elif event.alarm is not None:
                typer.echo(alarm_line(event.alarm))


def export(
    file: File,
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    form: FormatName = None,
    columns: Columns = None,
    lang: Language = "",
    tz: Zone = None,
    alarms: Annotated[
        bool, typer.Option("--alarms", help=t("Export alarms instead of records.", "改为导出告警。"))
    ] = False,
    since: Since = None,
    until: Until = None,
    terminal: Terminal = None,
    without_serial: WithoutSerial = False,
    site: Site = None,
    code: AlarmKind = None,
    state: State = None,
    person: Person = None,
    name: Name = None,
    job_number: JobNumber = None,
    recognition_type: Kind = None,
    passed: Passed = None,
    abnormal_type: Abnormal = None,
    entry_mode: Entry = None,
    image: Image = None,
    strangers: Strangers = False,
    outside_time: OutsideTime = False,
    search: Search = None,
    order: Order = "oldest",
    original: Original = False,
) -> None:
    """Save records, or alarms, as a file. Needs a token with the role operator."""
    filters = _filters(locals())
    options: dict[str, Any] = {"columns": columns, "lang": lang or language(), "tz": tz, **filters}
    if alarms:
        kept = ("columns", "lang", "tz", "since", "until", "terminal", "without_serial", "site", "include")
        options = {name: options[name] for name in kept} | {"code": code, "state": state}
    else:
        options["order"] = _order(order)
    with asking(url, token, ca_file) as client:
        what: Literal["records", "alarms"] = "alarms" if alarms else "records"
        save(client.export(what, format=format_for(file, form), **options), file)


_NAMES = (
    *("since", "until", "terminal", "site", "person", "name", "job_number"),
    *("recognition_type", "passed", "abnormal_type", "entry_mode"),
)


def _filters(given: dict[str, Any]) -> dict[str, Any]:
    """Return the API's filters out of a command's arguments."""
    found = {name: given[name] for name in _NAMES}
    return {
        **found,
        "has_image": given["image"],
        "q": given["search"],
        "without_serial": given["without_serial"] or None,
        "strangers": given["strangers"] or None,
        "outside_time": given["outside_time"] or None,
        "include": "original" if given["original"] else None,
    }


def _order(said: str) -> Literal["newest", "oldest"]:
    if said not in ("newest", "oldest"):
        raise typer.BadParameter(t("--order is newest or oldest", "--order 只能是 newest 或 oldest"))
    return "newest" if said == "newest" else "oldest"


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("list", help=t("List records.", "列出通行记录。"))(list_events)
    group.command("tail", help=t("Print what arrives, as it arrives.", "实时输出新事件。"))(tail)
    group.command("export", help=t("Save records or alarms as a file.", "将记录或告警导出为文件。"))(export)
