import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import typer

from gatepost import __version__, cli
from gatepost.cli import COMMANDS, Entry
from gatepost.commit import commit
from gatepost.errors import GatepostError

MODULE = "gatepost.made_up_commands"


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "en")


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of commands that exists for one test."""
    made = ModuleType(MODULE)
    monkeypatch.setitem(sys.modules, MODULE, made)
    monkeypatch.setattr(cli, "COMMANDS", {"try": Entry(MODULE, "receiver", "try it", "试试")})
    return made


def failing(error: BaseException) -> typer.Typer:
    app = typer.Typer()

    @app.command("try")
    def command() -> None:
        raise error

    return app


def test_the_help_lists_every_command_without_loading_any(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    text = capsys.readouterr().out
    for name, entry in COMMANDS.items():
        assert name in text
        assert entry.en in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_exists_and_has_its_help(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: gatepost {name} ")


def test_the_help_is_chinese_where_the_person_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "zh")
    cli.run(["--help"])
    text = capsys.readouterr().out
    for entry in COMMANDS.values():
        assert entry.zh in text


def test_the_version_is_the_distributions_with_its_commit(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert re.fullmatch(
        rf"gatepost {re.escape(__version__)}( \([0-9a-f]{{10,}}\))?\n", capsys.readouterr().out
    )


def test_the_commit_is_that_of_the_checkout_and_otherwise_the_one_it_was_built_of(tmp_path: Path) -> None:
    package = tmp_path / "src" / "gatepost"
    package.mkdir(parents=True)
    assert commit(package) == ""
    (package / "commit.txt").write_text("0123456789\n")
    assert commit(package) == "0123456789"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    assert head.startswith(commit(package))
    assert commit(package) not in ("", "0123456789")


def test_an_unknown_command_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["fly"]) == 2
    assert "fly" in capsys.readouterr().err


def test_an_error_of_ours_is_one_line_and_exit_code_1(
    module: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    module.app = failing(GatepostError("the disk is full;\n  make room"))
    assert cli.run(["try"]) == 1
    assert capsys.readouterr() == ("", "gatepost: the disk is full; make room\n")


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied", "/data"), RuntimeError("odd")])
def test_any_other_error_is_one_line_too(
    module: ModuleType, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    module.app = failing(error)
    assert cli.run(["try"]) == 1
    text = capsys.readouterr().err
    assert text.startswith("gatepost: ")
    assert text.count("\n") == 1


def test_a_traceback_can_be_asked_for(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEPOST_DEBUG", "1")
    module.app = failing(RuntimeError("odd"))
    with pytest.raises(RuntimeError):
        cli.run(["try"])


def test_ctrl_c_is_exit_code_130(module: ModuleType) -> None:
    module.app = failing(KeyboardInterrupt())
    assert cli.run(["try"]) == 130


def test_a_command_chooses_its_exit_code(module: ModuleType) -> None:
    module.app = failing(typer.Exit(1))
    assert cli.run(["try"]) == 1


def test_a_module_may_register_its_commands(module: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    def register(app: typer.Typer) -> None:
        @app.command("try")
        def command() -> None:
            typer.echo("registered")

    module.register = register
    assert cli.run(["try"]) == 0
    assert capsys.readouterr().out == "registered\n"


def test_a_module_may_be_the_command_itself(module: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    module.app = typer.Typer()

    @module.app.command("inner")
    def command() -> None:
        typer.echo("inside")

    assert cli.run(["try", "inner"]) == 0
    assert capsys.readouterr().out == "inside\n"


def test_a_missing_extra_is_a_sentence_with_what_to_type(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "needy_commands.py").write_text("import a_distribution_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(cli, "COMMANDS", {"try": Entry("needy_commands", "receiver", "try it", "试试")})
    assert cli.run(["try"]) == 1
    assert capsys.readouterr().err == (
        "gatepost: 'gatepost try' needs a_distribution_that_is_not_there, which is not installed: "
        "install it from a checkout: pip install '.[receiver]'\n"
    )


def test_an_extra_that_is_missed_only_while_running_is_the_same_sentence(
    module: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    module.app = failing(ModuleNotFoundError("No module named 'litestar'", name="litestar"))
    assert cli.run(["try"]) == 1
    assert "install it from a checkout: pip install '.[receiver]'" in capsys.readouterr().err


def test_what_is_missing_names_the_extra_that_has_it(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for missing, told in (
        ("psycopg", "install it from a checkout: pip install '.[postgres]'"),
        ("psycopg.rows", "install it from a checkout: pip install '.[postgres]'"),
        ("apsw", "install it from a checkout: pip install '.[all]'"),
        ("msgspec", "install it from a checkout: pip install --force-reinstall ."),
    ):
        module.app = failing(ModuleNotFoundError(f"No module named {missing!r}", name=missing))
        extra = "" if missing == "msgspec" else "receiver"
        monkeypatch.setattr(cli, "COMMANDS", {"try": Entry(module.__name__, extra, "try it", "试试")})
        assert cli.run(["try"]) == 1
        assert told in capsys.readouterr().err


def test_the_terminals_commands_load_nothing_of_the_receivers_side() -> None:
    code = (
        "import sys; from gatepost import cli; cli.load('terminal', cli.COMMANDS['terminal']); "
        "print(sorted({'asyncio', 'aiohttp', 'rich', 'structlog', 'cryptography', 'jwt', 'litestar', 'sqlalchemy', "
        "'uvicorn', 'PIL'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


def test_an_error_is_said_on_a_console_that_is_no_utf_8() -> None:
    environ = {**os.environ, "GATEPOST_LANG": "zh", "PYTHONIOENCODING": "gbk:strict"}
    done = subprocess.run(
        [sys.executable, "-m", "gatepost.cli", "check-store", "--data", "/nowhere/\U0001f600"],
        capture_output=True,
        timeout=60,
        check=False,
        env=environ,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(b"gatepost: ")
    assert b"/nowhere/?" in done.stderr


def test_output_that_nobody_reads_is_no_complaint() -> None:
    script = f"{sys.executable} -m gatepost.cli --help | true"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
