import io

import pytest
from rich.console import Console, RenderableType

from gatepost.simulator import view
from gatepost.simulator.meter import Count, Meter
from gatepost.simulator.report import make_report


def shown(what: RenderableType, *, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "en")


def meter(terminals: int = 3) -> Meter:
    counts = [
        Count(
            serial=f"SIM0001C0MC22F{n:05d}", place="lobby", firmware="1.3.0", recorded=10 + n, acknowledged=10
        )
        for n in range(terminals)
    ]
    counts[-1].away = True
    return Meter(counts)


MOMENT = view.ViewState(title="title", state="08:42 at the site", rate=12.3, elapsed=4.0, done=0.5)


def test_the_picture_fits_eighty_columns_and_cuts_no_word() -> None:
    picture = shown(view.live(meter(), MOMENT))
    assert max(map(len, picture.splitlines())) <= 80
    assert "…" not in picture
    for word in ("recorded", "acknowledged", "backlog", "failed", "08:42 at the site", "cut off"):
        assert word in picture


def test_the_terminals_that_lag_behind_most_are_shown_first_and_the_rest_is_counted() -> None:
    picture = shown(view.live(meter(30), MOMENT))
    assert picture.index("F00029") < picture.index("F00020")
    assert "F00000" not in picture
    assert "and 16 more" in picture


def test_failures_are_told_with_their_reasons() -> None:
    failing = meter()
    failing.failed(failing.counts[0], "HTTP 503", refused=False)
    assert "HTTP 503 × 1" in shown(view.live(failing, MOMENT))


def test_one_line_says_the_same_in_short() -> None:
    assert view.line(meter(), MOMENT).startswith(
        "   4.0 s  08:42 at the site: 30 of 33 acknowledged, backlog 3, 12/s"
    )


def test_it_speaks_chinese_where_chinese_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "zh")
    assert "已确认" in shown(view.live(meter(), MOMENT))
    assert "积压" in view.line(meter(), MOMENT)


def test_the_summary_says_whether_everything_was_acknowledged() -> None:
    lacking = make_report(meter(), url="", engine="fast", seed=1, seconds=1.0)
    assert "3 not acknowledged" in shown(view.summary(lacking))
    whole = make_report(meter(1), url="", engine="fast", seed=1, seconds=1.0)
    assert "everything recorded was acknowledged" in shown(view.summary(whole))


@pytest.mark.parametrize(
    ("error", "unheard", "words"),
    [("cannot connect", 0, "see --to"), ("", 7, "no terminal had a subscription"), ("", 0, "see --hours")],
)
def test_a_run_that_sent_nothing_says_so_and_what_to_look_at(error: str, unheard: int, words: str) -> None:
    idle = Meter([Count(serial="a", unheard=unheard)])
    if error:
        idle.errors[error] = 1
    text = shown(view.summary(make_report(idle, url="", engine="fast", seed=1, seconds=1.0)), width=200)
    assert "everything recorded was acknowledged" not in text
    assert "nothing was sent: " in text
    assert words in text


def test_the_summary_says_what_happened_before_anybody_subscribed() -> None:
    unheard = meter(1)
    unheard.counts[0].unheard = 7
    report = make_report(unheard, url="", engine="faithful", seed=1, seconds=1.0)
    assert "before any subscription" in shown(view.summary(report))


def test_the_summary_lists_the_classes_of_faults_only_where_there_are_any() -> None:
    faulty = meter(1)
    assert "dialect fault" not in shown(
        view.summary(make_report(faulty, url="", engine="fast", seed=1, seconds=1.0))
    )
    faulty.fault("no-numbers", sent=12, acknowledged=11)
    text = shown(view.summary(make_report(faulty, url="", engine="fast", seed=1, seconds=1.0)))
    (row,) = (line for line in text.splitlines() if "no-numbers" in line)
    assert row.split() == ["no-numbers", "12", "11"]
