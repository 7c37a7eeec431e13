"""Hold what the commands share: the store that they open, the destination that is named, the audit log, JSON."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from gatepost.cli_text import t
from gatepost.errors import SettingsError
from gatepost.receiver.commands.config import receiver_settings
from gatepost.receiver.commands.tokens import opened_store

if TYPE_CHECKING:
    from gatepost.forward.admin import Admin
    from gatepost.store.accounts.accounts import Accounts
    from gatepost.store.forwarding.destinations import DestinationRow, Destinations

__all__ = [
    "AllOfThem",
    "AsJson",
    "Events",
    "FilterText",
    "Opened",
    "Which",
    "item_of",
    "note",
    "one",
    "opened",
    "parsed",
    "print_json",
]

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
class Opened:
    """Hold what the commands work on."""

    destinations: Destinations
    admin: Admin
    accounts: Accounts


@contextmanager
def opened(data: Path | None, database: str | None, config: Path | None = None) -> Iterator[Opened]:
    from gatepost.egress import Egress
    from gatepost.forward.admin import Admin
    from gatepost.forward.image_links import ImageLinks
    from gatepost.forward.opening import check_told
    from gatepost.forward.options.destination import Destination
    from gatepost.forward.options.secrets import Secrets
    from gatepost.store.accounts.accounts import Accounts
    from gatepost.store.forwarding.destinations import Destinations

    settings = receiver_settings(config)
    egress = Egress(settings.forward_networks)
    with opened_store(data, database) as store:
        destinations, accounts = Destinations(store), Accounts(store)
        links = ImageLinks(settings.public_url, lambda: accounts.key("image links"))

        def check(told: Destination, kept: Secrets) -> None:
            check_told(told, kept, destinations.sites(), egress, links)

        admin = Admin(destinations, now=time.time, check=check)
        yield Opened(destinations, admin, accounts)


def one(destinations: Destinations, which: str) -> DestinationRow:
    row = destinations.one(int(which)) if which.isascii() and which.isdigit() and len(which) < 19 else None
    row = row or destinations.one(which)
    if row is None:
        raise SettingsError(
            "destination", f"cannot be {which}: there is none of this name; see `gatepost forward list`"
        )
    return row


def note(accounts: Accounts, action: str, row: DestinationRow, **detail: object) -> None:
    from gatepost.store.accounts.names import COMMAND_LINE

    accounts.note(
        now_ms=int(time.time() * 1000),
        actor=COMMAND_LINE,
        address="",
        action=action,
        subject=f"{row.id} {row.name}",
        detail=detail,
    )


def item_of(destinations: Destinations, row: DestinationRow) -> dict[str, Any]:
    from gatepost.forward.state import standing
    from gatepost.receiver.api.destinations.replies import values

    return values(destinations, row, standing(row), now=datetime.now(UTC))


def print_json(value: object) -> None:
    typer.echo(msgspec.json.encode(value).decode())


def parsed(name: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise SettingsError(name, f"is no JSON: {error}") from None
