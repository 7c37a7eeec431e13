"""Where the terminal's programs log: events with fields, one a line, to standard error.

Standard output is what scripts read. Tracebacks come without the values of variables: those may be names and faces.
"""

import logging
import sys

import structlog


def to_stderr() -> None:
    """Configure structlog for this process. A library never does: the program that uses it decides."""
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(
                key_order=["timestamp", "level", "event"], bool_as_flag=False
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
