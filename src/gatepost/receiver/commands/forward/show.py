"""Show destinations, and recount their ledgers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatepost.cli_text import t
from gatepost.receiver.commands.forward.common import AsJson, Which, item_of, one, opened, print_json
from gatepost.receiver.commands.tokens import Data, Database

if TYPE_CHECKING:
    from gatepost.store.forwarding.destinations import DestinationRow, Destinations

__all__ = ["check", "list_destinations", "show"]

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


def list_destinations(data: Data = None, database: Database = None, as_json: AsJson = False) -> None:
    """Print a line for each: number, name, kind, state and ledger."""
    with opened(data, database) as here:
        for row in here.destinations.all(with_replays=False):
            item = item_of(here.destinations, row)
            if as_json:
                print_json(item)
            else:
                typer.echo(_line(item))


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
    with opened(data, database) as here:
        destinations = here.destinations
        row = one(destinations, which)
        replays = [item_of(destinations, each) for each in destinations.all() if each.replay_of == row.id]
        letters = list(_dead_letters(destinations, row)) if dead else []
        tries = destinations.attempts(row.id, attempts) if attempts else []
        item = {**item_of(destinations, row), "replays": replays}
    if as_json:
        print_json(
            item | ({"dead_letters": letters} if dead else {}) | ({"tries": tries} if attempts else {})
        )
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
    for letter in letters:
        typer.echo(f"{letter.event_id}\t{letter.kind}\t{letter.refusals}\t{letter.reason}")
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


def check(which: Which, data: Data = None, database: Database = None, as_json: AsJson = False) -> None:
    """Print what was counted; exit code 1 where something does not fit."""
    from gatepost.forward.check import check as recount

    with opened(data, database) as here:
        found = recount(here.destinations, one(here.destinations, which).id)
    if as_json:
        print_json(found)
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
