"""Send a test, the events of a span once more, and dead letters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from gatepost.cli_text import t
from gatepost.errors import SettingsError
from gatepost.receiver.commands.config import ConfigOption, receiver_settings
from gatepost.receiver.commands.forward.common import (
    AllOfThem,
    AsJson,
    Events,
    FilterText,
    Which,
    note,
    one,
    opened,
    parsed,
    print_json,
)
from gatepost.receiver.commands.tokens import Data, Database

if TYPE_CHECKING:
    from gatepost.store.accounts.accounts import Accounts
    from gatepost.store.forwarding.destinations import DestinationRow

__all__ = ["drop", "replay", "retry", "try_out"]


def try_out(
    which: Which,
    data: Data = None,
    database: Database = None,
    config: ConfigOption = None,
    as_json: AsJson = False,
) -> None:
    """Send it from here, by the rules of ``forward_networks``; exit code 1 where it is not delivered."""
    from gatepost.egress import Egress
    from gatepost.forward.opening import open_sink
    from gatepost.forward.options.destination import decode
    from gatepost.forward.options.filters import queries
    from gatepost.forward.options.secrets import decode_secrets
    from gatepost.forward.trial import Trial, send_test
    from gatepost.receiver.api.destinations.audit import host_of

    egress = Egress(receiver_settings(config).forward_networks)
    with opened(data, database, config) as here:
        row = one(here.destinations, which)
        told, kept = decode(row.config), decode_secrets(row.secrets)
        serial = here.destinations.latest_serial(queries(told.filter, here.destinations.sites())[:2])
        source = f"urn:gatepost:{here.accounts.key('forwarding').hex()[:32]}"

        async def send() -> Trial:
            sink = open_sink(told, kept, egress)
            return await send_test(
                sink, told, kept, source=source, now=time.time, monotonic=time.monotonic, serial=serial
            )

        found = asyncio.run(send())
        note(
            here.accounts,
            "destination.tested",
            row,
            host=host_of(row),
            outcome=found.outcome,
            status=found.status,
        )
    if as_json:
        print_json(found)
    else:
        typer.echo(f"{found.outcome}\t{found.status}\t{found.took_ms} ms\t{found.reply}")
    if found.outcome != "delivered":
        raise typer.Exit(1)


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
    given = None if chosen is None else parsed("filter", chosen)
    with opened(data, database) as here:
        row = one(here.destinations, which)
        made = here.admin.replay(row, moments["since"], moments["until"], chosen=given, rate=rate)
        note(
            here.accounts,
            "destination.replayed",
            row,
            events=made.ledger.waiting,
            **{name: at.isoformat() for name, at in moments.items()},
        )
    if as_json:
        print_json({"id": made.id, "events": made.ledger.waiting})
    else:
        typer.echo(
            t(
                f"replay {made.id}: {made.ledger.waiting} events",
                f"重放 {made.id}：{made.ledger.waiting} 个事件",
            )
        )


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
    with opened(data, database) as here:
        row = one(here.destinations, which)
        done = here.destinations.retry_dead(row.id, chosen)
        _decided(here.accounts, "destination.retried", row, chosen, done, as_json=as_json)


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
    with opened(data, database) as here:
        row = one(here.destinations, which)
        done = here.destinations.drop_dead(row.id, chosen)
        _decided(here.accounts, "destination.dropped", row, chosen, done, as_json=as_json)


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
    note(accounts, action, row, events=done, ids=None if chosen is None else list(chosen[:20]))
    if as_json:
        print_json({"events": done})
    else:
        typer.echo(t(f"{done} dead letters", f"{done} 条死信"))
