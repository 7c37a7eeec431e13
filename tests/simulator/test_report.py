import json
from pathlib import Path

from gatepost.simulator.meter import Count, Meter
from gatepost.simulator.report import Report, make_report


def report() -> Report:
    meter = Meter(
        [
            Count(serial="a", recorded=10, acknowledged=8, again=1, attempts=14, refused=4, dead=1),
            Count(serial="b", recorded=5, acknowledged=5, attempts=7, unanswered=2, unheard=3),
        ]
    )
    meter.latency.add(0.010)
    meter.latency.add(0.030)
    meter.errors["outage"] = 2
    return make_report(meter, url="http://127.0.0.1/Record", engine="faithful", seed=3, seconds=2.0)


def test_it_sums_up_the_terminals() -> None:
    found = report()
    assert (found.recorded, found.acknowledged, found.again, found.attempts) == (15, 13, 1, 21)
    assert found.recorded == found.acknowledged + found.backlog + found.dead + found.dropped
    assert (found.refused, found.unanswered, found.unheard) == (4, 2, 3)
    assert found.rate == 6.5


def test_times_are_in_milliseconds() -> None:
    answers = report().answers
    assert (answers.count, answers.mean_ms, answers.max_ms) == (2, 20.0, 30.0)
    assert 10 <= answers.p50_ms <= 10.5


def test_it_is_complete_only_when_everything_was_acknowledged() -> None:
    assert not report().complete
    whole = Meter([Count(serial="a", recorded=1, acknowledged=1)])
    assert make_report(whole, url="", engine="fast", seed=1, seconds=1.0).complete


def test_a_run_that_acknowledged_nothing_is_not_complete() -> None:
    nothing = Meter([Count(serial="a")])
    assert not make_report(nothing, url="", engine="fast", seed=1, seconds=1.0).complete


def test_the_file_is_json_with_a_tally_for_each_terminal(tmp_path: Path) -> None:
    report().write(tmp_path / "report.json")
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["seed"] == 3
    assert found["errors"] == {"outage": 2}
    assert [terminal["serial"] for terminal in found["by_terminal"]] == ["a", "b"]
    assert found["by_terminal"][0]["backlog"] == 1


def test_it_says_how_many_of_each_class_of_faults_were_sent_and_acknowledged(tmp_path: Path) -> None:
    meter = Meter([Count(serial="a", recorded=3, acknowledged=2)])
    meter.fault("doubles", sent=3)
    meter.fault("doubles", acknowledged=2)
    made = make_report(meter, url="", engine="fast", seed=1, seconds=1.0)
    made.write(tmp_path / "report.json")
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["dialect_faults"] == {"doubles": {"sent": 3, "acknowledged": 2}}
