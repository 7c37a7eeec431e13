"""Every endpoint × a user of some sites: nothing of another site is seen or changed, whatever is asked.

The endpoints come from the application itself. Each is named in :data:`ASKED` with how it is asked for what stands at
the other site, and a new one fails the test until it is.
"""

from __future__ import annotations

import asyncio
import html
import io
import re
import time
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

import pybase64
import pytest
from litestar.routes import HTTPRoute
from msgspec import Struct
from tests.receiver.kit import Answer, Running, Sender, alarm, body, receiving, record, request
from tests.receiver.test_thumbnails import picture

from gatepost.console.commands import console_pages
from gatepost.receiver.auth.issuing import issue_token
from gatepost.receiver.auth.principal import ROLES
from gatepost.receiver.terminals.sources import token_digest
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.accounts.rows import Role
from gatepost.store.accounts.saved_views import Reader, SavedViews
from gatepost.store.attendance.corrections import Correction, CorrectionQuery, Corrections
from gatepost.store.attendance.schedules import Schedule
from gatepost.store.attendance.stored_schedules import Schedules
from gatepost.store.interface import AlarmQuery, QuarantineQuery, RecordQuery, RefusedPush, RefusedTimes
from gatepost.store.people.marked import MarkedPeople
from gatepost.store.people.people import People
from gatepost.store.people.person import PeopleQuery, Rules

WORDS = (
    "Bertha",
    "SN-2222",
    "Hamburg",
    "CARD-2222",
    "IDENT-2222",
    "Sales",
    "Gate-2222",
    "smoke-2222",
    "u-2222",
)
"""What stands in everything of the other site, and nowhere else."""

DAY = "2023-05-29"

WHOLE = Reader(account_id=None, role="admin", every_site=True)

Kind = Literal["list", "one", "change", "every site", "own", "open"]


class Asked(Struct, frozen=True):
    """How an endpoint is asked for what is of the other site.

    ``list``: what is shown has nothing of the other site. ``one``: it is not there. ``change``: it is not there, and
    nothing changes. ``every site``: 403. ``own``: about oneself alone. ``open``: to anyone.
    """

    kind: Kind
    path: str = ""
    """With the ids of the other site; without it, the path of the endpoint."""
    content: dict[str, Any] = {}
    status: tuple[int, ...] = ()
    """In place of the usual ones."""
    is_plain: bool = False
    """What everybody sees there has no word of the other site."""


NOT_THERE = (404,)
DONE_NOTHING = (200, 303)

ASKED = {
    # The API
    "GET /api": Asked("open"),
    "GET /api/openapi.json": Asked("open"),
    "GET /api/{path}": Asked("open"),
    "GET /api/v1/accounts": Asked("every site"),
    "POST /api/v1/accounts": Asked("every site"),
    "PATCH /api/v1/accounts/{account_id}": Asked("every site", "/api/v1/accounts/1"),
    "GET /api/v1/tokens": Asked("every site"),
    "POST /api/v1/tokens": Asked("every site"),
    "DELETE /api/v1/tokens/{token_id}": Asked("every site", "/api/v1/tokens/1"),
    "GET /api/v1/audit": Asked("every site"),
    "GET /api/v1/alarms": Asked("list", "/api/v1/alarms?include=original"),
    "GET /api/v1/alarms/export": Asked("list", "/api/v1/alarms/export?format=zip"),
    "GET /api/v1/alarms/steps/{step_id}/image": Asked("one", "/api/v1/alarms/steps/{step}/image"),
    "GET /api/v1/alarms/steps/{step_id}/thumbnail": Asked("one", "/api/v1/alarms/steps/{step}/thumbnail"),
    "GET /api/v1/alarms/{alarm_id}": Asked("one", "/api/v1/alarms/{alarm}"),
    "POST /api/v1/alarms/{alarm_id}/acknowledge": Asked(
        "change", "/api/v1/alarms/{alarm}/acknowledge", {"note": "x"}
    ),
    "POST /api/v1/alarms/{alarm_id}/close": Asked("change", "/api/v1/alarms/{alarm}/close", {"note": "x"}),
    "POST /api/v1/alarms/acknowledge": Asked(
        "change", content={"alarms": ["{alarm}"], "note": "x"}, status=DONE_NOTHING
    ),
    "GET /api/v1/views": Asked("list"),
    "POST /api/v1/views": Asked("own"),
    "GET /api/v1/views/{view_id}": Asked("change", "/api/v1/views/{view}"),
    "PATCH /api/v1/views/{view_id}": Asked("change", "/api/v1/views/{view}", {"name": "x"}),
    "DELETE /api/v1/views/{view_id}": Asked("change", "/api/v1/views/{view}"),
    "GET /api/v1/attendance": Asked("list", f"/api/v1/attendance?day={DAY}&kind=all"),
    "GET /api/v1/attendance/export": Asked(
        "list", f"/api/v1/attendance/export?day={DAY}&kind=all&format=xlsx"
    ),
    "GET /api/v1/attendance/groups": Asked("list", f"/api/v1/attendance/groups?day={DAY}&kind=all"),
    "POST /api/v1/people/import": Asked("every site"),
    "DELETE /api/v1/people/import": Asked("every site"),
    "POST /schedules/staff": Asked("every site"),
    "GET /api/v1/schedules": Asked("list", is_plain=True),
    "GET /api/v1/schedules/{schedule_id}": Asked("list", "/api/v1/schedules/1", is_plain=True),
    "POST /api/v1/schedules": Asked("every site"),
    "PATCH /api/v1/schedules/{schedule_id}": Asked("every site", "/api/v1/schedules/1"),
    "DELETE /api/v1/schedules/{schedule_id}": Asked("every site", "/api/v1/schedules/1"),
    "GET /api/v1/holidays": Asked("list"),
    "POST /api/v1/holidays": Asked("every site"),
    "DELETE /api/v1/holidays/{holiday_id}": Asked("every site", "/api/v1/holidays/1"),
    "GET /api/v1/assignments": Asked("list"),
    "POST /api/v1/assignments": Asked("every site"),
    "DELETE /api/v1/assignments/{assignment_id}": Asked("every site", "/api/v1/assignments/1"),
    "GET /api/v1/corrections": Asked("list"),
    "POST /api/v1/corrections": Asked(
        "change", content={"person_id": "{person}", "at": f"{DAY}T12:00:00Z", "note": "x"}, status=(400,)
    ),
    "DELETE /api/v1/corrections/{correction_id}": Asked("change", "/api/v1/corrections/{correction}"),
    "GET /api/v1/destinations": Asked("every site"),
    "POST /api/v1/destinations": Asked("every site"),
    "GET /api/v1/destinations/schemas": Asked("every site"),
    "POST /api/v1/destinations/preview": Asked("every site"),
    **{
        f"{method} /api/v1/destinations/{{destination_id}}{part}": Asked(
            "every site", f"/api/v1/destinations/1{part}"
        )
        for method, part in (
            *(("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/dead"), ("GET", "/attempts")),
            *(("POST", "/test"), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/rotate")),
            *(("POST", "/replay"), ("POST", "/retry"), ("POST", "/drop")),
        )
    },
    **{f"GET /api/v1/fleet{part}": Asked("every site") for part in ("", "/adoptions", "/jobs")},
    "GET /api/v1/fleet/jobs/{job_id}": Asked("every site", "/api/v1/fleet/jobs/1"),
    **{
        f"POST /api/v1/fleet/jobs/{{job_id}}/{verb}": Asked("every site", f"/api/v1/fleet/jobs/1/{verb}")
        for verb in ("pause", "resume", "cancel")
    },
    "POST /api/v1/fleet/{terminal_id}/backfill": Asked("every site", "/api/v1/fleet/1/backfill"),
    **{
        f"{method} /api/v1/fleet/{{terminal_id}}/audit": Asked("every site", "/api/v1/fleet/1/audit")
        for method in ("GET", "POST")
    },
    "GET /api/v1/fleet/{terminal_id}": Asked("every site", "/api/v1/fleet/1"),
    **{
        f"GET /api/v1/fleet/adoptions/{{adoption_id}}{part}": Asked(
            "every site", f"/api/v1/fleet/adoptions/1{part}"
        )
        for part in ("", "/rows")
    },
    **{f"POST /api/v1/fleet/{verb}": Asked("every site") for verb in ("look", "adopt", "adoptions")},
    **{f"POST /api/v1/fleet/{verb}": Asked("every site") for verb in ("discover", "scan", "import")},
    **{f"{verb} /api/v1/fleet/scan": Asked("every site") for verb in ("GET", "DELETE")},
    "GET /api/v1/fleet/import/template": Asked("every site"),
    **{
        f"POST /api/v1/fleet/{{terminal_id}}/{verb}": Asked("every site", f"/api/v1/fleet/1/{verb}")
        for verb in ("verify", "resume", "release")
    },
    "GET /destinations": Asked("every site"),
    "POST /destinations": Asked("every site"),
    "GET /destinations/new": Asked("every site"),
    "GET /destinations/{destination_id}": Asked("every site", "/destinations/1"),
    "GET /destinations/{destination_id}/setup/{step}": Asked("every site", "/destinations/1/setup/test"),
    **{
        f"POST /destinations/{{destination_id}}/{verb}": Asked("every site", f"/destinations/1/{verb}")
        for verb in ("sent", "address", "test", "pause", "resume", "rotate", "replay", "dead", "delete")
    },
    "GET /api/v1/groups": Asked("list"),
    "GET /api/v1/live": Asked("own"),  # test_a_stream_has_nothing_of_another_site
    "GET /api/v1/people": Asked("list"),
    "POST /api/v1/people/erase": Asked(
        "change", content={"user_id": "5", "site_id": 2}, status=(400, 403, 404)
    ),
    "GET /api/v1/notices": Asked("every site"),
    "GET /api/v1/people/outside-time": Asked("list", is_plain=True),
    "GET /api/v1/people/strangers": Asked("list"),
    "GET /api/v1/people/marked": Asked("list"),
    "PUT /api/v1/people/{person_id}/mark": Asked("change", "/api/v1/people/{person}/mark", {"reason": "x"}),
    "DELETE /api/v1/people/{person_id}/mark": Asked("change", "/api/v1/people/{person}/mark"),
    "GET /api/v1/people/{person_id}/joined": Asked("one", "/api/v1/people/{person}/joined", is_plain=True),
    "POST /api/v1/people/{person_id}/joined": Asked(
        "change", "/api/v1/people/{own}/joined", {"other_id": "{person}"}, status=(400,)
    ),
    "DELETE /api/v1/people/{person_id}/joined/{number_id}": Asked(
        "change", "/api/v1/people/{person}/joined/1"
    ),
    "GET /api/v1/inside": Asked("list", f"/api/v1/inside?at={DAY}T12:00:00Z"),
    "GET /api/v1/inside/export": Asked("list", f"/api/v1/inside/export?at={DAY}T12:00:00Z&format=jsonl"),
    "GET /inside": Asked("list", f"/inside?at={DAY}T12:00Z"),
    "GET /inside/now": Asked("list", f"/inside/now?at={DAY}T12:00Z"),
    "GET /inside/export": Asked("list", f"/inside/export?at={DAY}T12:00Z&format=csv"),
    **{
        f"POST /people/{{person_id}}/{verb}": Asked("change", f"/people/{{person}}/{verb}", content)
        for verb, content in (
            ("mark", {"reason": "x"}),
            ("unmark", {}),
            ("same", {"q": "x"}),
            ("join", {"other": "1"}),
            ("part", {"number": 1}),
        )
    },
    "POST /terminals/chosen/direct": Asked(
        "change", content={"ids": "{terminal}", "direction": "in"}, status=(400,)
    ),
    "GET /api/v1/people/{person_id}": Asked("one", "/api/v1/people/{person}"),
    "GET /api/v1/people/{person_id}/days/{day}": Asked("one", f"/api/v1/people/{{person}}/days/{DAY}"),
    "GET /api/v1/people/{person_id}/shifts": Asked("one", "/api/v1/people/{person}/shifts?month=2023-05"),
    "POST /api/v1/people/{person_id}/erase": Asked("change", "/api/v1/people/{person}/erase"),
    "GET /api/v1/quarantine": Asked("list"),
    "GET /api/v1/quarantine/{number}": Asked("one", "/api/v1/quarantine/{push}"),
    "DELETE /api/v1/quarantine/{number}": Asked("change", "/api/v1/quarantine/{push}"),
    "POST /api/v1/quarantine/discard": Asked("change", content={"ids": ["{push}"]}, status=DONE_NOTHING),
    "POST /api/v1/quarantine/process": Asked("change", content={"ids": ["{push}"]}, status=DONE_NOTHING),
    "GET /api/v1/receivers": Asked("every site"),
    "DELETE /api/v1/receivers/{receiver_id}": Asked("every site", "/api/v1/receivers/00"),
    "GET /api/v1/records": Asked("list", "/api/v1/records?include=original"),
    "GET /api/v1/records/export": Asked("list", "/api/v1/records/export?format=zip"),
    "GET /api/v1/records/{record_id}": Asked("one", "/api/v1/records/{record}"),
    "GET /api/v1/records/{record_id}/image": Asked("one", "/api/v1/records/{record}/image"),
    "GET /api/v1/records/{record_id}/thumbnail": Asked("one", "/api/v1/records/{record}/thumbnail"),
    "GET /api/v1/fleet/why": Asked("list", "/api/v1/fleet/why?terminal=%23{terminal}"),
    "GET /api/v1/refusals": Asked("list"),
    "GET /api/v1/refusals/samples/{number}": Asked("every site", "/api/v1/refusals/samples/1"),
    "GET /api/v1/retention": Asked("every site"),
    "GET /api/v1/settings": Asked("every site"),
    "PATCH /api/v1/settings": Asked("every site"),
    "GET /api/v1/system": Asked("every site"),
    "POST /api/v1/retention/confirm": Asked("every site"),
    "POST /api/v1/session": Asked("open"),
    "GET /api/v1/session": Asked("own"),
    "DELETE /api/v1/session": Asked("own"),
    "POST /api/v1/session/password": Asked("own"),
    "GET /api/v1/sites": Asked("list"),
    "POST /api/v1/sites": Asked("every site"),
    "PATCH /api/v1/sites/{site_id}": Asked("every site", "/api/v1/sites/2"),
    "GET /api/v1/statistics": Asked("list", f"/api/v1/statistics?day={DAY}"),
    "GET /api/v1/stats": Asked("list", is_plain=True),
    "GET /api/v1/terminals": Asked("list"),
    "POST /api/v1/terminals": Asked("change", content={"serial": "SN-9", "site_id": 2}, status=(400,)),
    "PATCH /api/v1/terminals": Asked(
        "change", content={"terminals": [{"id": "number {terminal}", "name": "x"}]}
    ),
    "POST /api/v1/terminals/approve": Asked("change", content={"terminals": ["{terminal}"]}),
    "POST /api/v1/terminals/delete": Asked("change", content={"terminals": ["{terminal}"]}),
    "POST /api/v1/terminals/names": Asked(
        "change", "/api/v1/terminals/names?save=true", {"list": "Gate"}, status=(200,)
    ),
    "GET /api/v1/terminals/would-refuse": Asked("every site"),
    "GET /api/v1/terminals/{terminal_id}": Asked("one", "/api/v1/terminals/{terminal}"),
    "PATCH /api/v1/terminals/{terminal_id}": Asked("change", "/api/v1/terminals/{terminal}", {"name": "x"}),
    "DELETE /api/v1/terminals/{terminal_id}": Asked("change", "/api/v1/terminals/{terminal}"),
    "POST /api/v1/terminals/{terminal_id}/approve": Asked("change", "/api/v1/terminals/{terminal}/approve"),
    "POST /api/v1/terminals/{terminal_id}/retire": Asked("change", "/api/v1/terminals/{terminal}/retire"),
    "POST /api/v1/terminals/{terminal_id}/token": Asked("change", "/api/v1/terminals/{terminal}/token"),
    "DELETE /api/v1/terminals/{terminal_id}/token": Asked("change", "/api/v1/terminals/{terminal}/token"),
    "GET /api/v1/terminals/{terminal_id}/would-move": Asked(
        "one", "/api/v1/terminals/{terminal}/would-move?site_id=2", is_plain=True
    ),
    "GET /api/v1/terminals/{terminal_id}/would-refuse": Asked(
        "one", "/api/v1/terminals/{terminal}/would-refuse?state=retired", is_plain=True
    ),
    "GET /metrics": Asked("open"),
    "GET /api/v1/image-links/{link}": Asked("open"),  # without a link of ours it is a 404
    # The console
    "GET /": Asked("list"),
    "GET /since": Asked("list", "/since?after=0"),
    "GET /account": Asked("own"),
    "POST /account/password": Asked("own"),
    "GET /alarms": Asked("list"),
    "GET /alarms/export": Asked("list", "/alarms/export?format=csv"),
    "GET /alarms/{alarm_id}": Asked("one", "/alarms/{alarm}"),
    "POST /alarms/{alarm_id}/acknowledge": Asked("change", "/alarms/{alarm}/acknowledge", {"note": "x"}),
    "POST /alarms/{alarm_id}/close": Asked("change", "/alarms/{alarm}/close", {"note": "x", "sure": 1}),
    "GET /alarms/acknowledge": Asked("list", is_plain=True),
    "POST /alarms/acknowledge": Asked("change", content={"ids": "{alarm}", "note": "x"}, status=DONE_NOTHING),
    "GET /views": Asked("list"),
    "POST /views": Asked("own"),
    "GET /views/{view_id}": Asked("change", "/views/{view}"),
    "POST /views/{view_id}": Asked("change", "/views/{view}", {"name": "x"}),
    "POST /views/{view_id}/delete": Asked("change", "/views/{view}/delete"),
    "GET /attendance": Asked("list", f"/attendance?day={DAY}&kind=all"),
    "POST /attendance": Asked("own"),
    "GET /attendance/export": Asked("list", f"/attendance/export?day={DAY}&kind=all&format=csv"),
    "GET /audit": Asked("every site"),
    "POST /language": Asked("open"),
    "GET /login": Asked("open"),
    "GET /login/oidc": Asked("open"),
    "GET /login/oidc/callback": Asked("open"),
    "POST /login": Asked("open"),
    "POST /logout": Asked("own"),
    "GET /people": Asked("list"),
    "POST /people": Asked("own"),
    "GET /people/{person_id}": Asked("one", "/people/{person}"),
    "POST /people/{person_id}/erase": Asked("change", "/people/{person}/erase", {"typed": "Bertha"}),
    "GET /quarantine": Asked("list"),
    "GET /quarantine/{number}": Asked("one", "/quarantine/{push}"),
    "POST /quarantine/discard": Asked("change", content={"ids": "{push}"}, status=DONE_NOTHING),
    "POST /quarantine/process": Asked("change", content={"ids": "{push}"}, status=DONE_NOTHING),
    "GET /records": Asked("list"),
    "POST /records": Asked("own"),
    "GET /records/export": Asked("list", "/records/export?format=xlsx"),
    "GET /records/{record_id}": Asked("one", "/records/{record}"),
    "GET /refusals": Asked("list"),
    "GET /refusals/samples/{number}": Asked("every site", "/refusals/samples/1"),
    "GET /schedules": Asked("list"),
    "POST /schedules": Asked("every site"),
    "POST /schedules/{schedule_id}": Asked("every site", "/schedules/1"),
    "POST /schedules/{schedule_id}/delete": Asked("every site", "/schedules/1/delete"),
    **{f"POST /schedules/{what}": Asked("every site") for what in ("holidays", "assignments")},
    "POST /schedules/holidays/{holiday_id}/delete": Asked("every site", "/schedules/holidays/1/delete"),
    "POST /schedules/assignments/{assignment_id}/delete": Asked(
        "every site", "/schedules/assignments/1/delete"
    ),
    "GET /corrections": Asked("list"),
    "POST /corrections": Asked(
        "change", content={"person": "{person}", "day": DAY, "time": "12:00", "note": "x"}, status=(400,)
    ),
    "POST /corrections/{correction_id}/withdraw": Asked("change", "/corrections/{correction}/withdraw"),
    "GET /settings": Asked("every site"),
    "POST /system/retention": Asked("every site"),
    "GET /help": Asked("own"),
    "POST /welcome/hide": Asked("every site"),
    "GET /system": Asked("every site"),
    "POST /settings/values": Asked("every site"),
    "POST /settings/sites": Asked("every site"),
    "POST /settings/sites/{site_id}": Asked("every site", "/settings/sites/2"),
    "POST /settings/tokens": Asked("every site"),
    "POST /settings/tokens/{token_id}/revoke": Asked("every site", "/settings/tokens/1/revoke"),
    "GET /settings/users": Asked("every site"),
    "POST /settings/users": Asked("every site"),
    "POST /settings/users/{account_id}": Asked("every site", "/settings/users/1"),
    "GET /static/{name}": Asked("open"),
    "GET /statistics": Asked("list", f"/statistics?day={DAY}"),
    "GET /terminals": Asked("list"),
    "POST /terminals": Asked("change", content={"serial": "SN-9", "site": 2}, status=(400,)),
    "GET /terminals/new": Asked("list"),
    "GET /fleet": Asked("every site"),
    "GET /fleet/adopt": Asked("every site"),
    "POST /fleet/adopt": Asked("every site"),
    "POST /fleet/look": Asked("every site"),
    "GET /fleet/adoptions/{adoption_id}": Asked("every site", "/fleet/adoptions/1"),
    "GET /fleet/find": Asked("every site"),
    "POST /fleet/find/scan": Asked("every site"),
    "POST /fleet/find/end": Asked("every site"),
    "POST /fleet/find/adopt": Asked("every site"),
    "GET /fleet/history": Asked("every site"),
    "POST /fleet/history": Asked("every site"),
    "POST /fleet/history/count": Asked("every site"),
    "POST /fleet/history/{job_id}/{work}": Asked("every site", "/fleet/history/1/pause"),
    "GET /fleet/import": Asked("every site"),
    "POST /fleet/import": Asked("every site"),
    "GET /fleet/import/template": Asked("every site"),
    "POST /fleet/{terminal_id}/verify": Asked("every site", "/fleet/{terminal}/verify"),
    "POST /fleet/{terminal_id}/resume": Asked("every site", "/fleet/{terminal}/resume"),
    "POST /fleet/{terminal_id}/release": Asked("every site", "/fleet/{terminal}/release"),
    "POST /terminals/chosen/approve": Asked("change", content={"ids": "{terminal}"}, status=(400,)),
    "POST /terminals/chosen/move": Asked("change", content={"ids": "{terminal}", "site": 1}, status=(400,)),
    "POST /terminals/chosen/retire": Asked("change", content={"ids": "{terminal}"}, status=(400,)),
    "POST /terminals/chosen/delete": Asked("change", content={"ids": "{terminal}"}, status=(400,)),
    "GET /terminals/names": Asked("list", is_plain=True),
    "POST /terminals/names": Asked("change", content={"list": "SN-2222,Gate", "sure": 1}, status=(303,)),
    "GET /terminals/names/list": Asked("list"),
    "GET /terminals/{terminal_id}": Asked("one", "/terminals/{terminal}"),
    "POST /terminals/{terminal_id}": Asked(
        "change", "/terminals/{terminal}", {"name": "x", "site": 1, "ask": 1}
    ),
    "POST /terminals/{terminal_id}/approve": Asked("change", "/terminals/{terminal}/approve"),
    "POST /terminals/{terminal_id}/state": Asked(
        "change", "/terminals/{terminal}/state", {"state": "retired"}
    ),
    "POST /terminals/{terminal_id}/delete": Asked("change", "/terminals/{terminal}/delete", {"typed": "x"}),
    "POST /terminals/{terminal_id}/token": Asked("change", "/terminals/{terminal}/token"),
    "POST /terminals/{terminal_id}/token/remove": Asked("change", "/terminals/{terminal}/token/remove"),
    "GET /why": Asked("list", "/why?asked=%23{terminal}"),
    "GET /welcome": Asked("list", is_plain=True),
    "POST /welcome/simulate": Asked("every site"),
    "POST /welcome/site": Asked("every site"),
}


class World:
    """A receiver with two sites, at each of which a terminal sent the same."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.ids: dict[str, str] = {}
        self.mine: dict[str, str] = {}
        """The same of one's own site."""

    async def fill(self) -> None:
        store = self.running.store
        store.update_site(1, name="Bremen")
        store.create_site("Hamburg", "Europe/Berlin", now_ms=0)
        for site in (1, 2):
            store.create_terminal(
                now_ms=0,
                serial=f"SN-{site * 1111}",
                name=f"Gate-{site * 1111}",
                site_id=site,
                token_digest=token_digest(f"token-{site}"),
            )
        await self.running.desk.table.refresh()
        for site, name, group in ((1, "Anna", "Guards"), (2, "Bertha", "Sales")):
            await self.push(site, name, group)
        now_ms = int(time.time() * 1000)
        for site in (1, 2):
            push = RefusedPush(
                peer="10.0.0.9", reason="no JSON", path="/x", serial=f"SN-{site * 1111}", status=400
            )
            times = RefusedTimes(count=1, first_at_ms=now_ms, last_at_ms=now_ms, detail="is no JSON")
            store.note_refused({push: times}, {})
        self._write_about_people()
        views = SavedViews(store, WHOLE)
        for site in (1, 2):
            filters = {"site": str(site), "terminal": f"SN-{site * 1111}"}
            views.save("records", f"Gate-{site * 1111}", filters, shared=True, by="office", now_ms=0)
        self.ids, self.mine = self._ids("2222"), self._ids("1111")

    def _write_about_people(self) -> None:
        """Assign schedules to people and groups, and correct a passage of each person."""
        store, day = self.running.store, date.fromisoformat(DAY)
        schedules, corrections = Schedules(store), Corrections(store, Rules())
        schedules.create(Schedule(name="Day", start_min=480, end_min=1020), now_ms=0)
        for site, name, group in ((1, "Bremen", "Guards"), (2, "Hamburg", "Sales")):
            schedules.add_holiday(day, f"{name} fair", site_id=site, is_half=True)
            schedules.assign(None, day, group=group, by="office", now_ms=0)
            (person,) = People(store, Rules()).page(PeopleQuery(q=f"IDENT-{site * 1111}")).items
            schedules.assign(None, day, identities=person.identities, by="office", now_ms=0)
            at, now_ms = datetime(2023, 5, 29, 20, tzinfo=UTC), int(time.time() * 1000)
            corrections.add(person, at, note=f"smoke-{site * 1111}", by="office", now_ms=now_ms)
            marked = MarkedPeople(store, Rules())
            marked.mark(person, reason=f"smoke-{site * 1111}", until=None, by="office", now_ms=now_ms)

    async def push(self, site: int, name: str, group: str, *, number: str = "") -> None:
        """Push a passage, a stranger, an alarm and what is no event."""
        path, mark = f"/Record/token-{site}", f"{site * 1111}"
        image = pybase64.b64encode(picture(120, 90)).decode()
        user = record()["data"]["user"] | {
            "name": name,
            "ic_number": f"CARD-{mark}",
            "id_number": f"IDENT-{mark}",
            "groups": [{"id": "3", "name": group}],
        }
        passage = {"deviceSN": f"SN-{mark}", "rgb_image": image, "user": user, "uuid": f"u-{mark}{number}"}
        stranger = {
            "deviceSN": f"SN-{mark}",
            "uuid": f"u-{mark}{number}s",
            "recognitionType": 3,
            "user": {},
        }
        raised = alarm(trace_id=f"t-{mark}{number}", description=f"smoke-{mark}", alarm_photo=image)
        for sent in (record(**passage), record(**stranger), raised, {"type": 7, "data": {"name": name}}):
            assert (await self.running.push(sent, path)).status == 200
            await asyncio.to_thread(self.running.settle)

    def _ids(self, mark: str) -> dict[str, str]:
        store = self.running.store
        alarms = store.alarms(AlarmQuery(terminal=f"SN-{mark}")).items
        people = People(store, Rules()).page(PeopleQuery(q=f"IDENT-{mark}")).items
        rows = store.records(RecordQuery(terminal=f"SN-{mark}", has_image=True)).items
        return {
            "record": str(rows[0].id),
            "alarm": str(alarms[0].id),
            "step": str(alarms[0].history[0].id),
            "push": str(store.quarantined(QuarantineQuery(terminal=f"SN-{mark}")).items[0].id),
            "person": people[0].id,
            "own": People(store, Rules()).page(PeopleQuery(q="IDENT-1111")).items[0].id,
            "correction": str(self._corrections(people[0].identities)[0].id),
            "terminal": str(rows[0].terminal_id),
            "view": next(
                str(view.id)
                for view in SavedViews(store, WHOLE).all()
                if view.filters["terminal"] == f"SN-{mark}"
            ),
        }

    def _corrections(self, identities: tuple[int, ...]) -> tuple[Correction, ...]:
        query = CorrectionQuery(identities=identities)
        return Corrections(self.running.store, Rules()).page(query).items

    def state(self) -> str:
        """Return everything of the other site that could be changed."""
        store, query = self.running.store, {"site_id": 2}
        people = People(store, Rules()).page(PeopleQuery(**query))
        terminals = [
            (row.name, row.serial, row.state, row.site_id, row.networks, row.has_token, row.direction)
            for row in store.terminals()
        ]
        return repr(
            [
                store.alarms(AlarmQuery(**query)),
                store.records(RecordQuery(**query)),
                store.quarantined(QuarantineQuery(**query)).items,
                people,
                [self._corrections(person.identities) for person in people.items],
                MarkedPeople(store, Rules()).listed(0),
                terminals,
                store.sites(),
                store.tokens(),
                SavedViews(store, WHOLE).all(),
            ]
        )

    async def headers(self, name: str, role: Role, sites: list[int] | None) -> dict[str, str]:
        """Return what a program with such a token sends along."""
        accounts = Accounts(self.running.store)
        secret, _ = await asyncio.to_thread(
            lambda: issue_token(accounts, name, role, by="t", now_ms=0, sites=sites)
        )
        return {"Authorization": f"Bearer {secret}"}

    async def ask(
        self, endpoint: str, headers: dict[str, str], *, ids: dict[str, str] | None = None
    ) -> Answer:
        """Ask an endpoint as its entry has it."""
        method, route = endpoint.split(" ")
        asked = ASKED[endpoint]
        ids = ids or self.ids
        path = (asked.path or route).format(**ids)
        content = b""
        if method not in ("GET", "DELETE"):
            text = repr(asked.content)
            for name, value in ids.items():
                text = text.replace(f"['{{{name}}}']", f"[{value}]").replace(f"'number {{{name}}}'", value)
                text = text.replace(f"{{{name}}}", value)
            given: dict[str, Any] = eval(text)  # noqa: S307 - of the table above
            content = body(given)
            if not route.startswith("/api"):
                content = "&".join(f"{key}={value}" for key, value in given.items()).encode()
                headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        return await self.running.request(method, path, content, headers)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with receiving(tmp_path / "data", pages=console_pages) as running:
        world = World(running)
        await world.fill()
        yield world


def text_of(answer: Answer) -> str:
    """Return what an answer says, also in the files of an archive and in their names."""
    if not answer.body.startswith(b"PK"):
        return answer.body.decode("utf-8", "replace")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        names = archive.namelist()
        return "\n".join([*names, *(archive.read(name).decode("utf-8", "replace") for name in names)])


def seen(answer: Answer) -> list[str]:
    text = text_of(answer)
    return [word for word in WORDS if word in text]


async def test_every_endpoint_is_named_here(world: World) -> None:
    found = set()
    for route in world.running.desk.api.routes:
        assert isinstance(route, HTTPRoute)
        for handler in route.route_handlers:
            found |= {
                f"{method} {route.path_format}" for method in handler.http_methods - {"OPTIONS", "HEAD"}
            }
    assert found == ASKED.keys()


async def test_a_user_of_some_sites_sees_and_changes_nothing_of_another(world: World) -> None:
    """As an administrator, who may most; and one of every site sees what this one does not."""
    limited = await world.headers("limited", "admin", [1])
    whole = await world.headers("whole", "admin", None)
    before, wrong = world.state(), []
    for endpoint, asked in ASKED.items():
        if asked.kind in ("own", "open"):
            continue
        got = await world.ask(endpoint, limited)
        expected = {
            "list": (200,),
            "one": NOT_THERE,
            "change": asked.status or NOT_THERE,
            "every site": (403,),
        }[asked.kind]
        if got.status not in expected or seen(got):
            wrong.append((endpoint, got.status, seen(got)))
        if asked.kind in ("list", "one"):
            everything = await world.ask(endpoint, whole)
            is_image = everything.headers.get("content-type", "").startswith("image/")
            if everything.status != 200 or not (asked.is_plain or is_image or seen(everything)):
                wrong.append((endpoint, "shows nothing of the other site", everything.status))
            own = await world.ask(endpoint, limited, ids=world.mine)
            if own.status != 200 and "would-move" not in endpoint:  # that asks for the other site itself
                wrong.append((endpoint, "does not show one's own", own.status))
            if seen(own):
                wrong.append((endpoint, "shows of the other site beside one's own", seen(own)))
    assert wrong == []
    assert world.state() == before


KEYS = ("{record_id}", "{alarm_id}", "{step_id}", "/quarantine/{number}")
BY_ID = [name for name in ASKED if any(key in name for key in KEYS)]
QUARANTINE = [name for name in ASKED if "/quarantine" in name]


async def test_what_a_held_terminal_sent_is_not_there_by_id_until_it_is_approved(world: World) -> None:
    """Whatever the role; and a role that may not ask at all is told so."""
    roles = {role: await world.headers(role, role, None) for role in ROLES}
    state = f"/api/v1/terminals/{world.ids['terminal']}"
    held = await world.running.request("PATCH", state, body({"state": "held"}), roles["admin"])
    assert held.status == 200
    before, wrong = world.state(), []
    for role, headers in roles.items():
        for endpoint in BY_ID:
            got = await world.ask(endpoint, headers)
            may_not = (
                (role == "viewer" and endpoint.startswith("POST"))
                or (role == "guard" and endpoint.endswith("/close"))
                or (role == "guard" and endpoint in QUARANTINE)
                or (role in ("viewer", "operator") and endpoint.startswith("DELETE"))
            )
            if got.status != (403 if may_not else 404) or seen(got):
                wrong.append((role, endpoint, got.status, seen(got)))
    assert wrong == []
    shown = re.compile(rf'/quarantine/{world.ids["push"]}\b|"id":{world.ids["push"]}\b')
    for endpoint in QUARANTINE:  # the lists, and what is done to several
        if endpoint not in BY_ID:
            got = await world.ask(endpoint, roles["admin"])
            assert got.status in DONE_NOTHING, endpoint
            assert not shown.search(text_of(got)), endpoint
    assert world.state() == before
    assert (await world.running.request("POST", f"{state}/approve", b"", roles["operator"])).status == 200
    for endpoint in BY_ID:
        if endpoint.startswith("GET"):
            role = "viewer" if endpoint in QUARANTINE else "guard"
            assert (await world.ask(endpoint, roles[role])).status == 200, endpoint
    for endpoint in ("GET /quarantine", "GET /api/v1/quarantine"):
        assert shown.search(text_of(await world.ask(endpoint, roles["viewer"]))), endpoint


async def test_filters_do_not_reach_another_site(world: World) -> None:
    limited = await world.headers("limited", "viewer", [1])
    for path in ("records", "alarms", "quarantine"):
        for query in ("site_id=2", "terminal_id=2", "terminal=SN-2222", "terminal=Gate-2222"):
            answer = await world.running.request("GET", f"/api/v1/{path}?{query}", headers=limited)
            assert (answer.status, answer.json["items"]) == (200, []), (path, query)
    for query in ("q=Bertha", "q=CARD-2222", "name=Bertha"):
        answer = await world.running.request("GET", f"/api/v1/records?{query}", headers=limited)
        assert answer.json["items"] == []
    unknown = await world.running.request("GET", "/api/v1/records?site=Hamburg", headers=limited)
    assert unknown.status == 400
    assert "did you mean `Bremen`" in unknown.body.decode()


async def test_what_concerns_every_site_is_refused_with_a_sentence(world: World) -> None:
    limited = await world.headers("limited", "admin", [1])
    answer = await world.running.request("GET", "/api/v1/audit", headers=limited)
    assert answer.json["detail"] == "this concerns every site, and you have some sites only"
    page = await world.running.request("GET", "/settings", headers=limited)
    assert "This concerns every site, and you have some sites only." in page.body.decode()
    home = (await world.running.request("GET", "/", headers=limited)).body.decode()
    assert 'href="/records"' in home
    assert 'href="/settings"' not in home
    move = await world.running.request("PATCH", "/api/v1/terminals/1", body({"site_id": 2}), limited)
    assert (move.status, "there is no site 2" in move.body.decode()) == (400, True)
    by_number = await world.running.request("POST", "/api/v1/people/erase", body({"user_id": "5"}), limited)
    assert by_number.status == 403
    assert (await world.running.request("GET", "/api/v1/session", headers=limited)).json["sites"] == [1]


async def test_counts_are_of_ones_own_sites(world: World) -> None:
    limited, whole = await world.headers("limited", "admin", [1]), await world.headers("w", "admin", None)
    own = (await world.running.request("GET", "/api/v1/stats", headers=limited)).json
    everything = (await world.running.request("GET", "/api/v1/stats", headers=whole)).json
    for name in ("records", "alarms", "open_alarms", "quarantined", "terminals"):
        assert own[name] * 2 == everything[name] > 0, name
    assert (own["process"], bool(everything["process"])) == ({}, True)
    for headers, count in ((whole, 2), (limited, 1), (whole, 2)):
        for path in ("/", "/records"):
            page = (await world.running.request("GET", path, headers=headers)).body.decode()
            badges = re.findall(r'<b class="count" title="[^"]*">(\d+)</b>', page)
            assert badges == [str(count)]


async def test_numbers_for_prometheus_are_of_every_site(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", metrics_networks=("192.0.2.0/24",)) as running:
        world = World(running)
        for name, role, sites, status in (
            ("guard", "guard", None, 403),
            ("limited", "admin", [1], 403),
            ("viewer", "viewer", None, 200),
        ):
            headers = await world.headers(name, role, sites)  # type: ignore[arg-type]
            assert (await running.request("GET", "/metrics", headers=headers)).status == status


async def test_where_a_person_is_one_at_every_site_only_an_administrator_of_every_site_erases(
    tmp_path: Path,
) -> None:
    async with receiving(tmp_path / "data", pages=console_pages, people_scope="everywhere") as running:
        world = World(running)
        await world.fill()
        limited = await world.headers("limited", "admin", [2])
        before = world.state()
        for endpoint in (
            "POST /api/v1/people/{person_id}/erase",
            "POST /api/v1/people/erase",
            "POST /people/{person_id}/erase",
        ):
            assert (await world.ask(endpoint, limited)).status == 403
        assert world.state() == before


async def test_what_is_of_ones_own_site_is_changed(world: World) -> None:
    limited = await world.headers("limited", "admin", [2])
    before = world.state()
    for endpoint in (
        "POST /api/v1/alarms/{alarm_id}/close",
        "POST /api/v1/quarantine/process",
        "POST /quarantine/discard",
        "PATCH /api/v1/terminals/{terminal_id}",
        "POST /terminals/{terminal_id}/state",
        "POST /api/v1/terminals",
        "POST /api/v1/people/{person_id}/erase",
    ):
        assert (await world.ask(endpoint, limited)).status in (200, 201, 303), endpoint
    after = world.state()
    assert after != before
    assert "Bertha" not in after


NUMBERS = ("CARD-", "IDENT-")
GUARDED = tuple(
    endpoint
    for endpoint, asked in ASKED.items()
    if asked.kind in ("list", "one") and endpoint.startswith("GET ")
)


def has_numbers(answer: Answer) -> bool:
    text = text_of(answer)
    return any(number in text for number in NUMBERS)


async def test_a_guard_sees_no_card_and_no_identity_number(world: World) -> None:
    """Whatever a guard may ask; and a viewer sees them on some of it, so that there is something to see."""
    guard, viewer = await world.headers("guard", "guard", None), await world.headers("v", "viewer", None)
    allowed, wrong, numbers = [], [], 0
    for endpoint in GUARDED:
        answer = await world.ask(endpoint, guard)
        if answer.status == 200:
            allowed.append(endpoint)
            numbers += has_numbers(await world.ask(endpoint, viewer))
        if answer.status not in (200, 403) or has_numbers(answer):
            wrong.append((endpoint, answer.status))
    assert wrong == []
    assert {"GET /", "GET /since", "GET /alarms", "GET /records/{record_id}"} < set(allowed)
    assert [endpoint for endpoint in allowed if "export" in endpoint] == []
    assert numbers >= 2
    one = f"/api/v1/records/{world.ids['record']}?include=original"
    shown = (await world.running.request("GET", one, headers=guard)).json
    assert (shown["person"]["name"], shown["person"]["ic_number"], shown.get("original")) == (
        "Bertha",
        "",
        None,
    )
    assert "CARD-2222" in (await world.running.request("GET", one, headers=viewer)).json["original"]


async def test_a_guard_acknowledges_alarms_and_a_viewer_does_not(world: World) -> None:
    guard, viewer = await world.headers("guard", "guard", [2]), await world.headers("v", "viewer", None)
    endpoint = "POST /api/v1/alarms/{alarm_id}/acknowledge"
    assert (await world.ask(endpoint, viewer)).status == 403
    assert (await world.ask(endpoint, guard, ids=world.mine)).status == 404
    done = await world.ask(endpoint, guard)
    assert (done.status, done.json["acknowledged_by"], done.json["note"]) == (200, "token:guard", "x")
    assert (await world.ask("POST /api/v1/alarms/{alarm_id}/close", guard)).status == 403
    page = (await world.running.request("GET", "/alarms", headers=guard)).body.decode()
    assert "/acknowledge" in page
    assert "/close" not in page
    assert "/alarms/export" not in page
    assert "/acknowledge" not in (await world.running.request("GET", "/alarms", headers=viewer)).body.decode()


async def test_the_pages_of_a_guard_have_no_link_that_a_guard_may_not_follow(world: World) -> None:
    guard = await world.headers("guard", "guard", None)
    wrong = []
    for path in (
        "/",
        f"/records/{world.ids['record']}",
        "/alarms",
        f"/alarms/{world.ids['alarm']}",
        "/account",
    ):
        page = (await world.running.request("GET", path, headers=guard)).body.decode()
        for link in set(re.findall(r'(?:href|src)="(/[^"#]*)"', page)):
            answer = await world.running.request("GET", html.unescape(link), headers=guard)
            if answer.status != 200:
                wrong.append((path, link, answer.status))
    assert wrong == []


@pytest.mark.parametrize("include", ["", "&include=original"])
async def test_the_stream_of_a_guard_has_no_numbers(world: World, include: str) -> None:
    """Neither what was there before nor what comes, whatever is asked for."""
    sender = await Sender.connect(world.running.port)
    headers = await world.headers("guard", "guard", None)
    await sender.write(request("GET", f"/api/v1/live?after=0{include}", b"", headers))
    try:
        async with asyncio.timeout(20):
            told = await sender.reader.readuntil(b"t-2222")
            await world.push(1, "Anna", "Guards", number="-later")
            told += await sender.reader.readuntil(b"t-1111-later")
    finally:
        sender.writer.transport.abort()
    assert b"Anna" in told
    assert [number for number in NUMBERS if number.encode() in told] == []


async def test_a_stream_has_nothing_of_another_site(world: World) -> None:
    sender = await Sender.connect(world.running.port)
    headers = await world.headers("limited", "viewer", [1])
    await sender.write(request("GET", "/api/v1/live?after=0&include=original", b"", headers))
    try:
        async with asyncio.timeout(20):
            begun = await sender.reader.readuntil(b"u-1111")  # what was there before
            await world.push(2, "Bertha", "Sales", number="-later")
            await world.push(1, "Anna", "Guards", number="-later")
            told = begun + await sender.reader.readuntil(b"t-1111-later")
    finally:
        sender.writer.transport.abort()
    assert [word for word in WORDS if word.encode() in told] == []
