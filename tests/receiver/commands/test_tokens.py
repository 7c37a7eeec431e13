import re
import tomllib
from pathlib import Path

import pytest
from tests.receiver.kit import Process, opened
from typer.testing import CliRunner

from gatepost.receiver.commands.tokens import app
from gatepost.receiver.terminals.sources import sources_of, token_digest
from gatepost.store.accounts.accounts import Accounts

runner = CliRunner()


def make(data: Path, *options: str) -> str:
    result = runner.invoke(app, ["create", "--data", str(data), "--role", "viewer", "--name", "tv", *options])
    assert result.exit_code == 0, result.output
    return result.output.strip()


def test_a_token_is_printed_once_and_alone(tmp_path: Path) -> None:
    assert re.fullmatch(r"gp_[A-Za-z0-9_-]{43}", make(tmp_path / "data"))
    listed = runner.invoke(app, ["list", "--data", str(tmp_path / "data")])
    assert "viewer\tevery site\ttv\tnever used\tgood" in listed.output
    assert "gp_" not in listed.output


async def test_a_token_made_while_the_receiver_runs_is_good_at_once_and_so_is_its_end(tmp_path: Path) -> None:
    process = await Process.start(tmp_path / "data")
    try:
        secret = make(tmp_path / "data")
        head = {"Authorization": f"Bearer {secret}"}
        assert (await process.request("GET", "/api/v1/records", headers=head)).status == 200
        revoked = runner.invoke(app, ["revoke", "1", "--data", str(tmp_path / "data")])
        assert revoked.exit_code == 0
        assert (await process.request("GET", "/api/v1/records", headers=head)).status == 401
    finally:
        await process.stop()


def test_what_the_command_line_does_is_in_the_audit_log(tmp_path: Path) -> None:
    make(tmp_path / "data", "--days", "7")
    runner.invoke(app, ["revoke", "1", "--data", str(tmp_path / "data")])
    store = opened(tmp_path / "data")
    rows = Accounts(store).audit().items
    store.close()
    assert [(row.actor, row.action) for row in rows] == [
        ("command line", "token.revoked"),
        ("command line", "token.created"),
    ]


def test_a_token_may_be_for_some_sites(tmp_path: Path) -> None:
    data = tmp_path / "data"
    make(data)  # makes the store
    store = opened(data)
    hamburg = store.create_site("Hamburg", "Europe/Berlin", now_ms=0).id
    store.close()
    make(data, "--site", "Hamburg", "--site", "Hamburg")
    listed = runner.invoke(app, ["list", "--data", str(data)])
    assert f"viewer\t{hamburg}\ttv" in listed.output
    wrong = runner.invoke(
        app, ["create", "--data", str(data), "--role", "viewer", "--name", "tv", "--site", "Bremen"]
    )
    assert wrong.exit_code != 0
    assert "there is no site of this name" in str(wrong.exception)


@pytest.mark.parametrize(("arguments", "says"), [(["revoke", "9"], "no such token"), (["list"], "--data")])
def test_what_cannot_be_done_is_said(tmp_path: Path, arguments: list[str], says: str) -> None:
    where = ["--data", str(tmp_path / "data")] if arguments[0] == "revoke" else []
    result = runner.invoke(app, [*arguments, *where])
    assert result.exit_code != 0
    assert says in str(result.exception)


def test_a_token_of_a_source_is_printed_with_the_line_that_a_receiver_takes_it_from() -> None:
    result = runner.invoke(app, ["source", "--name", "branch", "--serial", "SN-1", "--serial", "N-*"])
    assert result.exit_code == 0, result.output
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", result.stdout.strip())
    (line,) = (one for one in result.stderr.splitlines() if one.startswith("source_tokens"))
    sources = sources_of(tomllib.loads(line)["source_tokens"])
    assert [(one.name, one.speaks_for("SN-1"), one.speaks_for("N-2")) for one in sources.values()] == [
        ("branch", True, True)
    ]
    assert list(sources) == [token_digest(result.stdout.strip())]


def test_a_source_is_bound_to_a_site_by_its_name(tmp_path: Path) -> None:
    data = tmp_path / "data"
    store = opened(data)
    hamburg = store.create_site("Hamburg", "Europe/Berlin", now_ms=0).id
    store.close()
    result = runner.invoke(app, ["source", "--name", "branch", "--site", "Hamburg", "--data", str(data)])
    assert result.exit_code == 0, result.output
    (line,) = (one for one in result.stderr.splitlines() if one.startswith("source_tokens"))
    (found,) = sources_of(tomllib.loads(line)["source_tokens"]).values()
    assert (found.speaks_for("SN-1", hamburg), found.speaks_for("SN-1", hamburg + 1)) == (True, False)
    for arguments, says in (
        (["--site", "Bremen", "--data", str(data)], "there is no site of this name"),
        (["--site", "Hamburg"], "--data"),
        ([], "serials or sites"),
    ):
        wrong = runner.invoke(app, ["source", "--name", "branch", *arguments])
        assert wrong.exit_code != 0
        assert says in str(wrong.exception)


def test_a_name_of_two_words_is_no_name_of_a_source() -> None:
    result = runner.invoke(app, ["source", "--name", "two words", "--serial", "SN-1"])
    assert result.exit_code != 0
