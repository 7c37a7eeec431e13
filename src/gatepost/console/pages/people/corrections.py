"""``/corrections``: passages that were added or struck by hand; forms on the page of a person lead here."""

from __future__ import annotations

from datetime import UTC, datetime, time
from urllib.parse import quote

from litestar import Controller, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, RawBody

from gatepost.console.desk import Html, TheDesk
from gatepost.console.input.forms import Form
from gatepost.receiver.api.access.authorization import OPERATOR, VIEWER, AnyRequest, TheAccess
from gatepost.receiver.api.people.corrections import NewCorrection, correct, items_of, note_correction
from gatepost.receiver.api.people.people import person_meant
from gatepost.receiver.api.shapes import MAX_ID, TheMeaning, TheStore, read
from gatepost.store.attendance.corrections import CorrectionQuery, Corrections
from gatepost.store.attendance.schedules import minutes_of
from gatepost.store.local_days import parse_day, zone

__all__ = ["CorrectionPages"]

PAGE = 60


class CorrectionPages(Controller):
    """``/corrections``."""

    path = "/corrections"
    opt = VIEWER

    @get(sync_to_thread=True)
    def list_corrections(
        self, request: AnyRequest, desk: TheDesk, store: TheStore, meaning: TheMeaning
    ) -> Html:
        view = desk.view(request)
        query = CorrectionQuery(limit=PAGE, cursor=view.query.get("cursor"))
        page = read(lambda: Corrections(store, meaning.rules).page(query))
        return view.page(
            "corrections.html",
            active="attendance",
            corrections=items_of(meaning, page.items),
            next=page.next_cursor,
            may_change=view.may("operator"),
        )

    @post(opt=OPERATOR, sync_to_thread=True)
    def make_correction(
        self,
        request: AnyRequest,
        body: RawBody,
        desk: TheDesk,
        store: TheStore,
        meaning: TheMeaning,
        access: TheAccess,
    ) -> Html:
        """Add the passage of a day and time by the clocks of the person's site, or strike that of a record."""
        form = Form(body)
        person = person_meant(meaning, form("person"))
        record = form.numbers("record")
        data = NewCorrection(
            person_id=person.id,
            note=form("note"),
            at=None if record else read(lambda: _moment(form("day"), form("time"), person.timezone)),
            record_id=record[0] if record else None,
        )
        item = correct(store, meaning, data, by=request.user.name, now_ms=access.doors.now_ms())
        note_correction(access, request, "correction.made", item)
        return desk.view(request).go(_back(person.id, form("day")), done="saved")

    @post("/{correction_id:int}/withdraw", opt=OPERATOR, sync_to_thread=True)
    def withdraw_correction(
        self,
        request: AnyRequest,
        correction_id: FromPath[int],
        desk: TheDesk,
        store: TheStore,
        meaning: TheMeaning,
        access: TheAccess,
    ) -> Html:
        by, now_ms = request.user.name, access.doors.now_ms()
        number = min(correction_id, MAX_ID)
        found = read(lambda: Corrections(store, meaning.rules).withdraw(number, by=by, now_ms=now_ms))
        if found is None:
            raise NotFoundException("there is no such correction")
        (item,) = items_of(meaning, (found,))
        note_correction(access, request, "correction.withdrawn", item)
        return desk.view(request).go("/corrections", done="withdrawn")


def _moment(day: str, clock: str, timezone: str) -> str:
    """Return when the clocks of a zone show a time of a day, the first time. Raises ``ValueError``."""
    minutes = minutes_of(clock)
    at = datetime.combine(parse_day(day), time(minutes // 60, minutes % 60), zone(timezone))
    shown = at.astimezone(UTC).astimezone(at.tzinfo)
    if shown.replace(tzinfo=None) != at.replace(tzinfo=None):
        raise ValueError(
            f"time: the clocks of {timezone} went forward over {clock} on {day}; use a time that they showed"
        )
    return at.isoformat()


def _back(person_id: str, day: str) -> str:
    """Return the page of the person's day."""
    return f"/people/{quote(person_id)}?month={day[:7]}&day={day}" if day else f"/people/{quote(person_id)}"
