"""Define ``gatepost forward``: destinations on the command line, also while the receiver runs.

The receiver takes a change over within some seconds. Secrets come from a file, from ``GATEPOST_FORWARD_SECRET`` or from
a prompt, and never from the arguments: other users of the machine can read those.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from gatepost.cli_text import app_options, t
from gatepost.errors import SettingsError
from gatepost.receiver.commands.config import ConfigOption, receiver_settings
from gatepost.receiver.commands.tokens import Data, Database, opened_store

if TYPE_CHECKING:
    from gatepost.forward.admin import Admin
    from gatepost.store.query.accounts import Accounts
    from gatepost.store.query.destinations import DestinationRow, Destinations

__all__ = ["SECRET", "app"]

SECRET = "GATEPOST_FORWARD_SECRET"  # noqa: S105 - the name of a variable
"""The environment variable with the secret of a destination that is made."""

app = typer.Typer(
    **app_options(),
    help=t("Destinations: where events are passed on to.", "转发目标：将事件转发到其他系统。"),
)

Which = Annotated[
    str,
    typer.Argument(
        metavar="DESTINATION", help=t("Name or number of the destination.", "转发目标的名称或编号。")
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help=t("JSON instead, for programs.", "改为输出 JSON。"))]
FilterText = Annotated[
    str | None,
    typer.Option(
        "--filter",
        metavar="JSON",
        help=t(
            'Which events, such as \'{"records": {"passed": false}, "alarms": null}\'; every event unless given.',
            '要转发的事件，例如 \'{"records": {"passed": false}, "alarms": null}\'；不给出则为全部事件。',
        ),
    ),
]
Events = Annotated[
    list[int] | None,
    typer.Argument(
        metavar="EVENT",
        help=t("Ids of dead letters, from `show --dead`.", "死信的事件编号，见 `show --dead`。"),
    ),
]
AllOfThem = Annotated[bool, typer.Option("--all", help=t("Every dead letter of it.", "该目标的全部死信。"))]


@dataclass(frozen=True)
class _Opened:
    """Hold what the commands work on."""

    destinations: Destinations
    admin: Admin
    accounts: Accounts


@contextmanager
def _opened(data: Path | None, database: str | None, config: Path | None = None) -> Iterator[_Opened]:
    from gatepost.egress import Egress
    from gatepost.forward.admin import Admin
    from gatepost.forward.forwarding import check_told
    from gatepost.forward.image_links import ImageLinks
    from gatepost.forward.options.destination import Destination
    from gatepost.forward.options.secrets import Secrets
    from gatepost.store.query.accounts import Accounts
    from gatepost.store.query.destinations import Destinations

    settings = receiver_settings(config)
    egress = Egress(settings.forward_networks)
    with opened_store(data, database) as store:
        destinations, accounts = Destinations(store), Accounts(store)
        links = ImageLinks(settings.public_url, lambda: accounts.key("image links"))

        def check(told: Destination, kept: Secrets) -> None:
            check_told(told, kept, destinations.sites(), egress, links)

        admin = Admin(destinations, now=time.time, check=check)
        yield _Opened(destinations, admin, accounts)


def _one(destinations: Destinations, which: str) -> DestinationRow:
    row = destinations.one(int(which)) if which.isascii() and which.isdigit() and len(which) < 19 else None
    row = row or destinations.one(which)
    if row is None:
        raise SettingsError(
            "destination", f"cannot be {which}: there is none of this name; see `gatepost forward list`"
        )
    return row


def _note(accounts: Accounts, action: str, row: DestinationRow, **detail: object) -> None:
    from gatepost.store.query.accounts import COMMAND_LINE

    accounts.note(
        now_ms=int(time.time() * 1000),
        actor=COMMAND_LINE,
        address="",
        action=action,
        subject=f"{row.id} {row.name}",
        detail=detail,
    )


def _item(destinations: Destinations, row: DestinationRow) -> dict[str, Any]:
    from gatepost.forward.state import standing
    from gatepost.receiver.api.destinations.controller import values

    return values(destinations, row, standing(row), now=datetime.now(UTC))


def _json(value: Any) -> None:
    typer.echo(msgspec.json.encode(value).decode())


_STATES = {
    "running": t("running", "运行中"),
    "waiting": t("cannot be reached", "无法连接"),
    "paused": t("paused", "已暂停"),
    "closed": t("closed by the destination", "已被目标关闭"),
    "broken": t("broken settings", "设置有误"),
    "finished": t("finished", "已完成"),
}


def _line(item: dict[str, Any]) -> str:
    lag = "" if item["lag_s"] is None else t(f", for {item['lag_s']:.0f} s", f"，最久 {item['lag_s']:.0f} 秒")
    waiting = t(f"{item['waiting']} waiting{lag}", f"待发送 {item['waiting']}{lag}")
    counts = t(
        f"{item['delivered']} delivered, {waiting}, {item['dead']} dead, {item['dropped']} dropped",
        f"已送达 {item['delivered']}，{waiting}，死信 {item['dead']}，已丢弃 {item['dropped']}",
    )
    why = f"\t{item['last_error']}" if item["last_error"] and item["state"] != "running" else ""
    return f"{item['id']}\t{item['name']}\t{item['kind']}\t{_STATES[item['state']]}\t{counts}{why}"


@app.command(help=t("Make a destination.", "创建转发目标。"))
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
    secret = os.environ.get(SECRET)
    if secret_file is not None:
        secret = secret_file.read_text(encoding="utf-8").strip()
    if ask_secret:
        secret = typer.prompt(t("Secret", "密钥"), hide_input=True)
    told = {"kind": kind, "url": url, "shape": shape, **dict(map(_option, options or ()))}
    if chosen is not None:
        told["filter"] = _parsed("filter", chosen)
    others = None
    if secrets_file is not None:
        others = _parsed("secrets_file", secrets_file.read_text(encoding="utf-8"))
    with _opened(data, database, config) as opened:
        row, made = opened.admin.create(name, told, secret=secret or None, others=others, enabled=not paused)
        from gatepost.receiver.api.destinations.controller import host_of

        _note(opened.accounts, "destination.created", row, kind=row.kind, host=host_of(row))
    if as_json:
        _json({"id": row.id, "name": row.name, "secret": made})
        return
    typer.echo(t(f"made {row.name}, number {row.id}", f"已创建 {row.name}，编号 {row.id}"))
    if made is not None:
        typer.echo(
            t(
                f"signing secret, not shown again: {made}",
                f"签名密钥（只显示这一次）：{made}",
            )
        )


def _option(text: str) -> tuple[str, Any]:
    name, is_given, value = text.partition("=")
    if not is_given:
        raise SettingsError("set", f"must be like batch=64, not {name}")
    return name, _parsed(name, value)


def _parsed(name: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise SettingsError(name, f"is no JSON: {error}") from None


@app.command("list", help=t("List the destinations.", "列出转发目标。"))
def list_destinations(data: Data = None, database: Database = None, as_json: AsJson = False) -> None:
    """Print a line for each: number, name, kind, state and ledger."""
    with _opened(data, database) as opened:
        for row in opened.destinations.all(with_replays=False):
            item = _item(opened.destinations, row)
            if as_json:
                _json(item)
            else:
                typer.echo(_line(item))


@app.command(
    help=t("Show a destination, its replays, and its attempts or dead letters.", "显示一个转发目标。")
)
def show(
    which: Which,
    dead: Annotated[bool, typer.Option("--dead", help=t("Its dead letters, too.", "同时列出死信。"))] = False,
    attempts: Annotated[
        int,
        typer.Option(
            "--attempts",
            min=0,
            max=1000,
            help=t("So many of its latest attempts, too.", "同时列出最近的尝试次数。"),
        ),
    ] = 0,
    data: Data = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Print the ledger as a sum; with ``--json`` everything as one object."""
    with _opened(data, database) as opened:
        destinations = opened.destinations
        row = _one(destinations, which)
        replays = [_item(destinations, each) for each in destinations.all() if each.replay_of == row.id]
        letters = list(_dead_letters(destinations, row)) if dead else []
        tries = destinations.attempts(row.id, attempts) if attempts else []
        item = {**_item(destinations, row), "replays": replays}
    if as_json:
        _json(item | ({"dead_letters": letters} if dead else {}) | ({"tries": tries} if attempts else {}))
        return
    typer.echo(_line(item))
    parts = ("filtered", "delivered", "waiting", "dead", "dropped")
    typer.echo(f"seen {item['seen']} = " + " + ".join(f"{part} {item[part]}" for part in parts))
    for reason, events in item["dropped_why"].items():
        typer.echo(t(f"dropped {events}: {reason}", f"已丢弃 {events}：{reason}"))
    for reason, events in item["left_out_why"].items():
        typer.echo(t(f"filtered {events}: {reason}", f"已筛除 {events}：{reason}"))
    for replay in replays:
        typer.echo(t("replay", "重放") + f"\t{_line(replay)}")
    for one in letters:
        typer.echo(f"{one.event_id}\t{one.kind}\t{one.refusals}\t{one.reason}")
    for tried in tries:
        at = datetime.fromtimestamp(tried.at_ms / 1000, UTC)
        typer.echo(
            f"{at:%Y-%m-%d %H:%M:%S}Z\t{tried.took_ms} ms\t{tried.outcome}\t{tried.status}\t{tried.event_id}"
        )


def _dead_letters(destinations: Destinations, row: DestinationRow) -> Iterator[Any]:
    cursor = None
    while True:
        page = destinations.exceptions_page(row.id, dead=True, limit=500, cursor=cursor)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


@app.command("test", help=t("Send a made-up event, marked as a test.", "发送一个标记为测试的虚构事件。"))
def try_out(
    which: Which,
    data: Data = None,
    database: Database = None,
    config: ConfigOption = None,
    as_json: AsJson = False,
) -> None:
    """Send it from here, by the rules of ``forward_networks``; exit code 1 where it is not delivered."""
    from gatepost.egress import Egress
    from gatepost.forward.forwarding import open_sink
    from gatepost.forward.options.destination import decode
    from gatepost.forward.options.filters import queries
    from gatepost.forward.options.secrets import decode_secrets
    from gatepost.forward.trial import Trial, send_test
    from gatepost.receiver.api.destinations.controller import host_of

    egress = Egress(receiver_settings(config).forward_networks)
    with _opened(data, database, config) as opened:
        row = _one(opened.destinations, which)
        told, kept = decode(row.config), decode_secrets(row.secrets)
        serial = opened.destinations.latest_serial(queries(told.filter, opened.destinations.sites())[:2])
        source = f"urn:gatepost:{opened.accounts.key('forwarding').hex()[:32]}"

        async def send() -> Trial:
            sink = open_sink(told, kept, egress)
            return await send_test(
                sink, told, kept, source=source, now=time.time, monotonic=time.monotonic, serial=serial
            )

        found = asyncio.run(send())
        _note(
            opened.accounts,
            "destination.tested",
            row,
            host=host_of(row),
            outcome=found.outcome,
            status=found.status,
        )
    if as_json:
        _json(found)
    else:
        typer.echo(f"{found.outcome}\t{found.status}\t{found.took_ms} ms\t{found.reply}")
    if found.outcome != "delivered":
        raise typer.Exit(1)


@app.command(help=t("Send nothing for now; what arrives waits.", "暂停发送；新事件将等待。"))
def pause(which: Which, data: Data = None, database: Database = None, as_json: AsJson = False) -> None:
    """Pause a destination with its replays, or one replay by its number."""
    with _opened(data, database) as opened:
        row = _one(opened.destinations, which)
        changed = opened.admin.pause(row.id)
        _note(opened.accounts, "destination.paused", row)
        if as_json and changed is not None:
            _json(_item(opened.destinations, changed))


@app.command(help=t("Go on, also where the destination closed itself.", "恢复发送，包括目标自行关闭的情况。"))
def resume(which: Which, data: Data = None, database: Database = None, as_json: AsJson = False) -> None:
    """Resume what was paused, or what said that it wants no more."""
    with _opened(data, database) as opened:
        row = _one(opened.destinations, which)
        changed = opened.admin.resume(row.id)
        _note(opened.accounts, "destination.resumed", row)
        if as_json and changed is not None:
            _json(_item(opened.destinations, changed))


@app.command(help=t("Send events of a span again.", "重新发送一段时间内的事件。"))
def replay(
    which: Which,
    since: Annotated[
        str, typer.Option("--since", help=t("From when they were received.", "接收时间的起点。"))
    ],
    until: Annotated[
        str | None,
        typer.Option(
            "--until", help=t("Until when, exclusive; now unless given.", "终点（不含）；默认为现在。")
        ),
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", help=t("Events a second, at most.", "每秒最多发送的事件数。"))
    ] = None,
    chosen: FilterText = None,
    data: Data = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Send them flagged and with the ids that they had, next to what arrives."""
    from gatepost.store.local_days import parse_time

    moments = {}
    for name, text in (("since", since), ("until", until)):
        try:
            moments[name] = datetime.now(UTC) if text is None else parse_time(text)
        except ValueError:
            raise SettingsError(name, "is no time; write 2024-05-01T08:00:00+08:00") from None
    given = None if chosen is None else _parsed("filter", chosen)
    with _opened(data, database) as opened:
        row = _one(opened.destinations, which)
        made = opened.admin.replay(row, moments["since"], moments["until"], chosen=given, rate=rate)
        _note(
            opened.accounts,
            "destination.replayed",
            row,
            events=made.ledger.waiting,
            **{name: at.isoformat() for name, at in moments.items()},
        )
    if as_json:
        _json({"id": made.id, "events": made.ledger.waiting})
    else:
        typer.echo(
            t(
                f"replay {made.id}: {made.ledger.waiting} events",
                f"重放 {made.id}：{made.ledger.waiting} 个事件",
            )
        )


@app.command(help=t("Try dead letters again.", "重试死信。"))
def retry(
    which: Which,
    events: Events = None,
    all_of_them: AllOfThem = False,
    data: Data = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Let them wait as if they had never been refused."""
    chosen = _chosen(events, all_of_them)
    with _opened(data, database) as opened:
        row = _one(opened.destinations, which)
        done = opened.destinations.retry_dead(row.id, chosen)
        _decided(opened.accounts, "destination.retried", row, chosen, done, as_json=as_json)


@app.command(help=t("Give dead letters up.", "丢弃死信。"))
def drop(
    which: Which,
    events: Events = None,
    all_of_them: AllOfThem = False,
    data: Data = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Count them as dropped; in the lists of events they stay."""
    chosen = _chosen(events, all_of_them)
    with _opened(data, database) as opened:
        row = _one(opened.destinations, which)
        done = opened.destinations.drop_dead(row.id, chosen)
        _decided(opened.accounts, "destination.dropped", row, chosen, done, as_json=as_json)


def _chosen(events: list[int] | None, all_of_them: bool) -> Sequence[int] | None:
    from gatepost.forward.admin import dead_letters

    return dead_letters(events, all_of_them=all_of_them)


def _decided(
    accounts: Accounts,
    action: str,
    row: DestinationRow,
    chosen: Sequence[int] | None,
    done: int,
    *,
    as_json: bool,
) -> None:
    """Note what was decided about dead letters, and print how many it was."""
    _note(accounts, action, row, events=done, ids=None if chosen is None else list(chosen[:20]))
    if as_json:
        _json({"events": done})
    else:
        typer.echo(t(f"{done} dead letters", f"{done} 条死信"))


@app.command(help=t("Recount a ledger from the events.", "根据事件重新核对账目。"))
def check(which: Which, data: Data = None, database: Database = None, as_json: AsJson = False) -> None:
    """Print what was counted; exit code 1 where something does not fit."""
    from gatepost.forward.check import check as recount

    with _opened(data, database) as opened:
        found = recount(opened.destinations, _one(opened.destinations, which).id)
    if as_json:
        _json(found)
    else:
        typer.echo(
            t(
                f"seen {found.seen}, counted {found.counted}; rows: {found.waiting_rows} wait,"
                f" {found.dead_rows} dead",
                f"已处理 {found.seen}，重新计数 {found.counted}；等待 {found.waiting_rows} 行，"
                f"死信 {found.dead_rows} 行",
            )
        )
        for problem in found.problems:
            typer.echo(problem)
    if found.problems:
        raise typer.Exit(1)


@app.command(help=t("Delete a destination, or a replay by its number.", "删除转发目标，或按编号删除重放。"))
def delete(
    which: Which,
    yes: Annotated[bool, typer.Option("--yes", help=t("Do not ask for confirmation.", "不再确认。"))] = False,
    data: Data = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Delete it with its replays and dead letters; what waits is not sent."""
    with _opened(data, database) as opened:
        row = _one(opened.destinations, which)
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
        opened.destinations.delete(row.id)
        _note(opened.accounts, "destination.deleted", row, **msgspec.structs.asdict(counts))
    if as_json:
        _json({"id": row.id, "name": row.name, **msgspec.structs.asdict(counts)})
