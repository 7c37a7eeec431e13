"""Read the options of ``gatepost simulate``, and name the option that is wrong.

Every function raises ``typer.BadParameter``.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gatepost.cli_text import t
from gatepost.wire import Dialect

if TYPE_CHECKING:
    from gatepost.simulator.engines.services import ServiceOptions


def day(text: str | None) -> datetime:
    """Return the day that is simulated."""
    from gatepost.simulator.world.scenario import DEFAULT_DAY, SITE_TIME

    if text is None:
        return DEFAULT_DAY
    if text == "today":
        return datetime.now(SITE_TIME).replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=SITE_TIME)
    except ValueError:
        raise wrong("--date", t("must be YYYY-MM-DD or today", "应为 YYYY-MM-DD 或 today")) from None


def hours(text: str) -> tuple[float, float]:
    """Return the begin and the end of the part of the day, in hours."""
    begin, _, end = text.partition("-")
    try:
        opens, closes = float(begin), float(end)
    except ValueError:
        opens = closes = -1.0
    if not 0 <= opens < closes <= 24:
        raise wrong(
            "--hours", t("must be FROM-TO, such as 7-20 or 8.5-9.5", "应为 起-止，例如 7-20 或 8.5-9.5")
        )
    return opens, closes


def mix(text: str) -> dict[Dialect, float]:
    """Return the share of each firmware."""
    versions = {str(version).replace(" ", "-"): version for version in Dialect}
    shares: dict[Dialect, float] = {}
    for part in text.split(","):
        name, _, share = part.strip().partition("=")
        try:
            shares[versions[name]] = float(share or 1)
        except (KeyError, ValueError):
            known = ", ".join(versions)
            raise wrong(
                "--mix",
                t(f"must be VERSION=SHARE,… with versions {known}", f"应为 版本=份额,…，版本可为 {known}"),
            ) from None
    if min(shares.values()) < 0 or sum(shares.values()) <= 0:
        raise wrong("--mix", t("needs a share above 0", "至少需要一个大于 0 的份额"))
    return shares


def url(text: str | None, *, needed: bool) -> str | None:
    """Return the receiver's address. ``needed``: it must be given."""
    from gatepost.terminal.push.target import take_apart

    if text is None:
        if needed:
            raise wrong("--to", t("is needed: the receiver's address", "必须给出接收端地址"))
        return None
    try:
        take_apart(text.replace("{sn}", "SN"))
    except ValueError:
        raise wrong("--to", t("must be an http or https address", "应为 http 或 https 地址")) from None
    return text


def offer(
    listen: str | None,
    username: str | None,
    password_file: Path | None,
    misbehave: list[str],
    *,
    list_file: Path | None = None,
    fast: bool,
) -> ServiceOptions | None:
    """Return how the terminals' own services are served; ``None``: not at all."""
    from gatepost.errors import SettingsError
    from gatepost.settings import TerminalServiceSettings
    from gatepost.simulator.engines.services import ServiceOptions
    from gatepost.terminal.http_api.listener import is_loopback, passwords_of, split
    from gatepost.terminal.rehearsal.faults import parse

    if listen is None:
        for option, given in (
            ("--username", username),
            ("--password-file", password_file),
            ("--misbehave", misbehave),
            ("--terminal-list", list_file),
        ):
            if given:
                raise wrong(option, t("needs --terminal-api", "需要 --terminal-api"))
        return None
    if fast:
        raise wrong("--terminal-api", t("needs --engine faithful", "需要 --engine faithful"))
    try:
        host, port = split(listen)
        file = None if password_file is None else str(password_file)
        passwords = passwords_of(TerminalServiceSettings(username=username or "", password_file=file))
        faults = parse(misbehave) if misbehave else None
    except SettingsError as error:
        option = _OPTIONS.get(error.setting, f"--{error.setting.replace('_', '-')}")
        raise wrong(option, error.why) from None
    if not is_loopback(host) and not username:
        raise wrong(
            "--terminal-api",
            t(
                "must be on loopback, or have an account: give --username and --password-file",
                "只能监听本机地址；其他地址需用 --username 和 --password-file 设置账号",
            ),
        )
    if list_file is not None and not username:
        raise wrong("--terminal-list", t("needs --username", "需要 --username"))
    if faults is not None and faults.certificate and not username:
        raise wrong("--misbehave", t("certificate needs --username", "certificate 需要 --username"))
    return ServiceOptions(
        host=host,
        port=port,
        username=username or "",
        password=passwords.get(username or "", ""),
        faults=faults,
        list_file=list_file,
    )


_OPTIONS = {"listen": "--terminal-api"}


def wrong(option: str, why: str) -> typer.BadParameter:
    """Return the error about an option."""
    return typer.BadParameter(f"{option} {why}")
