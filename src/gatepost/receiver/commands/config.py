"""The receiver's commands beside ``serve``: ``backup``, ``restore``, ``check-store``, ``config``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from gatepost.cli_text import app_options, t
from gatepost.settings import Origin, ReceiverSettings, load_with_origins, shown
from gatepost.settings.pages import example, toml_value

__all__ = [
    "ConfigOption",
    "DataOption",
    "DatabaseOption",
    "receiver_settings",
    "register",
    "settings_with_origins",
]

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
            "postgresql://… to store in PostgreSQL; the data folder holds the journal then.",
            "postgresql://…，改用 PostgreSQL 存储；数据目录存放预写日志。",
        ),
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help=t("A TOML file with settings.", "TOML 设置文件。")),
]


def receiver_settings(config: Path | None, **given: Any) -> ReceiverSettings:
    """Return the settings in force, with what the command line says."""
    return settings_with_origins(config, **given)[0]


def settings_with_origins(config: Path | None, **given: Any) -> tuple[ReceiverSettings, dict[str, Origin]]:
    """Return the settings in force, and where those are set that are not the default."""
    file = None if config is None else config.absolute()
    return load_with_origins(ReceiverSettings, file=file, environ=os.environ, given=given)


def show_config(config: ConfigOption = None) -> None:
    """Show every setting in force, as TOML; secrets are hidden, and what is not set is a comment."""
    for name, value in shown(receiver_settings(config)).items():
        typer.echo(f"{name} = {toml_value(value)}" if value is not None else f"# {name} is not set")


def show_example() -> None:
    """Print a settings file in which everything is explained and nothing is set."""
    typer.echo(example(), nl=False)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    config = typer.Typer(**app_options())
    config.command("show", help=t("Show the settings in force.", "显示生效的设置。"))(show_config)
    config.command(
        "example",
        help=t("Print a settings file with everything explained.", "输出带说明的设置文件模板。"),
    )(show_example)
    config.callback()(lambda: None)
    app.add_typer(config, name="config")
