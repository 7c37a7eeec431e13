"""``gatepost events``."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from tests.client.conftest import Run
from tests.receiver.kit import TRACE, Running, alarm, record

from gatepost.receiver.auth.issuing import issue_token
from gatepost.store.accounts.accounts import Accounts

FIRST = 1_685_343_715


async def test_list_shows_a_line_a_record_or_json_lines(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        await receiver.push(record(uuid=f"u-{number}", timestamp=FIRST + number, **{"pass": number != 1}))
    assert await run("events", "list", "--limit", "2") == 0
    assert "SN-1  王五 (5)  employee  passed  face" in capsys.readouterr().out.splitlines()[0]
    assert await run("events", "list", "--refused", "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["uuid"] == "u-1"
    assert await run("events", "list", "--order", "oldest", "--json", "--limit", "0", "--search", "王") == 0
    assert [json.loads(line)["uuid"] for line in capsys.readouterr().out.splitlines()] == [
        "u-0",
        "u-1",
        "u-2",
    ]


async def test_times_are_those_of_the_terminals_zone_with_their_offset(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.store.update_site(1, timezone="Asia/Shanghai")
    await receiver.push(record(timestamp=FIRST))
    await receiver.push(alarm(event_time=FIRST * 1000), headers={"sn": "SN-1"})
    shown = "2023-05-29 15:01:55 +08:00"
    assert await run("events", "list") == 0
    assert capsys.readouterr().out.startswith(shown + "  SN-1")
    assert await run("alarms", "list") == 0
    assert shown in capsys.readouterr().out
    assert await run("people", "list") == 0
    assert capsys.readouterr().out.endswith(shown + "\n")
    assert await run("terminals", "list") == 0
    assert "+08:00" in capsys.readouterr().out
    assert await run("events", "list", "--json") == 0
    item = json.loads(capsys.readouterr().out)
    assert (item["recorded_at"], item["timezone"]) == ("2023-05-29T07:01:55Z", "Asia/Shanghai")


async def test_the_original_is_shown_on_request(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    await receiver.push(record())
    await receiver.push(alarm())
    for what in ("events", "alarms"):
        for flags, told in (((), False), (("--original",), True)):
            assert await run(what, "list", "--json", *flags) == 0
            assert ('"original":' in capsys.readouterr().out) is told
    assert await run("events", "export", str(tmp_path / "all.jsonl"), "--original") == 0
    assert '"original":' in (tmp_path / "all.jsonl").read_text("utf-8")
    assert await run("events", "export", str(tmp_path / "all.csv"), "--original") == 1


async def test_a_name_cannot_move_the_cursor_of_whoever_reads_it(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    await receiver.push(record(user={"name": "\x1b[2Jgone\n\r\x9b", "user_id": "1"}))
    assert await run("events", "list") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.isprintable()
    assert "gone" in line


@pytest.mark.parametrize(
    "environ",
    [
        {"PYTHONIOENCODING": "gbk"},
        {"PYTHONIOENCODING": "gb18030"},
        {"PYTHONIOENCODING": "big5"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {},
    ],
)
async def test_a_list_goes_on_behind_a_letter_that_the_console_has_not_got(
    receiver: Running, environ: dict[str, str]
) -> None:
    for number, name in enumerate(("Last", "\U0001f600 \u738b", "First")):
        await receiver.push(record(uuid=f"u-{number}", timestamp=FIRST + number, user={"name": name}))
    receiver.settle()
    asked = {"GATEPOST_URL": f"http://127.0.0.1:{receiver.port}", "GATEPOST_TOKEN": receiver.token}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gatepost.cli", "events", "list"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "GATEPOST_LANG": "en", **asked, **environ},
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, err) == (0, b"")
    lines = out.splitlines()
    assert [b"First" in lines[0], len(lines), b"Last" in lines[2]] == [True, 3, True]


async def test_a_name_that_the_locale_cannot_say_is_refused_with_a_sentence(receiver: Running) -> None:
    asked = {"GATEPOST_URL": f"http://127.0.0.1:{receiver.port}", "GATEPOST_TOKEN": receiver.token}
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "GATEPOST_LANG": "en"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gatepost.cli", "events", "list", "--search", "欧阳".encode()),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **asked, **plain},
    )
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert b"set LC_ALL=C.UTF-8" in err


@pytest.mark.parametrize(
    "since", ["2023-05-29T15:01:56.000000+08:00", "2023-05-29 15:01:56 0800", str((FIRST + 1) * 1000)]
)
async def test_since_takes_a_time_in_any_of_the_forms(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str], since: str
) -> None:
    for number in range(3):
        await receiver.push(record(uuid=f"u-{number}", timestamp=FIRST + number))
    assert await run("events", "list", "--since", since, "--order", "oldest", "--json") == 0
    assert [json.loads(line)["uuid"] for line in capsys.readouterr().out.splitlines()] == ["u-1", "u-2"]


async def test_labels_are_in_the_language_of_the_person(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "zh")
    await receiver.push(record(abnormal_type=20002))
    assert await run("events", "list") == 0
    assert "员工  通行  刷脸  不在通行时间内" in capsys.readouterr().out


async def test_tail_prints_what_arrives(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await receiver.push(record())
    receiver.settle()  # an alarm overtakes
    await receiver.push(alarm())
    from gatepost.client.commands import events

    shown = []

    def stop_after_two(text: object) -> None:
        shown.append(text)
        if len(shown) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(events.typer, "echo", stop_after_two)
    assert await run("events", "tail", "--after", "0") == 130
    assert "王五" in str(shown[0])
    assert "device tampered with" in str(shown[1])


@pytest.mark.parametrize(
    ("name", "begins"),
    [("a.csv", b"\xef\xbb\xbf"), ("a.xlsx", b"PK"), ("a.zip", b"PK"), ("a.jsonl", b'{"id"')],
)
async def test_export_saves_a_whole_file_by_its_name(
    receiver: Running, run: Run, tmp_path: Path, name: str, begins: bytes
) -> None:
    await receiver.push(record())
    assert await run("events", "export", str(tmp_path / name)) == 0
    assert (tmp_path / name).read_bytes().startswith(begins)
    assert not list(tmp_path.glob("*.part"))


async def test_export_speaks_the_language_of_the_person_and_takes_columns_and_filters(
    receiver: Running, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "zh")
    await receiver.push(record())
    await receiver.push(record(uuid="u-2", deviceSN="SN-2"))
    file = tmp_path / "table"
    wanted = ("--format", "csv", "--columns", "uuid,passed", "--terminal", "SN-2")
    assert await run("events", "export", str(file), *wanted) == 0
    assert file.read_bytes().decode("utf-8-sig") == "UUID,是否通行\r\nu-2,是\r\n"


async def test_export_of_alarms(receiver: Running, run: Run, tmp_path: Path) -> None:
    await receiver.push(alarm())
    assert (
        await run("events", "export", str(tmp_path / "a.csv"), "--alarms", "--columns", "trace_id,code") == 0
    )
    assert (tmp_path / "a.csv").read_text(
        "utf-8-sig"
    ) == "Trace ID,Alarm\n" + TRACE + ",device tampered with\n"


async def test_an_export_that_is_refused_leaves_the_file_that_was_there(
    receiver: Running,
    run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret, _ = issue_token(Accounts(receiver.store), "look", "viewer", by="test", now_ms=0)
    monkeypatch.setenv("GATEPOST_TOKEN", secret)
    (tmp_path / "a.csv").write_text("before")
    assert await run("events", "export", str(tmp_path / "a.csv")) == 1
    assert "operator" in capsys.readouterr().err
    assert (tmp_path / "a.csv").read_text() == "before"
    assert [path.name for path in tmp_path.glob("a.*")] == ["a.csv"]


@pytest.mark.parametrize(
    "argv", [("export", "file.pdf"), ("export", "x", "--format", "pdf"), ("list", "--order", "best")]
)
async def test_a_wrong_call_is_exit_code_2(
    run: Run, argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("events", *argv) == 2
    assert "Traceback" not in capsys.readouterr().err


async def test_nobody_there_is_one_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("events", "list", "--url", "http://127.0.0.1:9") == 1
    assert capsys.readouterr().err.startswith("gatepost: http://127.0.0.1:9 cannot be reached")


async def test_no_token_says_how_to_make_one(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GATEPOST_TOKEN")
    assert await run("events", "list") == 1
    assert "gatepost tokens create" in capsys.readouterr().err
