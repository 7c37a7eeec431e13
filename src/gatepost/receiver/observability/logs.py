"""Where the receiver logs: events with fields, one a line, to standard error.

Rules:

* Standard output is what scripts read: the lines that announce the start, and nothing else.
* No name, no number, no image. Our own events have none in their fields. What libraries log comes as the text that
  stands in their code, without what they put into it; an error comes as its kind and its places in the code, without
  its words, for those quote values.
* A line that cannot be written, to a file on a full disk for example, is lost. Nothing else is: no loop ends for it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import traceback
from asyncio import AbstractEventLoop
from types import TracebackType
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor

__all__ = ["LEVELS", "Format", "Level", "loop_failed", "places", "to_stderr"]

Format = Literal["text", "json"]
Level = Literal["debug", "info", "warning", "error"]

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_FRAMES = 6


def to_stderr(form: Format = "text", level: Level = "info") -> None:
    """Configure the logs of this process, ours and those of libraries."""
    order = ["timestamp", "level", "event"]
    last: Processor = (
        structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=False)
        if form == "json"
        else structlog.processors.LogfmtRenderer(key_order=order, bool_as_flag=False)
    )
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_words,
            _in_order,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: structlog.WriteLogger(cast("TextIO", _STDERR)),
    )
    logging.basicConfig(handlers=[_Bridge()], level=max(LEVELS[level], logging.WARNING), force=True)


def places(trace: TracebackType | None) -> list[str]:
    """Where in the code an error was, the innermost last."""
    frames = traceback.extract_tb(trace)[-_FRAMES:]
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]


def loop_failed(loop: AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tell of an error that nobody caught, as the handler of an event loop."""
    # "Exception in callback store('…')": what stands in the parentheses is what it was called with.
    what = str(context.get("message", "")).partition("(")[0]
    structlog.get_logger(__name__).error("loop.failed", what=what, exc_info=context.get("exception"))


def _without_words(_: Any, __: str, event: EventDict) -> EventDict:
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()[1]
    elif isinstance(found, tuple):
        found = found[1]
    if isinstance(found, BaseException):
        event["kind"] = type(found).__name__
        event["where"] = places(found.__traceback__)
    return event


def _in_order(_: Any, __: str, event: EventDict) -> EventDict:
    first = {name: event.pop(name) for name in ("timestamp", "level", "event")}
    return {**first, **event}


class _Stderr(io.TextIOBase):
    """Standard error, of which no fault is told."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


_STDERR = _Stderr()


class _Bridge(logging.Handler):
    """Tells in our form what libraries log."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        tell = getattr(log, record.levelname.lower(), log.error)
        tell(f"library.{record.name}", what=str(record.msg), exc_info=record.exc_info)
