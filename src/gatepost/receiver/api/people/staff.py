"""``/api/v1/people/import``: names and departments for numbers, with a check first."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, delete, post
from litestar.di import NamedDependency
from litestar.exceptions import ClientException
from litestar.params import JSONBody, SkipValidation
from msgspec import Meta, Struct

from gatepost.items import FaultItem, StaffImportItem
from gatepost.receiver.api.access.authorization import EVERY_SITE, OPERATOR, AnyRequest, TheAccess
from gatepost.receiver.api.events.filters import AtSite
from gatepost.receiver.api.shapes import MAX_ID, TheStore, read
from gatepost.receiver.terminals.admin import site_of
from gatepost.store.people.staff import Staff
from gatepost.store.questions import UserStore

__all__ = ["StaffController", "StaffFile", "TheStaff", "load"]

TheStaff = NamedDependency[SkipValidation[Staff]]

MAX_CHARACTERS = 4_000_000


class StaffFile(Struct, frozen=True, kw_only=True):
    """``csv`` has a line of headings (number, name, department); without a ``site_id`` it is for every site."""

    csv: Annotated[str, Meta(max_length=MAX_CHARACTERS)]
    site_id: Annotated[int, Meta(ge=1, le=MAX_ID)] | None = None
    check: bool = False
    """Say what it would do, and store nothing."""


def load(
    request: AnyRequest, access: TheAccess, staff: Staff, store: UserStore, data: StaffFile
) -> StaffImportItem:
    """Store or check a file, and note it in the audit log. Raises 400."""
    if data.site_id is not None and site_of(store, data.site_id) is None:
        raise ClientException(f"site_id: there is no site {data.site_id}; see /api/v1/sites")
    now_ms = access.doors.now_ms()
    content = data.csv.encode("utf-8", "replace")
    found = read(lambda: staff.load(content, site_id=data.site_id, check=data.check, now_ms=now_ms))
    item = StaffImportItem(
        rows=found.rows,
        new=found.new,
        changed=found.changed,
        same=found.same,
        faults=[FaultItem(fault.line, fault.why) for fault in found.faults],
        stored=not (data.check or found.faults),
    )
    if item.stored:
        counts = {"rows": item.rows, "new": item.new, "changed": item.changed}
        access.note(request, "people.imported", "", site_id=data.site_id, **counts)
    return item


class StaffController(Controller):
    path = "/api/v1/people/import"
    opt = OPERATOR | EVERY_SITE
    tags = ("people",)

    @post(
        status_code=200, sync_to_thread=True, summary="Import names and departments for numbers, or check it"
    )
    def import_people(
        self,
        request: AnyRequest,
        data: JSONBody[StaffFile],
        staff: TheStaff,
        store: TheStore,
        access: TheAccess,
    ) -> StaffImportItem:
        """Name people by their numbers. Records stay as they are; a file with a fault is not stored at all."""
        return load(request, access, staff, store, data)

    @delete(sync_to_thread=True, summary="Forget what was imported for a site, or for every site")
    def forget_people(self, request: AnyRequest, staff: TheStaff, access: TheAccess, at_site: AtSite) -> None:
        """Forget the rows of ``site``; without it those that were imported for every site."""
        rows = read(lambda: staff.clear(at_site))
        access.note(request, "people.import_forgotten", "", site_id=at_site, rows=rows)
