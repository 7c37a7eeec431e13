"""Every setting once: its name, unit, default, and what it does.

``terminal``         settings of a terminal, and of its own HTTP service
``receiver``         settings of a receiver
``receiver_access``  the first part of them: logins, addresses, database
``declare``          how a setting is declared
``loading``          file, environment and command line, put together and checked
``describing``       values and descriptions, for those who show them
``pages``            the reference page and the example file

Rules:

* A setting is a field of a class; its type, bounds and help stand there and nowhere else. The reference page, the
  commented example file and ``gatepost config show`` are made from it.
* The same name everywhere: ``max_body_bytes`` in the TOML file is ``GATEPOST_MAX_BODY_BYTES`` in the environment and
  ``max_body_bytes=`` in Python. An option of a command is the name with dashes.
* Settings are checked once, at start.
"""

from gatepost.settings.declare import HIDDEN, PREFIX
from gatepost.settings.describing import described, shown
from gatepost.settings.loading import Origin, changed, load, load_with_origins
from gatepost.settings.receiver import CHANGEABLE, ReceiverSettings
from gatepost.settings.terminal import TerminalServiceSettings, TerminalSettings

__all__ = [
    "CHANGEABLE",
    "HIDDEN",
    "PREFIX",
    "Origin",
    "ReceiverSettings",
    "TerminalServiceSettings",
    "TerminalSettings",
    "changed",
    "described",
    "load",
    "load_with_origins",
    "shown",
]
