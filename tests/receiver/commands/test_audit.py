import json
from pathlib import Path

from tests.receiver.kit import Process, opened
from typer.testing import CliRunner

from gatepost.receiver.commands.audit import app
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.schema import tables as t

runner = CliRunner()


def noted(data: Path) -> None:
    store = opened(data)
    for number in range(3):
        Accounts(store).note(now_ms=number, actor="anna", address="", action="tried", detail={"n": number})
    store.close()


async def test_the_log_is_verified_and_exported_while_the_receiver_runs(tmp_path: Path) -> None:
    noted(tmp_path / "data")
    process = await Process.start(tmp_path / "data")
    try:
        result = runner.invoke(app, ["verify", "--data", str(tmp_path / "data")])
        assert (result.exit_code, "lines fit" in result.output) == (0, True)
        known = result.output.split()[-1]
        again = runner.invoke(app, ["verify", "--data", str(tmp_path / "data"), "--known", known])
        assert again.exit_code == 0
        lines = runner.invoke(app, ["export", "--data", str(tmp_path / "data")]).output.splitlines()
    finally:
        await process.stop()
    first, *rest = map(json.loads, lines)
    assert first == {"after": 0, "digest": "00" * 32}
    assert [(row["id"], row["actor"]) for row in rest[:3]] == [(1, "anna"), (2, "anna"), (3, "anna")]
    assert f"{rest[-1]['id']}:{rest[-1]['digest']}" == known


def test_a_line_that_was_changed_is_named(tmp_path: Path) -> None:
    noted(tmp_path / "data")
    store = opened(tmp_path / "data")
    with store.changing() as db:
        db.execute(t.audit.update().where(t.audit.c.id == 2).values(actor="berta"))
    store.close()
    result = runner.invoke(app, ["verify", "--data", str(tmp_path / "data")])
    assert result.exit_code == 1
    assert "line 2 does not fit" in result.output


def test_lines_that_retention_did_not_take_are_missed(tmp_path: Path) -> None:
    noted(tmp_path / "data")
    store = opened(tmp_path / "data")
    known = Accounts(store).verify_audit().head
    with store.changing() as db:
        db.execute(t.audit.delete())
        value = json.dumps([known.id, known.digest.hex()])
        db.execute(t.meta.insert().values(name="audit:anchor", value=value))
    store.close()
    said = f"{known.id}:{known.digest.hex()}"
    result = runner.invoke(app, ["verify", "--data", str(tmp_path / "data"), "--known", said])
    assert result.exit_code == 1
    assert "lines up to 3 are gone, and no line says that retention took them" in result.output


def test_a_digest_that_is_none_is_refused(tmp_path: Path) -> None:
    result = runner.invoke(app, ["verify", "--data", str(tmp_path / "data"), "--known", "5"])
    assert "ID:DIGEST" in str(result.exception)
