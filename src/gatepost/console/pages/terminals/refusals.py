"""``/refusals``: pushes that were refused, and by administrators samples of what could not be read."""

from __future__ import annotations

from litestar import Controller, get
from litestar.params import FromPath

from gatepost.console.desk import Html, TheDesk
from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE, VIEWER, AnyRequest
from gatepost.receiver.api.events.refusals import refusals, sample, sample_text
from gatepost.receiver.api.shapes import read

__all__ = ["RefusalPages"]

MOST = 200


class RefusalPages(Controller):
    """``/refusals``."""

    path = "/refusals"
    opt = VIEWER

    @get(sync_to_thread=True)
    def list_refusals(self, request: AnyRequest, desk: TheDesk) -> Html:
        view = desk.view(request)
        asked = view.query.get("status", "")
        rows = read(
            lambda: refusals(
                view.store,
                status=int(asked) if asked.isascii() and asked.isdigit() and len(asked) == 3 else None,
                peer=view.query.get("peer"),
                serial=view.query.get("serial"),
            )
        )
        every = rows if not view.query else read(view.store.refused)
        return view.page(
            "refusals.html",
            active="quarantine",
            refusals=rows[:MOST],
            found=len(rows),
            statuses=sorted({row.status for row in every}),
            asked=asked,
        )

    @get("/samples/{number:int}", opt=ADMIN | EVERY_SITE, sync_to_thread=True)
    def show_sample(self, request: AnyRequest, number: FromPath[int], desk: TheDesk) -> Html:
        view = desk.view(request)
        row = sample(view.store, number)
        return view.page(
            "refusal_sample.html", active="quarantine", sample=row, content=sample_text(row.content)
        )
