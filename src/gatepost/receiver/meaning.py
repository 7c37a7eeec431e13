"""What the settings say about how events are read, and the parts of the store that read them so."""

from __future__ import annotations

import re

from gatepost.errors import SettingsError
from gatepost.settings import ReceiverSettings
from gatepost.store.attendance import Attendance
from gatepost.store.people import People, Rules
from gatepost.store.store import Transactions

__all__ = ["Meaning", "rules_of"]


class Meaning:
    """People, attendance and statistics by the receiver's settings."""

    def __init__(self, store: Transactions, settings: ReceiverSettings) -> None:
        """Raises :class:`~gatepost.errors.SettingsError`."""
        self.store = store
        self.rules = rules_of(settings)
        self.people = People(store, self.rules)
        self.attendance = Attendance(store, self.rules)


def rules_of(settings: ReceiverSettings) -> Rules:
    """Raises :class:`~gatepost.errors.SettingsError`."""
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", settings.day_starts_at)
    if match is None:
        raise SettingsError("day_starts_at", f"must be HH:MM such as 04:00, not {settings.day_starts_at!r}")
    return Rules(
        scope=settings.people_scope,
        repeat_ms=round(settings.repeat_s * 1000),
        day_starts_min=int(match[1]) * 60 + int(match[2]),
    )
