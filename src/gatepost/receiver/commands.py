"""The receiver's commands: ``serve``, ``backup``, ``restore``, ``check-store``, ``config``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from gatepost.cli_text import app_options, t
from gatepost.settings import ReceiverSettings, load, shown

__all__ = ["register"]

DataOption = Annotated[
    Path,
    typer.Option(
        "--data", help=t("The data folder; it is made if there is none.", "数据目录；不存在时自动创建。")
    ),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        help=t(
            "postgresql://… to store in PostgreSQL instead of the data folder.",
            "postgresql://…，改用 PostgreSQL 存储。",
        ),
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help=t("A TOML file with settings.", "TOML 设置文件。")),
]


def _settings(config: Path | None, **given: Any) -> ReceiverSettings:
    return load(ReceiverSettings, file=config, environ=os.environ, given=given)


def serve(
    data: DataOption,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="HOST:PORT",
            help=t("Where to listen; 127.0.0.1:8080 unless given.", "监听地址，默认 127.0.0.1:8080。"),
        ),
    ] = None,
    database: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Run the receiver until it is told to stop (SIGTERM, Ctrl-C)."""
    from gatepost.receiver.app import run

    settings = _settings(config, listen=listen, database=database)

    def listening(address: str) -> None:
        paths = " ".join(address + path for path in settings.ingest_paths)
        typer.echo(
            t(
                f"gatepost: listening on {address}; terminals push to {paths}",
                f"gatepost：正在监听 {address}；终端推送地址 {paths}",
            )
        )

    def administrator(password: str) -> None:
        typer.echo(
            t(
                f"gatepost: log in as admin with the password {password} (it is not shown again)",
                f"gatepost：请用账号 admin、密码 {password} 登录（密码只显示这一次）",
            )
        )

    run(settings, data, listening=listening, administrator=administrator)


def show_config(config: ConfigOption = None) -> None:
    """Show the settings in force, as TOML-like lines; secrets are hidden."""
    for name, value in shown(_settings(config)).items():
        typer.echo(f"{name} = {msgspec.json.encode(value).decode()}")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("serve", help=t("Run the receiver.", "运行接收端。"))(serve)
    config = typer.Typer(**app_options())
    config.command("show", help=t("Show the settings in force.", "显示生效的设置。"))(show_config)
    config.callback()(lambda: None)
    app.add_typer(config, name="config")
