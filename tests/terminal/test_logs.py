import json
import logging
from collections.abc import Callable, Iterator

import pytest
import structlog

from gatepost.terminal import logs
from gatepost.terminal.logs import Log


@pytest.fixture(autouse=True)
def as_they_were() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    root.handlers[:] = before
    root.setLevel(level)


class TestOfAProgram:
    def test_a_log_is_one_line_of_fields_on_standard_error(self, capsys: pytest.CaptureFixture[str]) -> None:
        logs.to_stderr()
        Log("x").warning("outbox.dropped", count=500, reason="capacity")
        out, err = capsys.readouterr()
        assert out == ""
        assert err.endswith(" level=warning event=outbox.dropped count=500 reason=capacity\n")
        assert err.count("\n") == 1

    def test_a_line_may_be_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        logs.to_stderr("json")
        Log("x").warning("outbox.dropped", count=500, reason="容量")
        line = capsys.readouterr().err
        assert "容量" in line
        found = json.loads(line)
        assert found.pop("timestamp")
        assert found == {"level": "warning", "event": "outbox.dropped", "count": 500, "reason": "容量"}

    @pytest.mark.parametrize(
        ("level", "events"), [("info", ["a", "b", "c"]), ("warning", ["b", "c"]), ("error", ["c"])]
    )
    def test_what_is_below_the_level_is_not_logged(
        self, capsys: pytest.CaptureFixture[str], level: logs.Level, events: list[str]
    ) -> None:
        logs.to_stderr("json", level)
        log = Log("x")
        log.info("a")
        log.warning("b")
        log.error("c")
        assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == events

    @pytest.mark.parametrize("form", ["text", "json"])
    def test_a_traceback_has_no_values(self, capsys: pytest.CaptureFixture[str], form: logs.Format) -> None:
        logs.to_stderr(form)
        fail("王" + "五", lambda: Log("x").exception("defect"))
        err = capsys.readouterr().err
        assert "ValueError: odd" in err
        assert "王五" not in err
        assert err.count("\n") == 1

    @pytest.mark.parametrize("form", ["text", "json"])
    def test_what_libraries_log_has_the_same_form(
        self, capsys: pytest.CaptureFixture[str], form: logs.Format
    ) -> None:
        logs.to_stderr(form)
        fail("x", lambda: logging.getLogger("asyncio").exception("a %s of theirs", "failure"))
        logging.getLogger("asyncio").info("nothing that a person needs")
        err = capsys.readouterr().err
        assert "a failure of theirs" in err
        assert "ValueError: odd" in err
        assert err.count("\n") == 1
        if form == "json":
            assert json.loads(err)["level"] == "error"


class TestOfALibrary:
    def test_without_a_configuration_it_goes_to_logging_under_the_name_of_the_module(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        log = Log("gatepost.terminal.x")
        with caplog.at_level(logging.INFO):
            log.info("terminal.stopping")
            log.warning("outbox.dropped", count=500, reason="not %s of it")
            log.error("outbox.unavailable", error="disk full")
        assert [(one.name, one.levelname, one.getMessage()) for one in caplog.records] == [
            ("gatepost.terminal.x", "INFO", "terminal.stopping"),
            ("gatepost.terminal.x", "WARNING", 'outbox.dropped count=500 reason="not %s of it"'),
            ("gatepost.terminal.x", "ERROR", 'outbox.unavailable error="disk full"'),
        ]
        assert {one.filename for one in caplog.records} == {"test_logs.py"}

    def test_an_exception_has_its_traceback(self, caplog: pytest.LogCaptureFixture) -> None:
        fail("x", lambda: Log("gatepost.x").exception("defect", step=3))
        assert caplog.records[0].getMessage() == "defect step=3"
        assert "ValueError: odd" in caplog.text

    def test_a_program_may_configure_structlog_afterwards(self, caplog: pytest.LogCaptureFixture) -> None:
        log = Log("gatepost.x")
        log.warning("before")
        with structlog.testing.capture_logs() as captured:
            log.warning("after", count=1)
        assert captured == [{"event": "after", "log_level": "warning", "count": 1}]
        assert [one.getMessage() for one in caplog.records] == ["before"]


def fail(name: str, log: Callable[[], object]) -> None:
    """Raise an error over this name, and log it."""

    def open_door(name: str) -> None:
        raise ValueError("odd")

    try:
        open_door(name)
    except ValueError:
        log()
