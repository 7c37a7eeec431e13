"""``gatepost backup``, ``backup-key``, ``restore`` and ``check-store``: done beside a receiver, also while it runs.

Progress goes to standard error and only to a person who watches; what was done goes to standard output. Exit
code 1 of ``check-store`` means that something was found.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gatepost.cli_text import t
from gatepost.errors import SettingsError

__all__ = ["register"]

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help=t("The backup; one file.", "备份文件。"), show_default=False)
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help=t("The receiver's data folder.", "接收端的数据目录。"))
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        envvar="GATEPOST_DATABASE",
        help=t(
            "postgresql://…, if the receiver stores there.", "postgresql://…，接收端使用 PostgreSQL 时给出。"
        ),
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help=t("Print JSON, for programs.", "以 JSON 输出，供程序读取。"))
]


def backup(
    file: FileArgument,
    data: DataOption = None,
    database: DatabaseOption = None,
    encrypt_to: Annotated[
        list[str] | None,
        typer.Option(
            "--encrypt-to",
            metavar="RECIPIENT|FILE",
            help=t(
                "Encrypt to this age recipient (age1…), or to those in a file; may be repeated. See backup-key.",
                "加密给该 age 公钥（age1…）或文件中的公钥，可重复给出。参见 backup-key。",
            ),
        ),
    ] = None,
) -> None:
    """Write everything into one file, while the receiver goes on."""
    from gatepost.store.maintenance.age import read_recipients
    from gatepost.store.maintenance.backup import backup as write

    folder, url = _place(data, database)
    recipients = read_recipients(encrypt_to) if encrypt_to else ()
    with _progress(t("backing up", "正在备份")) as progress:
        made = write(
            file, folder=folder, database=url, now=time.time(), recipients=recipients, progress=progress
        )
    typer.echo(t(f"{file}: {_told(made.rows)}", f"{file}：{_told(made.rows)}"))
    if made.damages:
        typer.echo(
            t(
                f"not in it: {made.damages} stretches of the journal that cannot be read",
                f"未包含：预写日志中 {made.damages} 处无法读取的内容",
            )
        )
    if made.images_missing:
        typer.echo(
            t(
                f"not in it: {made.images_missing} images that are not here; keep the data folders of other receivers"
                " of this database, or see what gatepost check-store says",
                f"未包含：{made.images_missing} 张不在此处的图片；若属于同一数据库的其他接收端，请保留其数据目录；"
                "否则请运行 gatepost check-store 查看",
            )
        )
    if made.lacks:
        journals = ", ".join(made.lacks)
        typer.echo(
            t(
                f"not in it: what waits in other journals ({journals}); keep the data folders of their receivers",
                f"未包含：其他预写日志（{journals}）中尚未列出的事件；请保留对应接收端的数据目录",
            )
        )


def backup_key(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help=t("Where the identity is written.", "私钥写入的文件。"),
            show_default=False,
        ),
    ],
) -> None:
    """Make a key for encrypted backups: the identity in a file, which restores, and the recipient, which is printed."""
    from gatepost.store.maintenance.age import make_identity

    typer.echo(make_identity(file))
    typer.echo(
        t(
            f"keep {file} where the backups are not: without it they cannot be restored",
            f"请将 {file} 与备份分开保存：没有它就无法恢复备份",
        ),
        err=True,
    )


def restore(
    file: FileArgument,
    data: DataOption = None,
    database: DatabaseOption = None,
    identity: Annotated[
        list[Path] | None,
        typer.Option(
            "--identity",
            metavar="FILE",
            help=t("The key of an encrypted backup; may be repeated.", "加密备份的私钥文件，可重复给出。"),
        ),
    ] = None,
) -> None:
    """Bring a backup back into an empty data folder or database."""
    from gatepost.store.maintenance.age import read_identities
    from gatepost.store.maintenance.restore import restore as read

    folder, url = _place(data, database)
    identities = read_identities(identity) if identity else ()
    with _progress(t("restoring", "正在恢复")) as progress:
        counts = read(file, folder=folder, database=url, identities=identities, progress=progress)
    typer.echo(t(f"restored: {_told(counts)}", f"已恢复：{_told(counts)}"))


def check_store(
    data: DataOption = None,
    database: DatabaseOption = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help=t(
                "List events without images that are lost, delete images that no event has, and complete moves of"
                " terminals.",
                "将图片已丢失的事件改列为无图片，删除不属于任何事件的图片，并完成终端的站点迁移。",
            ),
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Read everything once and say what is wrong, and what to do about it."""
    from gatepost.store.maintenance.check import check
    from gatepost.store.maintenance.check_results import keep_check

    folder, url = _place(data, database)
    report = check(folder, url, repair=repair)
    if folder is not None:
        keep_check(folder, report, datetime.now(UTC))
    if as_json:
        typer.echo(msgspec.json.encode(report).decode())
    else:
        typer.echo(
            t(
                f"{report.where}: {report.images} of {report.events} images are here and whole",
                f"{report.where}：共 {report.events} 张图片，其中 {report.images} 张在此且完好",
            )
        )
        for finding in report.findings:
            examples = f" ({', '.join(finding.examples)})" if finding.examples else ""
            typer.echo(f"{finding.count} × {finding.kind}: {finding.advice}{examples}")
        if report.repaired:
            typer.echo(t(f"repaired: {report.repaired}", f"已修复：{report.repaired}"))
        if report.ok:
            typer.echo(t("nothing is wrong", "未发现问题"))
    if not report.ok and not repair:
        raise typer.Exit(1)


def _place(data: Path | None, database: str | None) -> tuple[Path | None, str]:
    if data is None and not database:
        raise SettingsError("data", "is missing; give the receiver's --data, or its --database")
    return data, database or ""


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or t("empty", "空")


@contextmanager
def _progress(doing: str) -> Iterator[Callable[[int], None]]:
    """Tell a person who watches how many megabytes are done."""
    done = told = 0

    def advance(size: int) -> None:
        nonlocal done, told
        done += size
        if done - told >= 1_000_000 and sys.stderr.isatty():
            told = done
            typer.echo(f"\r{doing}: {done // 1_000_000} MB", err=True, nl=False)

    yield advance
    if told:
        typer.echo("", err=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("backup", help=t("Write everything into one file.", "将全部数据写入一个文件。"))(backup)
    app.command("backup-key", help=t("Make a key for encrypted backups.", "生成加密备份用的密钥。"))(
        backup_key
    )
    app.command("restore", help=t("Bring a backup back.", "恢复备份。"))(restore)
    app.command("check-store", help=t("Check the data on disk.", "检查磁盘上的数据。"))(check_store)
