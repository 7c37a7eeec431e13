"""``gatepost terminal …``: run a terminal, hand events in, show the outbox.

Rules:

- A command that changes something uses the local socket of a running terminal. If none runs, it opens the outbox. So
  every command works in both cases, except ``emit``, which needs a running terminal.
- Output for programs is the same in every language: one JSON object (``--json``) or one per line, exit code 0 or 1.
- Only ``export`` writes images, into a file that only its owner can read.

Modules that a command does not need are imported where they are used, because scripts often start ``emit`` and
``status``.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from gatepost.cli_text import app_options, t
from gatepost.terminal import options
from gatepost.terminal.local_socket import client as socket_client
from gatepost.terminal.local_socket.client import TerminalNotRunning

if TYPE_CHECKING:
    from gatepost.terminal.outbox.types import State

app = typer.Typer(
    name="terminal",
    help=t("Run a terminal, hand events in, show its outbox.", "终端：运行、提交事件、查看缓存。"),
    **app_options(),
)
letters = typer.Typer(
    help=t(
        "Events that are no longer pushed because the receiver refused them too often.",
        "因多次被接收端拒绝而不再推送的事件。",
    ),
    **app_options(),
)
app.add_typer(letters, name="dead-letters")


@app.command(
    help=t("Run a terminal until SIGTERM or Ctrl-C.", "运行终端，直到收到 SIGTERM 或按 Ctrl-C。"),
    epilog=t(
        "Every other setting: --config FILE (TOML), or GATEPOST_NAME in the environment.",
        "其余设置：--config FILE（TOML），或环境变量 GATEPOST_名称。",
    ),
)
def run(
    *,
    sn: options.Serial,
    data: options.Data,
    listen: options.Listen = None,
    username: options.Username = None,
    password_file: options.PasswordFile = None,
    model: options.Model = None,
    config: options.Config = None,
    log_format: options.LogFormat = None,
    log_level: options.LogLevel = None,
    misbehave: options.Misbehave = None,
) -> None:
    """Load the settings and run."""
    from gatepost.settings import TerminalServiceSettings, load
    from gatepost.terminal import program
    from gatepost.terminal.rehearsal.faults import parse

    given = {
        "listen": listen,
        "username": username,
        "password_file": password_file,
        "model": model,
        "log_format": log_format,
        "log_level": log_level,
    }
    settings = load(TerminalServiceSettings, file=config, environ=os.environ, given=given)
    faults = parse(misbehave) if misbehave else None
    program.main(
        sn,
        data,
        settings,
        say=lambda line: print(line, flush=True),  # noqa: T201 (what a script waits for)
        faults=faults,
    )


@app.command(
    help=t(
        'Hand events in: JSON lines {"type":0|1,"data":{…}} on standard input, one JSON line out per event once it is '
        "on disk. Exit code 1 if any was refused.",
        '提交事件：标准输入每行一个 JSON {"type":0|1,"data":{…}}，落盘后逐条输出一行 JSON；'
        "有任何一条被拒绝则退出码为 1。",
    )
)
def emit(*, data: options.Data) -> None:
    """Copy standard input to the local socket."""
    if not socket_client.emit(data, _lines(), sys.stdout.buffer):
        raise typer.Exit(1)


@app.command(
    help=t("Show the status of the terminal, running or stopped.", "显示终端状态（运行中或已停止均可）。")
)
def status(*, data: options.Data, as_json: options.AsJson = False) -> None:
    """Ask the running terminal, or read its outbox."""
    found = _ask(data, "status")
    if as_json:
        return _print_json(found)
    from gatepost.terminal.cli_output import status_lines

    return _print(status_lines(found))


@app.command(
    help=t(
        "Show the backlog: events, age of the oldest, bytes, drops, dead letters.",
        "显示积压：数量、最早时间、字节数、丢弃与死信。",
    )
)
def outbox(*, data: options.Data, as_json: options.AsJson = False) -> None:
    """Print the part of the status that is about the backlog."""
    found = _ask(data, "status")
    if as_json:
        return _print_json(found)
    from gatepost.terminal.cli_output import outbox_lines

    return _print(outbox_lines(found))


@app.command(
    help=t(
        "Set the address to push to, as POST /v1/event/subscribe does.",
        "设置推送地址，与 POST /v1/event/subscribe 相同。",
    )
)
def subscribe(
    event_dest: Annotated[
        str, typer.Argument(metavar="URL", help=t("The receiver's address.", "接收端地址。"))
    ],
    *,
    data: options.Data,
    enabled: Annotated[
        bool,
        typer.Option(
            "--enabled/--disabled", help=t("Push now, or only store.", "立即推送，或仅缓存不推送。")
        ),
    ] = True,
) -> None:
    """Store the address to push to."""
    _ask(data, "subscribe", event_dest=event_dest, enabled=enabled)


@letters.command("list", help=t("List dead letters, oldest first.", "列出死信，最早的在前。"))
def list_letters(*, data: options.Data, as_json: options.AsJson = False) -> None:
    """Print id, kind, time, refusals and reason; nothing about people."""
    from gatepost.terminal.cli_output import letter, letter_line

    reader, after = _reader(data), 0
    while found := reader.dead_letters(100, after):
        for stored in found:
            about = letter(stored)
            _print([msgspec.json.encode(about).decode() if as_json else letter_line(about)])
        after = found[-1].id


@letters.command(help=t("Push dead letters again, as if never refused.", "重新推送死信，视同从未被拒绝。"))
def retry(numbers: options.Numbers = None, *, data: options.Data, every: options.All = False) -> None:
    """Make dead letters pending."""
    _print_json(_ask(data, "retry", ids=_chosen(numbers, every)))


@letters.command(
    help=t("Drop dead letters. They count as dropped.", "丢弃死信，计入已丢弃。"),
)
def discard(numbers: options.Numbers = None, *, data: options.Data, every: options.All = False) -> None:
    """Drop dead letters."""
    _print_json(_ask(data, "discard", ids=_chosen(numbers, every)))


@app.command(
    help=t("Write events to FILE, one push body per line.", "将事件写入文件，每行一个推送请求体（JSON）。")
)
def export(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help=t("File to write; -: standard output.", "目标文件；- 为标准输出。")
        ),
    ],
    *,
    data: options.Data,
    state: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATE",
            help=t(
                "State of the events: pending, dead or delivered; may be repeated [default: pending and dead].",
                "事件状态：pending（待推送）、dead（死信）或 delivered（已送达）；可重复 [默认 pending 与 dead]。",
            ),
        ),
    ] = None,
) -> None:
    """Read the outbox step by step, without stopping the terminal, and write its events."""
    from gatepost.terminal.cli_output import write_lines

    states = _states(state or ["pending", "dead"])
    count = write_lines(file, _reader(data, is_rescue=True), states)
    print(  # noqa: T201 (for the person; standard output may be the export itself)
        t(f"{count} events written", f"已写入 {count} 条事件"), file=sys.stderr
    )


def _lines() -> Iterator[bytes]:
    while line := sys.stdin.buffer.readline():
        yield line


def _ask(data: Path, question: str, **fields: Any) -> Any:
    """Send a command to the running terminal; without one, open the outbox for it."""
    try:
        return socket_client.ask(data, question, **fields)
    except TerminalNotRunning:
        from gatepost.terminal import logs
        from gatepost.terminal.local_socket import control

        logs.to_stderr()
        return control.run_stopped(data, question, fields)


def _reader(data: Path, *, is_rescue: bool = False) -> Any:
    from gatepost.terminal import logs
    from gatepost.terminal.local_socket.control import outbox_folder
    from gatepost.terminal.outbox.reader import Reader

    logs.to_stderr()
    return Reader(outbox_folder(data), is_rescue=is_rescue)


def _chosen(numbers: list[int] | None, every: bool) -> list[int] | None:
    if bool(numbers) == every:
        raise typer.BadParameter(t("give numbers, or --all", "请给出编号，或使用 --all"))
    return None if every else numbers


def _states(names: list[str]) -> "set[State]":
    from gatepost.terminal.outbox.types import State

    try:
        return {State(name) for name in names}
    except ValueError:
        known = ", ".join(State)
        raise typer.BadParameter(t(f"--state must be one of {known}", f"--state 只能是 {known}")) from None


def _print(lines: list[str]) -> None:
    for line in lines:
        print(line)  # noqa: T201 (this is the command line)


def _print_json(value: object) -> None:
    _print([msgspec.json.encode(value).decode()])
