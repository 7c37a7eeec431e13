"""``gatepost check receiver`` and ``gatepost check terminal``: hold the other end against the protocol.

Rules: the table goes to standard output, progress to standard error. The exit code is 0 if no rule is broken and the
core rules were tried, 1 otherwise, and 2 for wrong arguments.
"""

import asyncio
import socket
import sys
from pathlib import Path

import typer

from gatepost.cli_text import app_options, t
from gatepost.conformance import options
from gatepost.conformance.durations import seconds
from gatepost.conformance.raw_http import Target
from gatepost.conformance.receiver.probe import Api, Limits, Probe
from gatepost.conformance.receiver.rules import RULES as RECEIVER_RULES
from gatepost.conformance.report import as_json, as_junit, printed
from gatepost.conformance.rule import NotTried, Result, Rule, Subject
from gatepost.conformance.runner import Report, run
from gatepost.conformance.signals import until_told
from gatepost.conformance.terminal.fake_receiver import FakeReceiver, ListenError
from gatepost.conformance.terminal.rules import RULES as TERMINAL_RULES
from gatepost.conformance.terminal.rules import examine
from gatepost.conformance.terminal.session import Cause, TerminalSession, Timeouts
from gatepost.errors import GatepostError

check = typer.Typer(
    name="check",
    help=t("Check a receiver or a terminal against the protocol.", "检查接收端或终端是否遵守协议。"),
    **app_options(),
)


class UnknownRule(GatepostError):
    """``--only`` names a rule that does not exist."""


@check.command(
    "receiver",
    help=t(
        "Check a receiver against the protocol. Only the URL is needed. Leaves some 400 events in the receiver.",
        "检查接收端是否遵守协议。只需给出地址；检查会在接收端留下约 400 条事件。",
    ),
)
def receiver(
    url: options.ReceiverUrl,
    json: options.JsonFile = None,
    junit: options.JunitFile = None,
    only: options.Only = None,
    verbose: options.Verbose = False,
    timeout: options.Timeout = "10s",
    slow: options.Slow = "6s",
    ca_file: options.CaFile = None,
    api: options.Api = None,
    api_token: options.ApiToken = "",
) -> None:
    """Run the rules for receivers."""
    limits = Limits(timeout_s=seconds(timeout), slow_s=seconds(slow))
    reading = None if api is None else Api(Target.parse(api), api_token)
    probe = Probe(Target.parse(url), limits=limits, ca_file=ca_file, api=reading)
    rules = chosen(RECEIVER_RULES, only)
    results = asyncio.run(run(rules, probe, told=progress))
    finish(Report("receiver", url, results), json=json, junit=junit, verbose=verbose)


@check.command(
    "terminal",
    help=t(
        "Check a terminal against the protocol. This command becomes its receiver, and restores its subscription at "
        "the end. A person has to pass the terminal when asked, unless --cause makes events happen.",
        "检查终端是否遵守协议：本命令充当其接收端，结束时恢复原有推送配置。"
        "需要有人按提示通过终端，或用 --cause 产生事件。",
    ),
)
def terminal(
    url: options.TerminalUrl,
    listen: options.Listen,
    json: options.JsonFile = None,
    junit: options.JunitFile = None,
    only: options.Only = None,
    verbose: options.Verbose = False,
    user: options.User = None,
    password: options.Password = None,
    event_dest: options.EventDest = None,
    cause: options.Cause = None,
    outage: options.Outage = "10s",
    patience: options.Patience = "2m",
    resend: options.Resend = "2m",
    quiet: options.Quiet = "5s",
    timeout: options.Timeout = "10s",
) -> None:
    """Run the rules for terminals."""
    waits = Timeouts(
        reply_s=seconds(timeout),
        event_s=seconds(patience),
        resend_s=seconds(resend),
        quiet_s=seconds(quiet),
        outage_s=seconds(outage),
    )
    host, port = listen_address(listen)
    target, fake = Target.parse(url), FakeReceiver(host, port)
    account = None if user is None else (user, password or "")
    rules = chosen(TERMINAL_RULES, only)

    async def examined() -> tuple[Result, ...]:
        await fake.open()
        try:
            dest = event_dest or f"http://{reachable(host, target.host)}:{fake.port}/Record"
            session = TerminalSession(
                target,
                fake,
                event_dest=dest,
                cause=causing(cause, waits),
                timeouts=waits,
                user=account,
                certain=cause is not None,
            )
            return await examine(session, rules=rules, told=progress)
        finally:
            await fake.close()

    results = asyncio.run(until_told(examined()))
    finish(Report("terminal", url, results), json=json, junit=junit, verbose=verbose)


def listen_address(text: str) -> tuple[str, int]:
    """Take HOST:PORT apart. Raises ListenError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ListenError(f"--listen {text} is no HOST:PORT such as 192.168.1.20:8099")
    return host.strip("[]"), int(port)


def reachable(host: str, peer: str) -> str:
    """Return ``host``; where it means every address, the address of this machine that ``peer`` sees."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 (compared, not listened at)
        family = socket.AF_INET6 if ":" in peer else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probing:
            probing.connect((peer, 9))  # sends nothing, only chooses the route
            host = probing.getsockname()[0]
    return f"[{host}]" if ":" in host else host


def causing(command: str | None, waits: Timeouts) -> Cause:
    """Return a function that makes events happen: by the shell command, or by asking a person."""

    async def asked(count: int) -> None:
        typer.echo(
            t(
                f"Please pass the terminal now, {count} time(s); waiting up to {waits.event_s:g} s.",
                f"请现在通过终端 {count} 次；最多等待 {waits.event_s:g} 秒。",
            ),
            err=True,
        )

    async def ran(count: int) -> None:
        for _ in range(count):
            process = await asyncio.create_subprocess_shell(command or "", stdout=asyncio.subprocess.DEVNULL)
            if code := await process.wait():
                raise NotTried(
                    f"the command of --cause ended with code {code}", f"--cause 命令的退出码为 {code}"
                )

    return asked if command is None else ran


def chosen(rules: tuple[Rule[Subject], ...], only: list[str] | None) -> tuple[Rule[Subject], ...]:
    """Return the rules that ``only`` names, or all. Raises UnknownRule."""
    if not only:
        return rules
    missing = set(only) - {rule.id for rule in rules}
    if missing:
        raise UnknownRule(
            f"there is no rule {min(missing)!r}; the rules are: {', '.join(rule.id for rule in rules)}"
        )
    return tuple(rule for rule in rules if rule.id in only)


def progress(result: Result) -> None:
    """Print each result to standard error as it comes, if that is a terminal."""
    if sys.stderr.isatty():
        typer.echo(f"{result.id}: {result.finding.verdict.words}", err=True)


def finish(report: Report, *, json: Path | None, junit: Path | None, verbose: bool) -> None:
    """Write and print the report; exit 1 if a rule is broken or the core rules were not tried."""
    if json is not None:
        json.write_bytes(as_json(report))
    if junit is not None:
        junit.write_bytes(as_junit(report))
    printed(report, verbose=verbose)
    if not report.ok:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.add_typer(check)
