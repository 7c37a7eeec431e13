from collections.abc import Iterator

import pytest
import structlog

from gatepost.terminal import logs


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_a_log_is_one_line_of_fields_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    logs.to_stderr()
    structlog.get_logger("x").warning("outbox.dropped", count=500, reason="capacity")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith(" level=warning event=outbox.dropped count=500 reason=capacity\n")
    assert err.count("\n") == 1


def test_a_traceback_has_no_values(capsys: pytest.CaptureFixture[str]) -> None:
    logs.to_stderr()

    def open_door(name: str) -> None:
        raise ValueError("odd")

    try:
        open_door("王" + "五")
    except ValueError:
        structlog.get_logger("x").exception("defect")
    err = capsys.readouterr().err
    assert "ValueError: odd" in err
    assert "王五" not in err
