"""Show a refused form again, on the page it was sent from, with what was typed.

Rules:

* A response to a form that refuses it (:data:`REFUSED`) is taken back before it is sent. Where it is a page with that
  form, the form is filled in; where it is the page of errors, the page that the form was sent from is asked for again
  (``Referer``; pages tell it to their own origin only), and the reason stands above the form.
* Passwords and files are not filled in: no page contains a password.
* The version of what a form changes is filled in, too, so that a change of another person is noticed at last. After a
  refusal because of it (412) the page has that of what it shows now: who was told may send the form again.
* Nothing else changes: status and cookies are those of the refusal, and the page is what a GET shows its user.
* Where no such form is found, the refusal is sent as it was.

Flow: POST → application → refusal → GET of the page → :func:`refill` → sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from html import escape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

from msgspec import Struct

from gatepost.console.desk import local_path
from gatepost.console.input.forms import MAX_FIELDS, VERSION

__all__ = ["REFUSED", "WHY", "RefusedForms", "refill"]

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]

REFUSED = frozenset({400, 409, 412, 413, 422, 429, 503})
"""Statuses after which a form can be sent again. Who may not, or asks for what is gone, cannot."""

SENT_FROM = "sent_from"
"""The field of a form shown again that names its page."""

WHY = "gatepost.refused"
"""In the scope of a form: a list, to which the page of errors adds the reason."""

_FORM = b"application/x-www-form-urlencoded"
_OF_THE_FORM = frozenset({b"content-type", b"content-length", b"origin"})

Fields = Mapping[str, list[str]]


class RefusedForms:
    """An ASGI application around another one."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve a request."""
        headers = dict(scope.get("headers", ()))
        if scope["type"] != "http" or scope["method"] != "POST" or not _is_form(headers):
            await self._app(scope, receive, send)
            return
        message = await receive()
        body, more = message.get("body", b""), message.get("more_body", False)
        first = [message]

        async def receive_again() -> Any:
            return first.pop() if first else await receive()

        why: list[str] = []
        kept: list[Any] = []

        async def keep_refusal(message: Any) -> None:
            if (message["type"] == "http.response.start" and message["status"] in REFUSED) or kept:
                kept.append(message)
            else:
                await send(message)

        plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        await self._app({**scope, "headers": plain, WHY: why}, receive_again, keep_refusal)
        if kept:
            if not more:
                kept = await self._shown_again(scope, body, kept, why)
            for message in kept:
                await send(message)

    async def _shown_again(self, scope: Any, body: bytes, refusal: list[Any], why: list[str]) -> list[Any]:
        """Return the refusal with its form filled in; the refusal where it has none."""
        try:
            fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
        except ValueError:
            return refusal
        action = scope["path"]
        is_told = refusal[0]["status"] == 412
        start, page = refusal[0], b"".join(message.get("body", b"") for message in refusal[1:])
        if not why:
            filled = refill(page.decode("utf-8", "replace"), action, fields, is_told=is_told)
        elif (came_from := _came_from(scope, fields)) is not None:
            asked = await self._page(scope, *came_from)
            sent_from = "?".join(filter(None, came_from))
            filled = (
                None
                if asked is None
                else refill(asked, action, fields, why[0], sent_from=sent_from, is_told=is_told)
            )
        else:
            filled = None
        if filled is None:
            return refusal
        content = filled.encode()
        headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
        headers.append((b"content-length", b"%d" % len(content)))
        return [{**start, "headers": headers}, {"type": "http.response.body", "body": content}]

    async def _page(self, scope: Any, path: str, query: str) -> str | None:
        """Return a page as a GET of this user shows it; ``None`` where there is none."""
        told: list[Any] = []

        async def nothing() -> Any:
            return {"type": "http.request", "body": b""}

        async def take(message: Any) -> None:
            told.append(message)

        without = _OF_THE_FORM | {b"accept-encoding"}
        asked = {
            **scope,
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name, value) for name, value in scope["headers"] if name not in without],
        }
        await self._app(asked, nothing, take)
        kind = dict(told[0]["headers"]).get(b"content-type", b"")
        if told[0]["status"] != 200 or not kind.startswith(b"text/html"):
            return None
        return b"".join(message.get("body", b"") for message in told[1:]).decode()


def _is_form(headers: Mapping[bytes, bytes]) -> bool:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower() == _FORM


def _came_from(scope: Any, fields: Fields) -> tuple[str, str] | None:
    """Return path and query of the page of ours that a form was sent from."""
    headers = dict(scope["headers"])
    text = fields.get(SENT_FROM, [""])[-1]
    try:
        if not text:
            told = urlsplit(headers.get(b"referer", b"").decode())
            text = f"{told.path}?{told.query}" if told.netloc else ""
        parts = urlsplit(local_path(text, ""))
    except ValueError:
        return None
    is_page = parts.path and parts.path.isascii() and "/api/" not in parts.path
    return (parts.path, parts.query) if is_page else None


class _Found(Struct):
    """A form of a page: where it begins, and the fields that are in it or name it."""

    at: int
    end: int
    """Of its start tag."""
    id: str
    folds: list[int]
    """Offsets of the ``details`` elements around it."""
    is_sent_here: bool
    hidden: dict[str, str]


class _Field(Struct):
    """A field of a page, as its start tag."""

    form: int
    at: int
    end: int
    tag: str
    attributes: dict[str, str | None]


class _Reader(HTMLParser):
    """Finds the forms and fields of a page of ours. Every place is an offset into the text."""

    def __init__(self, page: str, action: str) -> None:
        super().__init__(convert_charrefs=True)
        self._action = action
        self._lines = [0]
        for line in page.split("\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)
        self.forms: list[_Found] = []
        self.fields: list[_Field] = []
        self.named: list[tuple[str, _Field]] = []
        """Fields outside of a form that name one."""
        self._folds: list[int] = []
        self._form: int | None = None
        self._select: tuple[int, str] | None = None
        self.feed(page)
        self.close()

    def _offset(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        at = self._offset()
        end = at + len(self.get_starttag_text() or "")
        if tag == "details":
            self._folds.append(at)
        elif tag == "form":
            here = attributes.get("action") == self._action and attributes.get("method") == "post"
            self._form = len(self.forms)
            self.forms.append(_Found(at, end, attributes.get("id") or "", list(self._folds), here, {}))
        elif tag == "button" and attributes.get("formaction") == self._action and self._form is not None:
            self.forms[self._form].is_sent_here = True
        elif tag in ("input", "select", "textarea", "option"):
            self._handle_field(tag, attributes, at, end)

    def _handle_field(self, tag: str, attributes: dict[str, str | None], at: int, end: int) -> None:
        if tag == "option":
            if self._select is None:
                return
            attributes["name"] = self._select[1]
        field = _Field(-1 if self._form is None else self._form, at, end, tag, attributes)
        if tag == "select":
            self._select = (field.form, attributes.get("name") or "")
        if (form := attributes.get("form")) is not None:
            self.named.append((form, field))
        elif field.form >= 0:
            if attributes.get("type") == "hidden" and attributes.get("name") != VERSION:
                self.forms[field.form].hidden[attributes.get("name") or ""] = attributes.get("value") or ""
            self.fields.append(field)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = None
        elif tag == "details" and self._folds:
            self._folds.pop()


def refill(
    page: str, action: str, fields: Fields, why: str = "", *, sent_from: str = "", is_told: bool = False
) -> str | None:
    """Return a page with the form that is sent to ``action`` filled in; ``None`` where it has no such form.

    Of several such forms it is the one whose hidden fields were sent. ``why`` is put above it, and ``sent_from`` into
    it: the address of the page, for the case that it is refused again. ``is_told``: the form was refused because of its
    version; the one of the page stays.
    """
    reader = _Reader(page, action)
    chosen = next(
        (
            number
            for number, form in enumerate(reader.forms)
            if form.is_sent_here
            and all(fields.get(name, [""])[-1] == value for name, value in form.hidden.items())
        ),
        None,
    )
    if chosen is None:
        return None
    form = reader.forms[chosen]
    mine = [field for field in reader.fields if field.form == chosen]
    mine += [field for name, field in reader.named if form.id and name == form.id]
    changes = [
        (field.at, *_filled(page, field, fields))
        for field in mine
        if not (is_told and field.attributes.get("name") == VERSION)
    ]
    if why:
        changes.append((form.at, form.at, f'<p class="problem" id="refused" role="alert">{escape(why)}</p>'))
        hidden = f'<input type="hidden" name="{SENT_FROM}" value="{escape(sent_from)}">'
        changes.append((form.end, form.end, hidden))
    changes += [
        (at, at + len("<details"), "<details open") for at in form.folds if page[at:].find(" open>") != 8
    ]
    for at, end, text in sorted(changes, reverse=True):
        page = page[:at] + text + page[end:]
    return page


def _filled(page: str, field: _Field, fields: Fields) -> tuple[int, str]:
    """Return where a field ends, and how it is with what was sent."""
    sent = fields.get(field.attributes.get("name") or "", [])
    kind = field.attributes.get("type") or "text"
    attributes = dict(field.attributes)
    if field.tag == "option":
        attributes.pop("name", None)
        attributes.pop("selected", None)
        if (attributes.get("value") or "") in sent:
            attributes["selected"] = None
    elif field.tag == "textarea":
        end = page.index("</textarea", field.end)
        given = sent[-1] if sent else ""
        return end, page[field.at : field.end] + ("\n" if given.startswith("\n") else "") + escape(given)
    elif attributes.get("name") == VERSION and sent:
        attributes["value"] = sent[-1]
    elif field.tag == "select" or kind in ("hidden", "password", "file", "submit"):
        return field.end, page[field.at : field.end]
    elif kind in ("checkbox", "radio"):
        attributes.pop("checked", None)
        if (attributes.get("value") or "on") in sent:
            attributes["checked"] = None
    elif sent:
        attributes["value"] = sent[-1]
    written = "".join(
        f" {name}" if value is None else f' {name}="{escape(value)}"' for name, value in attributes.items()
    )
    return field.end, f"<{field.tag}{written}>"
