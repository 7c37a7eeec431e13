"""``gatepost serve``: the receiver with its console.

The command stands here and not with the receiver's others because it puts both together, and the receiver, which
lies below, knows nothing of its console.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from gatepost.cli_text import t
from gatepost.receiver.commands.config import ConfigOption, DatabaseOption, DataOption, settings_with_origins

if TYPE_CHECKING:
    from gatepost.receiver.api.application import Pages
    from gatepost.receiver.jobs.projector.lag import Lag
    from gatepost.receiver.program import Listening
    from gatepost.settings import ReceiverSettings
    from gatepost.store.interface import Store
    from gatepost.store.privacy.permitted import Ask

__all__ = ["console_pages", "register"]


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
    role: Annotated[
        str | None,
        typer.Option(
            "--role",
            metavar="all|ingest|desk",
            help=t(
                "What this one of several receivers does; all unless given.",
                "多个接收端中本接收端承担的工作，默认 all。",
            ),
        ),
    ] = None,
) -> None:
    """Run the receiver until it is told to stop (SIGTERM, Ctrl-C)."""
    gc.disable()  # imports make no garbage, and each collection looks at all that is imported
    try:
        from gatepost.receiver.observability.logs import to_stderr
        from gatepost.receiver.program import run
    finally:
        gc.enable()

    settings, origins = settings_with_origins(config, listen=listen, database=database, role=role)
    to_stderr(settings.log_format, settings.log_level)

    code = run(
        settings,
        data,
        origins=origins,
        pages=console_pages if settings.role != "ingest" else None,
        listening=lambda where: _tell_listening(where, settings),
        administrator=_tell_password,
        failed=lambda sentence: typer.echo(f"gatepost: {sentence}", err=True),
    )
    if code:
        raise typer.Exit(code)


def _tell_listening(where: Listening, settings: ReceiverSettings) -> None:
    """Write where the receiver listens, and what a person has to know of it."""
    paths = " ".join(where.pushes + path for path in settings.ingest_paths)
    if settings.role == "desk":
        typer.echo(
            t(
                f"gatepost: listening on {where.pages}; it takes no pushes (role desk)",
                f"gatepost：正在监听 {where.pages}；不接收推送（role 为 desk）",
            )
        )
    else:
        typer.echo(
            t(
                f"gatepost: listening on {where.pages}; terminals push to {paths}",
                f"gatepost：正在监听 {where.pages}；终端推送地址 {paths}",
            )
        )
    if where.fingerprint:
        typer.echo(
            t(
                f"gatepost: certificate-sha256={where.fingerprint}; compare it when the browser asks",
                f"gatepost：certificate-sha256={where.fingerprint}；浏览器提示证书不受信任时请核对",
            )
        )
    for address in where.plain:
        typer.echo(
            t(
                f"gatepost: {address} is plain HTTP: the network in between can read faces and passwords. Set"
                " tls = self or certificate_file, or have a proxy speak TLS; on a closed network of terminals it"
                " may stay so",
                f"gatepost：{address} 使用明文 HTTP，途经的网络可以读到人脸和密码。请设置 tls = self 或"
                " certificate_file，或由反向代理提供 TLS；终端所在的封闭网络可以保持不变",
            ),
            err=True,
        )


def _tell_password(password: str) -> None:
    """Write the password of the first account, once."""
    typer.echo(
        t(
            f"gatepost: log in as admin with the password {password} (it is not shown again)",
            f"gatepost：请用账号 admin、密码 {password} 登录（密码只显示这一次）",
        )
    )


def console_pages(
    store: Store,
    settings: ReceiverSettings,
    lag: Callable[[], Lag],
    heard: Mapping[int, int],
    asks: Callable[[], Sequence[Ask]],
) -> Pages:
    """Return the console's pages; none, and a sentence on standard error, where the installation has no console."""
    from gatepost.console.assets import AssetsMissing
    from gatepost.console.routes import routes
    from gatepost.receiver.api.application import Pages

    try:
        return routes(store, settings, lag, heard, asks, ahead=True)
    except AssetsMissing as missing:
        # Events are taken all the same: a terminal's queue does not wait for somebody's browser.
        typer.echo(f"gatepost: {missing}", err=True)
        return Pages()


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("serve", help=t("Run the receiver.", "运行接收端。"))(serve)
