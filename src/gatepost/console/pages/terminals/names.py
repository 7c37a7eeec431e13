"""``/terminals/names``: name many terminals from a list, which is checked before anything is changed."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Sequence

from litestar import Controller, Response, get, post
from litestar.exceptions import ClientException
from litestar.params import RawBody

from gatepost.console.desk import Desk, Html, TheDesk
from gatepost.console.input.forms import Form
from gatepost.receiver.api.access.authorization import ADMIN, AnyRequest, TheAccess
from gatepost.receiver.api.shapes import TheRegistrar, TheStore, answering
from gatepost.receiver.api.terminals.chosen import note_each
from gatepost.receiver.exports.formats import CSV_MARK, harmless
from gatepost.receiver.terminals.name_list import NameLine, names_of

__all__ = ["TerminalNames"]


class TerminalNames(Controller):
    """``/terminals/names``."""

    path = "/terminals/names"
    opt = ADMIN

    @get(sync_to_thread=True)
    def show_list(self, request: AnyRequest, desk: TheDesk) -> Html:
        return _page(desk, request)

    @get("/list", sync_to_thread=True)
    def download_list(self, request: AnyRequest, desk: TheDesk) -> Response[bytes]:
        """Return the terminals and their names as CSV, to be changed and brought back."""
        view = desk.view(request)
        out = io.StringIO(newline="")
        writer = csv.writer(out)
        writer.writerow([view.words(f"terminals.{name}") for name in ("serial", "name", "direction")])
        for row in view.store.terminals():
            if row.state != "retired":
                direction = view.words(f"terminals.direction_{row.direction}")
                writer.writerow([harmless(row.serial or f"#{row.id}"), harmless(row.name or ""), direction])
        return Response(
            CSV_MARK + out.getvalue().encode(),
            headers={"content-disposition": 'attachment; filename="terminals.csv"'},
            media_type="text/csv; charset=utf-8",
        )

    @post()
    async def take_list(
        self,
        request: AnyRequest,
        body: RawBody,
        desk: TheDesk,
        store: TheStore,
        access: TheAccess,
        registrar: TheRegistrar,
    ) -> Html:
        """Show what the list would do; do it once that is confirmed."""
        form = Form(body)
        text = form.secret("list")
        lines = await asyncio.to_thread(lambda: names_of(text, store.terminals()))
        if not lines:
            raise ClientException("the list has no line; nothing was changed")
        if not form.ticked("sure"):
            return await asyncio.to_thread(lambda: _page(desk, request, text, lines))
        changes = {
            line.terminal.id: line.values for line in lines if line.changes and line.terminal is not None
        }
        with answering():
            rows = await registrar.change_each(store, changes)
        before = [line.terminal for line in lines if line.terminal is not None]
        for row in rows:
            changed = sorted(changes[row.id])
            await asyncio.to_thread(note_each, access, request, "terminal.changed", [row], before, *changed)
        return await asyncio.to_thread(lambda: desk.view(request).go("/terminals", done="saved"))


def _page(desk: Desk, request: AnyRequest, text: str = "", lines: Sequence[NameLine] = ()) -> Html:
    return desk.view(request).page("terminal_names.html", active="terminals", text=text, lines=lines)
