"""``gatepost terminals backfill | jobs | audit``: fetch what a terminal has and is not here."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from gatepost.cli_text import t
from gatepost.client.commands.options import (
    DEFAULT_URL,
    AsJson,
    CaFile,
    Receiver,
    Token,
    Until,
    as_json,
    asking,
    clock,
    line,
    terminal_of,
)
from gatepost.errors import SettingsError
from gatepost.fleet_items import AuditItem, JobItem

__all__ = ["audit_line", "job_line", "register"]

WAIT_S = 1.0
"""Between two looks at how far a job is."""

Which = Annotated[
    str, typer.Argument(metavar="TERMINAL", help=t("Its serial, or its number.", "终端序列号或编号。"))
]


def job_line(job: JobItem) -> str:
    """Return a job in one line, for a person."""
    states = {
        "proposed": t("proposed", "待启动"),
        "waiting": t("waiting", "等待中"),
        "running": t("running", "进行中"),
        "paused": t("paused", "已暂停"),
        "done": t("done", "已完成"),
        "failed": t("failed", "失败"),
        "cancelled": t("cancelled", "已取消"),
    }
    words = [f"#{job.id}", job.serial or job.name or "-", states[job.state], f"{job.progress:.0%}"]
    words += [f"{clock(job.since)} – {clock(job.until)}"]
    words.append(t(f"{job.fetched} there, {job.added} new", f"终端 {job.fetched} 条，新增 {job.added} 条"))
    if job.state == "proposed" and job.there is not None:
        words.append(
            t(
                f"the terminal has {job.there}, here are {job.here}",
                f"终端有 {job.there} 条，此处有 {job.here} 条",
            )
        )
    return line([*words, job.reason])


def audit_line(day: AuditItem) -> str:
    """Return a counted day in one line, for a person."""
    there = "?" if day.there is None else f"{day.there}"
    words = [day.day, t(f"there {there}, here {day.here}", f"终端 {there} 条，此处 {day.here} 条")]
    if day.missing:
        words.append(t(f"{day.missing} missing", f"缺少 {day.missing} 条"))
    return line([*words, day.reason])


def _tell(job: JobItem, *, json: bool) -> None:
    if json:
        as_json(job)
    else:
        typer.echo(job_line(job))


def _moment(option: str, text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(option, "must be like 2024-05-01 or 2024-05-01T08:00:00+08:00") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def backfill(
    terminal: Which,
    since: Annotated[
        str,
        typer.Option("--since", help=t("From when: 2024-05-01T08:00:00+08:00.", "起始时间（含），必填。")),
    ],
    until: Until = None,
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    wait: Annotated[
        bool, typer.Option("--wait", help=t("Return only when it is done.", "等待任务结束后再返回。"))
    ] = False,
    json: AsJson = False,
) -> None:
    """Fetch the records that an adopted terminal has and that are not here."""
    begin, end = _moment("since", since), None if until is None else _moment("until", until)
    with asking(url, token, ca_file) as client:
        job = client.backfill(terminal_of(client, terminal).id, since=begin, until=end)
        while wait and job.state in ("waiting", "running"):
            time.sleep(WAIT_S)
            job = client.fleet_job(job.id)
        _tell(job, json=json)
        if not json:
            typer.echo(
                t(
                    "alarms are in no terminal's history: they cannot be fetched",
                    "终端历史中不含告警，告警无法补取",
                )
            )
    if wait and job.state != "done":
        raise typer.Exit(1)


def jobs(
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    terminal: Annotated[
        str | None,
        typer.Option("--terminal", help=t("Of one terminal: serial or number.", "终端的序列号或编号。")),
    ] = None,
    json: AsJson = False,
) -> None:
    """List what is fetched from terminals, and what is proposed, the latest first."""
    with asking(url, token, ca_file) as client:
        which = None if terminal is None else terminal_of(client, terminal).id
        for job in client.fleet_jobs(terminal=which):
            _tell(job, json=json)


def job(
    number: Annotated[int, typer.Argument(min=1, metavar="JOB", help=t("Its number.", "任务编号。"))],
    verb: Annotated[
        str, typer.Argument(metavar="pause|resume|cancel", help=t("What to do with it.", "要执行的操作。"))
    ],
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    json: AsJson = False,
) -> None:
    """Pause a job, have it go on (also start a proposal), or end it."""
    verbs: dict[str, Literal["pause", "resume", "cancel"]] = {
        "pause": "pause",
        "resume": "resume",
        "cancel": "cancel",
    }
    if verb not in verbs:
        raise SettingsError("pause|resume|cancel", f"must be one of these, not {verb!r}")
    with asking(url, token, ca_file) as client:
        _tell(client.turn_fleet_job(number, verbs[verb]), json=json)


def audit(
    terminal: Which,
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    now: Annotated[bool, typer.Option("--now", help=t("Ask the terminal now.", "立即向终端查询。"))] = False,
    json: AsJson = False,
) -> None:
    """List how many records an adopted terminal has of each day, and how many are here."""
    with asking(url, token, ca_file) as client:
        for day in client.fleet_audit(terminal_of(client, terminal).id, count_now=now):
            if json:
                as_json(day)
            else:
                typer.echo(audit_line(day))


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("backfill", help=t("Fetch what is missing from its history.", "从终端历史中补取记录。"))(
        backfill
    )
    group.command("jobs", help=t("List what is fetched, and proposed.", "列出补取任务及建议。"))(jobs)
    group.command("job", help=t("Pause, resume or cancel a job.", "暂停、恢复或取消补取任务。"))(job)
    group.command("audit", help=t("Compare its days with those here.", "逐日比对终端与此处的记录数。"))(audit)
