"""Errors of asking a terminal's own service; each says what to do."""

from __future__ import annotations

from gatepost.errors import GatepostError

__all__ = [
    "AnotherCertificate",
    "AnotherTerminal",
    "FleetError",
    "NoTerminal",
    "NotAdopted",
    "NotAllowed",
    "Stopped",
    "TerminalAway",
    "TerminalRefused",
    "WrongAccount",
]


class FleetError(GatepostError):
    """A terminal did not do what was asked of it."""


class TerminalAway(FleetError):
    """It cannot be reached, or does not reply in time. To try again may help."""


class NotAdopted(FleetError):
    """It is not adopted."""

    def __init__(self) -> None:
        super().__init__("this terminal is not adopted; adopt it by its address")


class Stopped(FleetError):
    """It is stopped: a person has to look before anything is sent to it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"this terminal is stopped: {reason}; then resume it, or adopt it again")


class NotAllowed(FleetError):
    """No request may go to its address."""


class NoTerminal(FleetError):
    """Something else replies there."""


class AnotherTerminal(FleetError):
    """A terminal with another serial replies there."""


class AnotherCertificate(FleetError):
    """The certificate is not the one that was pinned."""


class WrongAccount(FleetError):
    """It does not know the account, or the password is wrong."""


class TerminalRefused(FleetError):
    """It said no, with a code of its own."""
