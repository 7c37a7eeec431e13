"""``/api/v1/fleet/why``: why nothing arrives of a terminal, and what to do next."""

from __future__ import annotations

from datetime import datetime

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.exceptions import ClientException
from litestar.params import FromQuery, SkipValidation

from gatepost.fleet.why import Finding
from gatepost.fleet.why_words import Writer, plain
from gatepost.items import FindingItem, WhyItem
from gatepost.receiver.api.authorization import VIEWER
from gatepost.receiver.api.shapes import TheStore, answering, word
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

    @get(opt=VIEWER, sync_to_thread=True, summary="Why nothing arrives of a terminal")
    def why(
        self,
        store: TheStore,
        diagnosis: TheDiagnosis,
        terminal: FromQuery[str | None] = None,
        address: FromQuery[str | None] = None,
    ) -> WhyItem:
        """Give either ``terminal`` (a serial, a name or a number) or the ``address`` at which it should be.

        Known? Reachable? Subscribed to us? Refused? Last event? Clock? ``next`` is what to mend first. Nothing is
        sent to the terminal.
        """
        told = asked_of(
            diagnosis, store, terminal=word("terminal", terminal), address=word("address", address)
        )
        row = told.terminal
        return WhyItem(
            asked=told.asked,
            terminal_id=None if row is None else row.id,
            serial=None if row is None else row.serial,
            name=None if row is None else row.name,
            next=None if told.next is None else _item(told.next),
            findings=[_item(one) for one in told.findings],
        )


def asked_of(diagnosis: Diagnosis, store: UserStore, *, terminal: str | None, address: str | None) -> Told:
    """Return what is found about one of the two. Blocks. 400 for both, for neither and for what means several."""
    if bool(terminal) == bool(address):
        raise ClientException("give either a terminal or an address")
    with answering():
        if terminal:
            return diagnosis.of_terminal(store, terminal.strip())
        return diagnosis.of_address(store, (address or "").strip())


def _item(found: Finding) -> FindingItem:
    return FindingItem(
        check=found.check,
        level=found.level,
        code=found.code,
        text=_WRITER.says(found),
        do=_WRITER.do(found),
        values=found.values,
    )
