"""The log of a terminal: log events with fields, without names, numbers or images.

Rules:

- **A library writes nothing by itself.** If the program has configured structlog, log events go there. Otherwise they
  go to `logging`, to a logger with the name of the module, as ``EVENT FIELD=VALUE …``. A program that has configured
  neither sees no line.
- The terminal's own programs write to standard error, one log event per line (`to_stderr`). Scripts read standard
  output. Tracebacks come without the values of variables, which may be names and images.
"""

import logging
import sys
from typing import Any, Literal

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import Processor

__all__ = ["Format", "Level", "Log", "to_stderr"]

Format = Literal["text", "json"]
Level = Literal["debug", "info", "warning", "error"]

logging.getLogger("gatepost").addHandler(
    logging.NullHandler()
)  # otherwise `logging` prints warnings by itself

_FIELDS = structlog.processors.LogfmtRenderer(bool_as_flag=False)


class Log:
    """The log of one module. ``name``: the module's."""

    def __init__(self, name: str) -> None:
        self._structlog = structlog.get_logger(name)
        self._logger = logging.getLogger(name)

    def info(self, event: str, **fields: Any) -> None:
        """Log an event of normal operation."""
        self._tell("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Log an event that an operator should know of."""
        self._tell("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Log an event that an operator has to act on."""
        self._tell("error", event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """Log an error with the traceback of the exception that is being handled."""
        self._tell("error", event, {**fields, "exc_info": True})

    def _tell(self, level: Level, event: str, fields: dict[str, Any]) -> None:
        # Looked up each time: a program may configure its logs after it has imported this.
        if structlog.is_configured():
            getattr(self._structlog, level)(event, **fields)
            return
        error = fields.pop("exc_info", None)
        number = _number(level)
        if self._logger.isEnabledFor(number):
            text = f"{event} {_FIELDS(None, level, fields)}".rstrip()
            self._logger.log(number, "%s", text, exc_info=error, stacklevel=3)


def to_stderr(form: Format = "text", level: Level = "info") -> None:
    """Configure the logs of this process; of libraries, warnings and errors.

    For programs only: a library leaves both structlog and `logging` as they are.
    """
    before: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    last: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.processors.LogfmtRenderer(
            key_order=["timestamp", "level", "event"], bool_as_flag=False
        )
    )
    structlog.configure(
        processors=[*before, last],
        wrapper_class=structlog.make_filtering_bound_logger(_number(level)),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    libraries = logging.StreamHandler(sys.stderr)
    libraries.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=before, processors=[ProcessorFormatter.remove_processors_meta, last]
        )
    )
    logging.basicConfig(handlers=[libraries], level=max(_number(level), logging.WARNING), force=True)


def _number(level: Level) -> int:
    return logging.getLevelNamesMapping()[level.upper()]
