import io
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from gatepost.simulator.demo import view as view
from gatepost.simulator.demo.inventory import Verdict
from gatepost.simulator.meter import Count

GOOD = Verdict(recorded=1590, stored=1590, duplicates=0, lost=0, misfiled=0, altered=0)
BAD = Verdict(recorded=159, stored=157, duplicates=1, lost=2, misfiled=4, altered=3)


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "en")


def shown(what: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def row(verdict: Verdict) -> view.Row:
    return view.Row(serial="SIM0001C0MC22F00002", place="loading bay", verdict=verdict, waited=71, resent=5)


def test_the_table_fits_eighty_columns_and_cuts_no_word() -> None:
    table = shown(view.result([row(GOOD), row(BAD)]))
    assert max(map(len, table.splitlines())) <= 80
    assert "…" not in table
    for word in ("recorded", "stored", "duplicates", "lost", "waited", "resent", "1,590", "loading bay"):
        assert word in table
    assert table.count("✔") == table.count("✘") == 1


def test_the_last_word_names_everything_that_differs() -> None:
    assert "recorded = stored, duplicates 0, lost 0; 431 images" in shown(
        view.verdict([row(GOOD)], good=True, felt=True, strangers=0, images=431)
    )
    bad = shown(view.verdict([row(BAD)], good=False, felt=False, strangers=6, images=1))
    bad = " ".join(bad.split())
    for words in (
        "something differs",
        "3 images altered",
        "4 stored under another",
        "6 stored that no terminal recorded",
    ):
        assert words in bad
    assert "the outage was not felt" in bad


def test_the_progress_shows_the_stage_and_what_waits() -> None:
    counts = [Count(serial="SIM1", place="lobby", recorded=90, acknowledged=50)]
    picture = shown(view.progress(view.Stage.KILLED, counts, 0.4))
    assert "SIGKILL" in picture
    assert "40" in picture
    assert "…" not in picture


def test_the_addresses_can_be_opened() -> None:
    terminals = {"SIM1": "http://127.0.0.1:4000/v1/event/subscribe"}
    panel = shown(view.addresses("http://127.0.0.1:8080", "secret", Path("/srv/demo"), terminals))
    for text in (
        "http://127.0.0.1:8080/",
        "admin / secret",
        "/api/v1/records",
        *terminals.values(),
        "/srv/demo",
    ):
        assert text in panel


def test_it_speaks_chinese_where_chinese_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "zh")
    assert "已存储" in shown(view.result([row(GOOD)]))
    assert "强制终止" in view.Stage.KILLED.text()
