"""The log of a terminal: events with fields, and no name, number or image among them.

Rules:

- **A library writes nothing by itself.** Where the program has configured structlog, events go there. Otherwise they go
  to `logging`, to a logger with the name of the module, as ``EVENT FIELD=VALUE …``. A program that has configured
  neither sees no line.
- The terminal's own programs write to standard error, one event a line (`to_stderr`). Standard output is what scripts
  read. Tracebacks come without the values of variables: those may be names and faces.
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

logging.getLogger("gatepost").addHandler(logging.NullHandler())  # or `logging` would print warnings by itself

_FIELDS = structlog.processors.LogfmtRenderer(bool_as_flag=False)


class Log:
    """The log of one module. ``name``: the module's."""

    def __init__(self, name: str) -> None:
        self._structlog = structlog.get_logger(name)
        self._logger = logging.getLogger(name)

    def info(self, event: str, **fields: Any) -> None:
        """Log an event of the ordinary run."""
        self._tell("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Log an event that a person should know of."""
        self._tell("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Log an event that a person has to do something about."""
        self._tell("error", event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """Log an error with the traceback of the exception that is being handled."""
        self._tell("error", event, {**fields, "exc_info": True})

    def _tell(self, level: Level, event: str, fields: dict[str, Any]) -> None:
        # Asked each time: a program may configure its logs after it has imported this.
        if structlog.is_configured():
            getattr(self._structlog, level)(event, **fields)
            return
        error = fields.pop("exc_info", None)
        number = _number(level)
        if self._logger.isEnabledFor(number):
            text = f"{event} {_FIELDS(None, level, fields)}".rstrip()
            self._logger.log(number, "%s", text, exc_info=error, stacklevel=3)


def to_stderr(form: Format = "text", level: Level = "info") -> None:
    """Configure the logs of this process, those of libraries from warnings on among them.

    For a program only: a library leaves both structlog and `logging` as they are.
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
