"""Every setting once: its name, unit, default, and what it does.

``terminal``         settings of a terminal, and of its own HTTP service
``receiver``         settings of a receiver
``receiver_access``  the first part of them: logins, addresses, database
``declare``          how a setting is declared
``loading``          merges file, environment and command line, and checks them
``describing``       values and descriptions, for display
``pages``            the reference page and the example file

Rules:

* A setting is a field of a class. Its type, bounds and help are only there. The reference page, the commented example
  file and ``gatepost config show`` are made from it.
* The name is the same everywhere: ``max_body_bytes`` in the TOML file is ``GATEPOST_MAX_BODY_BYTES`` in the environment
  and ``max_body_bytes=`` in Python. An option of a command is the name with dashes.
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
