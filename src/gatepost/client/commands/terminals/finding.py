"""``gatepost terminals discover | scan NETWORK… | import FILE.csv``: which terminals there are to adopt.

Rules:

* What is found is a line each as it is found; with ``--json`` it is JSON lines.
* A file is checked before anything is done; the exit code is 1 if something is wrong in it, or a terminal of it could
  not be adopted.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from gatepost.cli_text import language, t
from gatepost.client.client import Client
from gatepost.client.commands.options import (
    DEFAULT_URL,
    AsJson,
    CaFile,
    Receiver,
    Token,
    as_json,
    asking,
    line,
)
from gatepost.fleet_items import AdoptionRowItem, FoundItem, ImportItem, ScanItem

__all__ = ["announced", "found_line", "register", "scanned"]

ASK_AGAIN_S = 0.5

Sleep = Callable[[float], object]


def found_line(found: FoundItem) -> str:
    """Return a terminal that was found as a line, for a person."""
    words = [found.address, found.serial, found.model or "-"]
    if found.clock_error_s is not None and abs(found.clock_error_s) >= 60:
        minutes = round(found.clock_error_s / 60)
        words.append(t(f"clock {minutes:+d} min", f"时钟 {minutes:+d} 分钟"))
    if found.terminal_id is None:
        words.append(t("not adopted", "未接管"))
    elif found.managed_address == found.address:
        words.append(t(f"adopted as #{found.terminal_id}", f"已接管，编号 {found.terminal_id}"))
    else:
        words.append(
            t(
                f"adopted as #{found.terminal_id} at {found.managed_address}",
                f"已接管，编号 {found.terminal_id}，原地址 {found.managed_address}",
            )
        )
    return line(words)


def announced(
    client: Client, seconds: float, *, monotonic: Callable[[], float], sleep: Sleep
) -> Iterator[FoundItem]:
    """Yield terminals that announce themselves, each once, for so many seconds."""
    end = monotonic() + seconds
    seen: set[tuple[str, str]] = set()
    while True:
        for found in client.discover().items:
            if (found.serial, found.address) not in seen:
                seen.add((found.serial, found.address))
                yield found
        left = end - monotonic()
        if left <= 0:
            return
        sleep(min(ASK_AGAIN_S, left))


def scanned(client: Client, networks: list[str], *, sleep: Sleep) -> Iterator[ScanItem]:
    """Scan networks; yield how far it is until it is over. Left early, the scan ends."""
    scan = client.begin_scan(networks)
    try:
        while scan.state == "running":
            yield scan
            sleep(ASK_AGAIN_S)
            scan = client.scan()
    except BaseException:
        client.end_scan()
        raise
    yield scan


def discover(
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0, max=3600, help=t("For how long to listen.", "监听秒数。"))
    ] = 30.0,
    json: AsJson = False,
) -> None:
    """List terminals that announce themselves, as the receiver hears them."""
    with asking(url, token, ca_file) as client:
        for found in announced(client, seconds, monotonic=time.monotonic, sleep=time.sleep):
            _tell(found, json=json)


def scan(
    networks: Annotated[
        list[str],
        typer.Argument(
            metavar="NETWORK…",
            help=t(
                "192.168.1.0/24, 192.168.1.10-60 or 192.168.1.7:8443; at most 4,096 addresses.",
                "192.168.1.0/24、192.168.1.10-60 或 192.168.1.7:8443；最多 4,096 个地址。",
            ),
        ),
    ],
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    json: AsJson = False,
) -> None:
    """Ask each address of networks whether a terminal replies there; the receiver asks."""
    told: set[str] = set()
    with asking(url, token, ca_file) as client:
        for last in scanned(client, networks, sleep=time.sleep):
            for found in last.items:
                if found.address not in told:
                    told.add(found.address)
                    _tell(found, json=json)
    _say(
        t(
            f"{last.asked} of {last.total} addresses asked: {len(told)} terminals, {last.others} other services",
            f"已询问 {last.total} 个地址中的 {last.asked} 个：{len(told)} 台终端，{last.others} 个其他服务",
        )
    )


def import_file(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.csv", help=t("Columns as in the template.", "列与模板一致。"))
    ],
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    check: Annotated[
        bool, typer.Option("--check", help=t("Only check the file.", "只检查文件，不接管。"))
    ] = False,
    make: Annotated[
        bool,
        typer.Option(
            "--template", help=t("Write a file to be filled in; nothing is asked.", "生成待填写的模板文件。")
        ),
    ] = False,
    json: AsJson = False,
) -> None:
    """Adopt the terminals of a CSV file, once nothing is wrong in it."""
    if make:
        _write_template(file)
        return
    content = _content(file)
    with asking(url, token, ca_file) as client:
        checked = client.import_terminals(content, adopt=False)
        if checked.problems:
            for problem in checked.problems:
                _say(
                    line(
                        [
                            t(f"line {problem.line}", f"第 {problem.line} 行"),
                            problem.column or "",
                            problem.why,
                        ]
                    )
                )
            raise typer.Exit(1)
        if check:
            _tell_rows(checked, json=json)
            return
        ordered = client.import_terminals(content, adopt=True).adoption
        assert ordered is not None  # noqa: S101 - it was asked for
        rows = list(_adopted(client, ordered.id, sleep=time.sleep))
        for row in rows:
            _tell_row(row, json=json)
    failed = sum(row.state == "failed" for row in rows)
    _say(
        t(
            f"{len(rows) - failed} of {len(rows)} terminals adopted",
            f"{len(rows)} 台终端中已接管 {len(rows) - failed} 台",
        )
    )
    if failed:
        raise typer.Exit(1)


def _adopted(client: Client, adoption_id: int, *, sleep: Sleep) -> Iterable[AdoptionRowItem]:
    """Wait until an adoption is over; return its rows."""
    while (adoption := client.adoption(adoption_id)).waiting:
        if sys.stderr.isatty():
            done = adoption.total - adoption.waiting
            typer.echo(f"\r{done} / {adoption.total}", err=True, nl=False)
        sleep(ASK_AGAIN_S)
    return client.adoption_rows(adoption_id)


def _tell(found: FoundItem, *, json: bool) -> None:
    if json:
        as_json(found)
    else:
        typer.echo(found_line(found))


def _tell_rows(checked: ImportItem, *, json: bool) -> None:
    for row in checked.items:
        if json:
            as_json(row)
        else:
            typer.echo(line([row.address, row.name or "-", row.site or "-", row.username]))
    _say(t(f"{len(checked.items)} terminals, no problem", f"{len(checked.items)} 台终端，没有问题"))


def _tell_row(row: AdoptionRowItem, *, json: bool) -> None:
    if json:
        as_json(row)
        return
    how = t("adopted", "已接管") if row.state == "adopted" else t("failed", "失败")
    typer.echo(line([row.address, row.serial or "-", row.name or "-", how, row.reason]))


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror or error}") from None


def _write_template(file: Path) -> None:
    from gatepost.fleet.finding.csv_import import template

    try:
        with file.open("xb") as out:
            out.write(template(chinese=language() == "zh"))
    except FileExistsError:
        raise typer.BadParameter(
            t(f"{file} is there already; give another name", f"{file} 已存在，请换一个文件名")
        ) from None
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror or error}") from None


def _say(text: str) -> None:
    typer.echo(text, err=True)


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command(
        "discover", help=t("List terminals that announce themselves.", "列出网络中自行广播的终端。")
    )(discover)
    group.command("scan", help=t("Scan networks for terminals.", "扫描网络中的终端。"))(scan)
    group.command("import", help=t("Adopt the terminals of a CSV file.", "按 CSV 文件批量接管终端。"))(
        import_file
    )
