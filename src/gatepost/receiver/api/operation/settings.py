"""``/api/v1/settings``: what is in force, where it is set, and changes that need no restart."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from litestar import Controller, Response, get, patch
from litestar.exceptions import ClientException
from litestar.params import JSONBody
from msgspec import Struct

from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE, Access, AnyRequest, TheAccess
from gatepost.receiver.api.shapes import Listing, answering
from gatepost.receiver.api.versions import ChangedByAnother, IfMatch, naming_who, tagged, wanted_versions
from gatepost.receiver.settings_in_force import Changed, Setting, SettingsInForce, TheSettings
from gatepost.store.versions import Versions

__all__ = ["SettingsController", "change_settings"]


class SettingItem(Struct, frozen=True, kw_only=True):
    """A setting in force."""

    name: str
    value: Any
    """A secret one is hidden."""
    default: Any
    unit: str
    help: str
    set_by: Literal["default", "console", "file", "environment", "command line"]
    """``console``: it was changed while the receiver ran, in the console or over the API."""
    place: str
    """The path of the file, the variable, or the option."""
    changeable: bool
    """Whether PATCH takes it."""
    changed_by: str | None
    changed_at: datetime | None


def _item(one: Setting) -> SettingItem:
    return SettingItem(
        name=one.name,
        value=one.value,
        default=one.default,
        unit=one.unit,
        help=one.help,
        set_by=one.set_by,
        place=one.place,
        changeable=one.is_changeable and not one.is_locked,
        changed_by=one.changed_by,
        changed_at=one.changed_at,
    )


class SettingsController(Controller):
    path = "/api/v1/settings"
    tags = ("settings",)

    @get(opt=ADMIN | EVERY_SITE, sync_to_thread=False, summary="List settings")
    def list_settings(self, settings: TheSettings) -> Response[Listing[SettingItem]]:
        """Its ``ETag`` is of what was changed since the start."""
        return tagged(Listing([_item(one) for one in settings.listed()], None), settings.version)

    @patch(opt=ADMIN | EVERY_SITE, summary="Change settings without a restart", raises=[ChangedByAnother])
    async def change_settings(
        self,
        request: AnyRequest,
        data: JSONBody[dict[str, Any]],
        settings: TheSettings,
        access: TheAccess,
        if_match: IfMatch = None,
    ) -> Response[Listing[SettingItem]]:
        """All of them or none; ``null`` takes a change back. One that is set elsewhere is refused with 409."""
        for name, value in data.items():
            if not isinstance(value, int | float | str | None) or isinstance(value, bool):
                raise ClientException(f"{name}: give a number or a text, or null to take a change back")
        await change_settings(request, access, settings, data, wanted_versions(if_match))
        told = Listing([_item(one) for one in settings.listed() if one.name in data], None)
        return tagged(told, settings.version)


async def change_settings(
    request: AnyRequest,
    access: Access,
    settings: SettingsInForce,
    values: dict[str, Any],
    versions: Versions = None,
) -> Sequence[Changed]:
    """Change settings for all receivers of the database, and write a line of the audit log for each.

    Raises 400, 409, and 412 where :attr:`~SettingsInForce.version` is none of ``versions`` any more. When it returns,
    pushes are decided by the new values.
    """

    def change() -> list[Changed]:
        with answering(), naming_who(access, ["setting.changed"]):
            done = settings.change(
                values, by=request.user.name, now_ms=access.doors.now_ms(), versions=versions
            )
        for one in done:
            access.note(request, "setting.changed", one.name, was=one.before, now=one.after)
        return done

    done = await asyncio.to_thread(change)
    await settings.take_over()
    return done
