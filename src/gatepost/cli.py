"""The command ``gatepost``: a table of commands, each loaded when it is called.

Rules:

- A command costs what it uses: ``gatepost terminal …`` never imports the receiver, and the other way round.
- A module that offers commands is called ``commands`` and has ``app`` (a ``typer.Typer`` that is the command or
  contains it) or ``register(app)``, which adds to the one given.
- What goes wrong is one line on standard error that says what to do next, and exit code 1; a wrong call is exit code 2
  with the usage. Never a traceback, unless ``GATEPOST_DEBUG=1`` asks for it.

Flow: ``main`` → the table → ``import_module`` → the command → exit code.
"""

import io
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gatepost import __version__
from gatepost.cli_text import app_options, how_to_install, t
from gatepost.errors import GatepostError


@dataclass(frozen=True, slots=True)
class Entry:
    """A command of the table: where it lives, which extra it needs (``""``: none), and what it does in one line."""

    module: str
    extra: str
    en: str
    zh: str


_RECEIVER = "gatepost.receiver.commands.config"
_STORE = "gatepost.receiver.commands.store"
_CLIENT = "gatepost.client.commands"

# In the order of the help. A command has its line here from the commit that makes it.
COMMANDS: Mapping[str, Entry] = {
    "terminal": Entry(
        "gatepost.terminal.commands", "", "a terminal: record, keep, push", "终端：记录、缓存、推送"
    ),
    "serve": Entry("gatepost.console.commands", "receiver", "run the receiver", "运行接收端"),
    "accounts": Entry(
        "gatepost.receiver.commands.accounts", "receiver", "list and unlock accounts", "列出和解锁账号"
    ),
    "tokens": Entry(
        "gatepost.receiver.commands.tokens", "receiver", "make and withdraw API tokens", "创建和吊销 API 令牌"
    ),
    "forward": Entry(
        "gatepost.receiver.commands.forward.commands",
        "receiver",
        "pass events on to destinations",
        "将事件转发到其他系统",
    ),
    "audit": Entry(
        "gatepost.receiver.commands.audit",
        "receiver",
        "verify and export the audit log",
        "校验和导出审计日志",
    ),
    "backup": Entry(_STORE, "receiver", "copy the receiver's data to one file", "将接收端数据备份为一个文件"),
    "backup-key": Entry(_STORE, "receiver", "make a key for encrypted backups", "生成加密备份用的密钥"),
    "restore": Entry(_STORE, "receiver", "bring a backup back", "恢复备份"),
    "check-store": Entry(_STORE, "receiver", "check the receiver's data on disk", "检查接收端磁盘上的数据"),
    "config": Entry(_RECEIVER, "receiver", "show the settings in force", "显示生效的设置"),
    "events": Entry(_CLIENT, "", "list, follow and export what happened", "列出、跟踪和导出通行记录"),
    "alarms": Entry(_CLIENT, "", "list, acknowledge and close alarms", "列出、确认和关闭告警"),
    "terminals": Entry(_CLIENT, "", "manage a receiver's terminals", "管理接收端的终端"),
    "people": Entry(_CLIENT, "", "list people, erase a person", "列出人员，删除个人信息"),
    "views": Entry(_CLIENT, "", "list and save views of pages", "列出和保存页面视图"),
    "simulate": Entry(
        "gatepost.simulator.commands", "simulator", "terminals that need no hardware", "无需硬件的模拟终端"
    ),
    "check": Entry(
        "gatepost.conformance.commands",
        "",
        "does the other end keep the contract?",
        "检查对端是否遵守协议",
    ),
    "torture": Entry(
        "gatepost.torture.commands",
        "receiver",
        "break everything, then count",
        "制造各种故障，然后核对数量",
    ),
}


# What a command imports only for some of its options, and which extra has it.
_EXTRA_OF: Mapping[str, str] = {"psycopg": "postgres", "apsw": "all"}


class CommandError(GatepostError):
    """The command cannot be loaded: a part of the distribution or one of its extras is not installed."""


def load(name: str, entry: Entry) -> Any:
    """Import the module of ``entry`` and return its command ``name``, or None if the module has no such command.

    Raises CommandError, with the command that installs it, if something that the module imports is not installed.
    """
    try:
        module = import_module(entry.module)
    except ModuleNotFoundError as error:
        raise CommandError(_missing(name, entry, error.name or "")) from error
    root = typer.Typer(**app_options())
    if hasattr(module, "register"):
        module.register(root)
    else:
        root.add_typer(module.app)
    found = _group(root).commands.get(name)
    if found is None and hasattr(module, "app") and not module.app.info.name:
        nested = typer.Typer(**app_options())
        nested.add_typer(module.app, name=name)
        found = _group(nested).commands[name]
    return found


def _group(app: typer.Typer) -> TyperGroup:
    app.callback()(lambda: None)  # a group even when it holds a single command
    return typer.main.get_group(app)


def _missing(name: str, entry: Entry, module: str) -> str:
    if module.startswith("gatepost"):
        return t(f"this installation has no command {name!r}", f"当前安装中没有命令 {name!r}")
    fix = how_to_install(_EXTRA_OF.get(module.partition(".")[0], entry.extra))
    return t(
        f"'gatepost {name}' needs {module}, which is not installed: {fix}",
        f"“gatepost {name}” 需要 {module}，但尚未安装：{fix}",
    )


class LazyGroup(TyperGroup):
    """The table as a command group: lists without importing, imports what is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command, or None for a name that is not in the table."""
        entry = COMMANDS.get(cmd_name)
        return None if entry is None else load(cmd_name, entry)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands into the help."""
        with formatter.section(t("Commands", "命令")):
            formatter.write_dl([(name, t(entry.en, entry.zh)) for name, entry in COMMANDS.items()])


app = typer.Typer(
    cls=LazyGroup,
    help=t(
        "The event line of face-recognition terminals: durable at the door, stored exactly once at the receiver.",
        "人脸识别门禁终端的事件通道：在门端可靠落盘，在接收端恰好存储一次。",
    ),
    **app_options(),
)


def _version(value: bool) -> None:
    if value:
        from gatepost.commit import commit  # only here: other commands do not need it

        found = commit()
        typer.echo(f"gatepost {__version__}" + (f" ({found})" if found else ""))
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            help=t("Show the version and the commit, and stop.", "显示版本和提交号，然后退出。"),
        ),
    ] = False,
) -> None:
    """Options of ``gatepost`` itself."""


def run(argv: Sequence[str]) -> int:
    """Run one command; return its exit code. Every error becomes one line on standard error."""
    try:
        typer.main.get_command(app).main(list(argv), prog_name="gatepost")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except GatepostError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:  # an import that a command makes only when it runs
        name = next((word for word in argv if word in COMMANDS), "")
        return _fail(_missing(name, COMMANDS[name], error.name or "")) if name else _fail(str(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Our output was closed (`… | head`). Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _fail(str(error))
    except UnicodeEncodeError:
        return _fail(
            t(
                "a name is no text in this locale; set LC_ALL=C.UTF-8 and try again",
                "参数中的文字无法用当前区域设置表示；请设置 LC_ALL=C.UTF-8 后重试",
            )
        )
    except Exception as error:  # the last line of defence: a person gets a sentence, not a stack
        if os.environ.get("GATEPOST_DEBUG") == "1":
            raise
        hint = t("set GATEPOST_DEBUG=1 to see where", "设置 GATEPOST_DEBUG=1 可查看出错位置")
        return _fail(f"{type(error).__name__}: {error} ({hint})")
    return 0


def _fail(sentence: str) -> int:
    print("gatepost: " + " ".join(sentence.split()), file=sys.stderr)  # noqa: T201 (this is the command line)
    return 1


def main() -> None:
    """Run what was typed: the entry point of the distribution.

    What a command makes is for its user alone, 0700 and 0600, whatever the umask: faces are in it.
    """
    os.umask(0o077)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A console that is no UTF-8 has no emoji, and a list must not end at one.
            stream.reconfigure(errors="replace")
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
