"""The settings in force while a receiver runs: those of its start, and what was changed since.

Rules:

* Only settings in :data:`gatepost.settings.CHANGEABLE` can be changed, and only where neither the command line nor the
  environment nor the file sets them: what is set there stays, and is shown as locked with its place.
* What was changed is stored in the database. Every receiver of it takes it over when it next looks, within seconds.
* A stored value that a setting cannot have (another version stored it) is left out, and the log says so.

Flow: :meth:`SettingsInForce.change` → store → :meth:`SettingsInForce.refresh` in each receiver → ``on_change``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import structlog
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from msgspec import Struct

from gatepost.errors import SettingsError
from gatepost.settings import CHANGEABLE, Origin, ReceiverSettings, changed, described, shown
from gatepost.store.interface import Transactions
from gatepost.store.receivers.changed_settings import (
    ChangedSetting,
    ChangedSettings,
    Value,
    version_of_settings,
)
from gatepost.store.terminals.registry import Conflict
from gatepost.store.versions import Versions

__all__ = ["Changed", "Setting", "SettingsInForce", "TheSettings"]

log = structlog.get_logger(__name__)


class Setting(Struct, frozen=True, kw_only=True):
    """A setting as it is in force."""

    name: str
    value: Any
    """A secret one is hidden."""
    default: Any
    unit: str
    help: str
    set_by: Literal["default", "console", "file", "environment", "command line"]
    place: str = ""
    """The path of the file, the variable, or the option; empty for ``default`` and ``console``."""
    least: float | None = None
    most: float | None = None
    choices: Sequence[str] = ()
    is_changeable: bool
    """Also of a setting that is locked now."""
    changed_by: str | None = None
    changed_at: datetime | None = None

    @property
    def is_locked(self) -> bool:
        """Return whether it could be changed, were it not set elsewhere."""
        return self.is_changeable and self.set_by not in ("default", "console")


class Changed(Struct, frozen=True):
    """A setting that was changed."""

    name: str
    before: Value
    after: Value


class SettingsInForce:
    """The settings of a receiver. Any thread may read :attr:`current`."""

    def __init__(
        self,
        settings: ReceiverSettings,
        origins: Mapping[str, Origin],
        store: Transactions,
        *,
        take_over: Callable[[], Awaitable[None]],
    ) -> None:
        """Take ``settings`` of the start, and in ``origins`` where they are set; ``take_over`` refreshes this."""
        self.at_start = settings
        self.current = settings
        self._origins = origins
        self._rows = ChangedSettings(store)
        self._stored: Mapping[str, ChangedSetting] = {}
        self._take_over = take_over

    @property
    def changes(self) -> dict[str, Value]:
        """Return what is in force and was changed since the start, by name."""
        return {
            name: getattr(self.current, name)
            for name in CHANGEABLE
            if getattr(self.current, name) != getattr(self.at_start, name)
        }

    @property
    def version(self) -> str:
        """Return the version of what was changed since the start, as this receiver knows it."""
        return version_of_settings(self._stored)

    def refresh(self) -> bool:
        """Read what was changed; return whether something else is in force now. Blocks.

        Raises :class:`~gatepost.errors.StoreUnavailable`.
        """
        stored = self._rows.read()
        if stored == self._stored:
            return False
        self._stored = stored
        current = self._with(stored)
        is_new, self.current = current != self.current, current
        return is_new

    def _with(self, stored: Mapping[str, ChangedSetting]) -> ReceiverSettings:
        """Return the settings of the start with what is stored."""
        settings = self.at_start
        for name, row in sorted(stored.items()):
            if name in CHANGEABLE and name not in self._origins:
                try:
                    settings = changed(settings, {name: row.value})
                except SettingsError as error:
                    log.warning("settings.left_out", setting=name, why=error.why)
        return settings

    async def take_over(self) -> None:
        """Let this receiver, with all its processes, take over what is stored."""
        await self._take_over()

    def change(
        self, values: Mapping[str, Any], *, by: str, now_ms: int, versions: Versions = None
    ) -> list[Changed]:
        """Store other values, all or none, and return what changes; ``None`` takes a change back. Blocks.

        :meth:`take_over` comes after it. Raises :class:`~gatepost.errors.SettingsError`,
        :class:`~gatepost.store.terminals.registry.Conflict` for a setting that is set elsewhere, and
        :class:`~gatepost.store.versions.ChangedMeanwhile` where :attr:`version` is none of ``versions`` any more.
        """
        for name in values:
            if name not in CHANGEABLE:
                raise SettingsError(name, "cannot be changed while the receiver runs; set it in the file")
            if (origin := self._origins.get(name)) is not None:
                raise Conflict(
                    f"{name} is set by the {origin.kind}, {origin.place}; change it there, and start again"
                )
        before = self._with(self._rows.read())
        given = {
            name: getattr(self.at_start, name) if value is None else value for name, value in values.items()
        }
        after = changed(before, given)
        told = [Changed(name, getattr(before, name), getattr(after, name)) for name in values]
        kept = {name: None if values[name] is None else getattr(after, name) for name in values}
        self._rows.change(kept, by=by, now_ms=now_ms, versions=versions)
        return [one for one in told if one.before != one.after]

    def listed(self) -> list[Setting]:
        """Return every setting."""
        values = shown(self.current)
        return [self._setting(one, values[one["name"]]) for one in described(ReceiverSettings)]

    def _setting(self, one: Mapping[str, Any], value: Any) -> Setting:
        name = one["name"]
        origin = self._origins.get(name)
        row = self._stored.get(name) if origin is None and name in CHANGEABLE else None
        return Setting(
            name=name,
            value=value,
            default=one["default"],
            unit=one["unit"],
            help=one["help"],
            least=one["least"],
            most=one["most"],
            choices=one["choices"],
            set_by=origin.kind if origin is not None else "console" if row is not None else "default",
            place=origin.place if origin is not None else "",
            is_changeable=name in CHANGEABLE,
            changed_by=row.by if row is not None else None,
            changed_at=row.at if row is not None else None,
        )


TheSettings = NamedDependency[SkipValidation[SettingsInForce]]
