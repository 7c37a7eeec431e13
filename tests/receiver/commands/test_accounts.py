from pathlib import Path

import pytest
from tests.receiver.kit import Process, body, opened
from typer.testing import CliRunner

from gatepost.receiver.auth.login_throttle import FREE
from gatepost.receiver.commands.accounts import app
from gatepost.store.accounts.accounts import Accounts

runner = CliRunner()
PASSWORD = "correct horse battery"


def run(data: Path, *arguments: str) -> str:
    result = runner.invoke(app, [*arguments, "--data", str(data)])
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


async def log_in(process: Process, password: str, address: str) -> int:
    sender = await process.connect()
    credentials = body({"name": "admin", "password": password})
    answer = await sender.request("POST", "/api/v1/session", credentials, {"X-Forwarded-For": address})
    return answer.status


async def test_who_was_locked_out_by_others_is_let_in_while_the_receiver_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_ADMIN_PASSWORD", PASSWORD)
    monkeypatch.setenv("GATEPOST_TRUSTED_PROXIES", "127.0.0.1")
    process = await Process.start(tmp_path / "data")
    try:
        for number in range(FREE["account"]):
            assert await log_in(process, "guessed", f"10.0.1.{number}") == 401
        assert await log_in(process, PASSWORD, "10.0.0.1") == 429
        assert "admin" in run(tmp_path / "data", "unlock", "admin")
        assert await log_in(process, PASSWORD, "10.0.0.1") == 200
        made = run(tmp_path / "data", "reset-password", "Admin")
        assert await log_in(process, PASSWORD, "10.0.0.2") == 401
        assert await log_in(process, made, "10.0.0.2") == 200
        assert run(tmp_path / "data", "list").split("\t")[1:] == [
            "admin",
            "admin",
            "must change the password",
        ]
    finally:
        await process.stop()
    store = opened(tmp_path / "data")
    rows = [(row.actor, row.action, row.subject) for row in Accounts(store).audit().items]
    store.close()
    assert ("command line", "account.unlocked", "admin") in rows
    assert ("command line", "account.password_reset", "admin") in rows
    assert made not in str(rows)


@pytest.mark.parametrize("command", ["unlock", "reset-password"])
def test_an_account_that_is_not_there_is_said(tmp_path: Path, command: str) -> None:
    result = runner.invoke(app, [command, "nobody", "--data", str(tmp_path / "data")])
    assert "there is no such account; see gatepost accounts list" in str(result.exception)
