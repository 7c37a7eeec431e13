"""Options of the client's commands, and functions that print items and save files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Annotated, BinaryIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import typer

from gatepost.cli_text import t
from gatepost.client.client import Client, Format, format_of
from gatepost.errors import RequestRefused
from gatepost.items import TerminalItem

__all__ = [
    "AsJson",
    "CaFile",
    "Columns",
    "File",
    "FormatName",
    "Language",
    "Original",
    "Receiver",
    "Since",
    "Site",
    "Terminal",
    "Token",
    "Until",
    "WithoutSerial",
    "Zone",
    "as_json",
    "asking",
    "clock",
    "format_for",
    "line",
    "save",
    "terminal_of",
]

Receiver = Annotated[
    str,
    typer.Option(
        "--url",
        envvar="GATEPOST_URL",
        help=t("Where the receiver is.", "接收端地址。"),
    ),
]
Token = Annotated[
    str,
    typer.Option(
        "--token",
        envvar="GATEPOST_TOKEN",
        show_default=False,
        help=t("An API token; better in the environment.", "API 令牌；建议放在环境变量中。"),
    ),
]
CaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        envvar="GATEPOST_CA_FILE",
        help=t("The authority of the receiver's certificate, PEM.", "接收端证书的签发机构证书（PEM）。"),
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help=t("JSON lines instead.", "改为输出 JSON 行。"))]
Original = Annotated[
    bool,
    typer.Option(
        "--original",
        help=t(
            "Include the JSON as it was pushed; shown with JSON lines.",
            "包含推送的原始 JSON（仅 JSON 行输出中显示）。",
        ),
    ),
]
Since = Annotated[
    str | None,
    typer.Option("--since", help=t("At or after: 2024-05-01T08:00:00+08:00.", "起始时间（含）。")),
]
Until = Annotated[str | None, typer.Option("--until", help=t("Before.", "截止时间（不含）。"))]
Terminal = Annotated[
    str | None,
    typer.Option("--terminal", help=t("Serial, name or id of the terminal.", "终端的序列号、名称或编号。")),
]
Site = Annotated[str | None, typer.Option("--site", help=t("Name or id of the site.", "站点的名称或编号。"))]
WithoutSerial = Annotated[
    bool,
    typer.Option(
        "--without-serial", help=t("Only events of terminals without a serial.", "仅限无序列号终端的事件。")
    ),
]

File = Annotated[
    Path,
    typer.Argument(
        help=t("Where to: .csv, .xlsx, .jsonl or .zip; - for stdout.", "输出文件；- 为标准输出。")
    ),
]
FormatName = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="csv|xlsx|jsonl|zip",
        help=t("By the file's name unless given; zip has the images.", "默认按文件名；zip 含图片。"),
    ),
]
Columns = Annotated[
    str | None,
    typer.Option("--columns", help=t("Names with commas in between; all unless given.", "列名，逗号分隔。")),
]
Language = Annotated[
    str, typer.Option("--lang", metavar="en|zh", help=t("Of headers and labels.", "表头与标签的语言。"))
]
Zone = Annotated[
    str | None,
    typer.Option("--tz", help=t("Zone of the times; each terminal's own unless given.", "时间所用时区。")),
]

DEFAULT_URL = "http://127.0.0.1:8080"


@contextmanager
def asking(url: str, token: str, ca_file: Path | None = None) -> Iterator[Client]:
    """Open a client of the receiver that was named."""
    with Client(url, token, ca_file=ca_file) as client:
        yield client


def as_json(item: object) -> None:
    """Print an item for a program."""
    typer.echo(msgspec.json.encode(item))


def clock(at: datetime | None, zone: str | None = None) -> str:
    """Return a moment by the clocks of an IANA zone, with their offset from UTC.

    Without a zone it is that of this machine; a zone that this machine does not know is shown in UTC.
    """
    if at is None:
        return "-"
    here = at.astimezone(None if zone is None else _zone(zone))
    offset = here.isoformat(timespec="seconds")[19:]
    return f"{here:%Y-%m-%d %H:%M:%S} {offset}"


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def line(words: Iterable[str]) -> str:
    """One line of a list. What a terminal calls a person may hold what a screen would obey; it is not shown."""
    shown = "  ".join(" ".join(word.split()) for word in words if word)
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in shown)


def terminal_of(client: Client, said: str) -> TerminalItem:
    """Return the terminal that is meant by a serial, or else by a number of the list."""
    by_number = None
    for terminal in client.terminals():
        if terminal.serial == said:
            return terminal
        if said.isdigit() and terminal.id == int(said):
            by_number = terminal
    if by_number is None:
        raise RequestRefused(404, t(f"there is no terminal {said}", f"没有终端 {said}"))
    return by_number


def format_for(file: Path, said: str | None) -> Format:
    """Return the format that was asked for, or else the one that the file's name says."""
    found = format_of(f".{said}" if said is not None else file.name)
    if found is None:
        raise typer.BadParameter(
            t(
                "give --format csv, xlsx, jsonl or zip, or end the file's name with one of them",
                "请用 --format 给出 csv、xlsx、jsonl 或 zip，或以其作为文件扩展名",
            )
        )
    return found


def save(pieces: Iterable[bytes], path: Path) -> None:
    """Write a file that is whole or not there; ``-`` is the standard output. Shows progress to a person."""
    if str(path) == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            _write(pieces, file, path.name)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _write(pieces: Iterable[bytes], file: BinaryIO, name: str) -> None:
    from rich.console import Console
    from rich.progress import FileSizeColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import TransferSpeedColumn as SpeedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), FileSizeColumn(), SpeedColumn())
    with Progress(
        *columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(name, total=None)
        for piece in pieces:
            file.write(piece)
            progress.advance(task, len(piece))
