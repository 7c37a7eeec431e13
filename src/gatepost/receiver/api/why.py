"""``/api/v1/fleet/why``: why nothing arrives of a terminal, and what to do next."""

from __future__ import annotations

import asyncio
from datetime import datetime

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.exceptions import ClientException
from litestar.params import FromQuery, SkipValidation

from gatepost.fleet.client import checked_address
from gatepost.fleet.failures import FleetError, NotAllowed
from gatepost.fleet.managing import Fleet
from gatepost.fleet.why import Finding, Looked
from gatepost.fleet.why_words import Writer, plain
from gatepost.items import FindingItem, WhyItem
from gatepost.receiver.api.access.authorization import VIEWER, AnyRequest
from gatepost.receiver.api.fleet import TheFleet
from gatepost.receiver.api.shapes import TheStore, answering, word
from gatepost.receiver.auth.principal import may
from gatepost.receiver.observability.diagnosis import Diagnosis, Told
from gatepost.store.questions import UserStore

__all__ = ["TheDiagnosis", "WhyController", "asked_of"]

TheDiagnosis = NamedDependency[SkipValidation[Diagnosis]]


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


_WRITER = Writer("en", _moment, plain)


class WhyController(Controller):
    path = "/api/v1/fleet/why"
    tags = ("fleet",)

    @get(opt=VIEWER, summary="Why nothing arrives of a terminal")
    async def why(
        self,
        request: AnyRequest,
        store: TheStore,
        diagnosis: TheDiagnosis,
        fleet: TheFleet,
        terminal: FromQuery[str | None] = None,
        address: FromQuery[str | None] = None,
    ) -> WhyItem:
        """Give either ``terminal`` (a serial, a name or a number) or the ``address`` at which it should be.

        Known? Reachable? Subscribed to us? Refused? Last event? Clock? ``next`` is what to mend first. Nothing is
        sent to the terminal, but for administrators of every site the question who is at an ``address``.
        """
        given = {"terminal": word("terminal", terminal), "address": word("address", address)}
        told = await asked_of(request, diagnosis, fleet, store, **given)
        row = told.terminal
        return WhyItem(
            asked=told.asked,
            terminal_id=None if row is None else row.id,
            serial=None if row is None else row.serial,
            name=None if row is None else row.name,
            next=None if told.next is None else _item(told.next),
            findings=[_item(one) for one in told.findings],
        )


async def asked_of(
    request: AnyRequest,
    diagnosis: Diagnosis,
    fleet: Fleet,
    store: UserStore,
    *,
    terminal: str | None,
    address: str | None,
) -> Told:
    """Return what is found about one of the two. 400 for both, for neither and for what means several."""
    if bool(terminal) == bool(address):
        raise ClientException("give either a terminal or an address")
    with answering():
        if terminal:
            return await asyncio.to_thread(diagnosis.of_terminal, store, terminal.strip())
        place = (address or "").strip()
        told = await asyncio.to_thread(diagnosis.of_address, store, place)
        if all(one.code != "unmanaged" for one in told.findings) or not _may_look(request):
            return told
        looked = await _looked(fleet, place)
        return await asyncio.to_thread(diagnosis.of_address, store, place, looked)


def _may_look(request: AnyRequest) -> bool:
    user = request.user
    return user.sites is None and may(user.role, "admin")


async def _looked(fleet: Fleet, address: str) -> Looked | None:
    """Return who is at an address; ``None`` where no request may go."""
    place = checked_address(address)
    try:
        seen = await fleet.look(place)
    except NotAllowed:
        return None
    except FleetError as error:
        return Looked(address=place, serial=None, said=str(error))
    return Looked(address=place, serial=seen.serial, said="")


def _item(found: Finding) -> FindingItem:
    return FindingItem(
        check=found.check,
        level=found.level,
        code=found.code,
        text=_WRITER.says(found),
        do=_WRITER.do(found),
        values=found.values,
    )
