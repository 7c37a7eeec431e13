"""Rows, verdicts, and the file of results."""

from benchmarks.report import Row, merge, section, table

ORDER = ("first", "second")


def test_a_target_with_a_peer_is_for_the_ratio() -> None:
    row = Row(what="x", value=30, unit="/s", peer="peer", peer_value=10, target=2.5)
    assert row.kept is True
    assert Row(what="x", value=30, unit="/s", peer="peer", peer_value=20, target=2.5).kept is False


def test_a_target_without_a_peer_is_for_the_value() -> None:
    assert Row(what="x", value=79, unit="MB", target=80, at_most=True).kept is True
    assert Row(what="x", value=81, unit="MB", target=80, at_most=True).kept is False


def test_a_row_without_a_target_has_no_verdict() -> None:
    row = Row(what="x", value=1, unit="cores")
    assert row.kept is None
    assert table([row]).splitlines()[-1] == "| x | 1.00 cores |  |  |  |  |"


def test_measuring_one_benchmark_leaves_the_section_of_another() -> None:
    rows = [Row(what="x", value=1, unit="/s")]
    text = merge("", {"second": section("second", "Is it?", rows, footer="then")}, ORDER)
    text = merge(text, {"first": section("first", "Was it?", rows, footer="now")}, ORDER)
    assert text.index("## first") < text.index("Was it?") < text.index("## second") < text.index("Is it?")
    assert merge(text, {}, ORDER) == text
